//! The formats of `{expr:format}`: reading them and checking them against the type.

use crate::ast::Text;
use crate::diag::Diagnostic;
use crate::ir::{Align, DurationUnit, Format, FormatStyle};
use crate::types::Type;

use super::Checker;
use super::state::describe;

/// All style words with what they show.
const STYLES: &[(&str, FormatStyle)] = &[
    ("", FormatStyle::Default),
    ("d", FormatStyle::Decimal),
    ("x", FormatStyle::Hex),
    ("X", FormatStyle::UpperHex),
    ("b", FormatStyle::Binary),
    ("o", FormatStyle::Octal),
    ("c", FormatStyle::Char),
    ("sym", FormatStyle::Symbol),
    ("str", FormatStyle::Str),
    ("ns", FormatStyle::Duration(DurationUnit::Ns)),
    ("us", FormatStyle::Duration(DurationUnit::Us)),
    ("ms", FormatStyle::Duration(DurationUnit::Ms)),
    ("s", FormatStyle::Duration(DurationUnit::S)),
];

const MAX_WIDTH: u16 = 1024;

const HELP: &str = "formats are: d x #x 08x X b o c sym str ns us ms s, and a width with < > ^: {x0:>10}";

/// Reads a format; nothing if it is none.
fn read(text: &str) -> Option<Format> {
    let mut format = Format::default();
    let mut rest = text.trim_end();
    for (sign, align) in [('<', Align::Left), ('>', Align::Right), ('^', Align::Center)] {
        if let Some(after) = rest.strip_prefix(sign) {
            format.align = Some(align);
            rest = after;
            break;
        }
    }
    if let Some(after) = rest.strip_prefix('#') {
        format.prefix = true;
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('0') {
        format.zero = true;
        rest = after;
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        format.width = rest[..digits].parse().ok().filter(|w| *w <= MAX_WIDTH)?;
    }
    let (_, style) = STYLES.iter().find(|(word, _)| *word == &rest[digits..])?;
    format.style = *style;
    Some(format)
}

impl Checker<'_> {
    pub(super) fn format(&mut self, text: &Text, ty: Type) -> Option<Format> {
        let Some(format) = read(&text.text) else {
            return self.unknown_format(text, ty);
        };
        let number = ty.is_integer();
        let fits = match format.style {
            FormatStyle::Default => !format.prefix && (!format.zero || number || ty.is_float()),
            FormatStyle::Hex | FormatStyle::UpperHex | FormatStyle::Binary | FormatStyle::Octal => {
                number || ty == Type::U128
            }
            FormatStyle::Decimal
            | FormatStyle::Char
            | FormatStyle::Symbol
            | FormatStyle::Str
            | FormatStyle::Duration(_) => number,
        };
        if fits {
            return Some(format);
        }
        let title = format!("the format `{}` does not fit {}", text.text.trim(), describe(ty));
        let out = Diagnostic::error("E0419", title).primary(text.span, format!("this shows {}", describe(ty)));
        self.fail(match (ty, format.style) {
            (_, FormatStyle::Default) => out.help("`#` and `0` need a style: `{x0:#x}`, `{x0:08x}`"),
            (Type::Str, _) => out.help("a text is shown as it is, without a format: `{func}`"),
            _ => out.help(HELP),
        })
    }

    fn unknown_format<T>(&mut self, text: &Text, ty: Type) -> Option<T> {
        let shown = text.text.trim();
        let title = match shown {
            "" => "a format is missing after `:`".to_string(),
            _ => format!("there is no format `{shown}`"),
        };
        let out = Diagnostic::error("E0419", title).primary(text.span, "not a format");
        let printf = shown.trim_start_matches('%').trim_end_matches(['l', 'u', 'i', 'p', 'n']);
        let hex = shown.starts_with('%') || matches!(shown, "p" | "lx" | "llx");
        let out = match hex && printf.len() <= 3 {
            true => out.help("hexadecimal with 0x is `{x0:#x}`"),
            false => out,
        };
        let _ = ty;
        self.fail(out.help(HELP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_in_order() {
        let format = read(">#010x").unwrap();
        assert_eq!(format.width, 10);
        assert!(format.zero && format.prefix && format.align == Some(Align::Right));
        assert_eq!(format.style, FormatStyle::Hex);
        assert_eq!(read("sym").unwrap().style, FormatStyle::Symbol);
        assert!(read("q").is_none() && read("99999x").is_none() && read("x#").is_none());
    }
}
