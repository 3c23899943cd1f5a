//! How values look: by type, or as a format of `{expr:format}` says.
//!
//! Everything appends to a `String`. Guest text may hold any bytes: what is not printable comes out as `\xNN`, so that
//! a guest cannot send control sequences to the terminal; text from the script itself is printed as it stands.

use super::stack;
use crate::mem::GuestMemory;
use crate::probe::attach::Symbols;
use spile_lang::ir::{Align, DurationUnit, Format, FormatStyle};
use spile_lang::types::Type;
use std::fmt::Write;

/// A value as actions get it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// One slot: integers, code addresses, floats as their bits.
    Word(u64),
    /// Two slots.
    Wide(u128),
    /// Text or bytes.
    Text(TextRef<'a>),
}

/// A text or byte string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextRef<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// True if it comes from the guest as it was: then it is made printable.
    pub raw: bool,
}

/// What formatting may look at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// For code addresses.
    pub symbols: &'a dyn Symbols,
    /// For `{p:str}`.
    pub memory: &'a GuestMemory,
}

/// Longest guest string that `{p:str}` shows.
const LONGEST_STRING: usize = 1024;

/// Appends `value` as its type says.
pub fn show(out: &mut String, value: Value<'_>, ty: Type, symbols: &dyn Symbols) {
    match (value, ty) {
        (Value::Text(text), Type::Bytes) => hex_pairs(out, text.bytes),
        (Value::Text(text), Type::Stack) => {
            let frames: Vec<String> = stack::frames(text.bytes, symbols).collect();
            out.push_str(&frames.join(" < "));
        }
        (Value::Text(text), _) => show_text(out, text),
        (Value::Wide(bits), _) => put(out, format_args!("{bits:#x}")),
        (Value::Word(bits), ty) => word(out, bits, ty, symbols),
    }
}

/// Appends a text: made printable if it is the guest's.
pub fn show_text(out: &mut String, text: TextRef<'_>) {
    if text.raw {
        return escape(out, text.bytes, true);
    }
    // Nearly always valid, which the strict check finds out in a fraction of the lossy one's time.
    match std::str::from_utf8(text.bytes) {
        Ok(valid) => out.push_str(valid),
        Err(_) => out.push_str(&String::from_utf8_lossy(text.bytes)),
    }
}

fn word(out: &mut String, bits: u64, ty: Type, symbols: &dyn Symbols) {
    match ty {
        Type::Bool => out.push_str(if bits == 0 { "false" } else { "true" }),
        Type::Int { signed: true, .. } => {
            if (bits as i64) < 0 {
                out.push('-');
            }
            decimal(out, (bits as i64).unsigned_abs());
        }
        Type::Int { signed: false, .. } => decimal(out, bits),
        Type::F32 => put(out, format_args!("{:?}", f32::from_bits(bits as u32))),
        Type::F64 => put(out, format_args!("{:?}", f64::from_bits(bits))),
        Type::CodeAddr => address(out, bits, symbols),
        Type::Word | Type::U128 | Type::Str | Type::Bytes | Type::Stack => hex(out, "0x", bits),
    }
}

/// Appends a code address: `main+0x14` where a symbol is known, else hexadecimal.
pub fn address(out: &mut String, addr: u64, symbols: &dyn Symbols) {
    match symbols.locate(addr) {
        Some(at) if at.offset == 0 => out.push_str(&at.name),
        Some(at) => {
            out.push_str(&at.name);
            hex(out, "+0x", at.offset);
        }
        None => hex(out, "0x", addr),
    }
}

/// Returns what [`address`] appends.
pub fn address_text(addr: u64, symbols: &dyn Symbols) -> String {
    let mut out = String::new();
    address(&mut out, addr, symbols);
    out
}

/// Returns the source line of an address, `main.c:42`; if there is none, what [`address`] appends.
pub fn line_text(addr: u64, symbols: &dyn Symbols) -> String {
    source_text(addr, symbols).unwrap_or_else(|| address_text(addr, symbols))
}

/// Returns the source line of an address, `main.c:42`.
pub fn source_text(addr: u64, symbols: &dyn Symbols) -> Option<String> {
    let (file, line) = symbols.source_line(addr)?;
    Some(format!("{}:{line}", file.rsplit('/').next().unwrap_or(file)))
}

/// Appends `value` as `format` says.
pub fn show_with(out: &mut String, value: Value<'_>, ty: Type, format: &Format, view: &View<'_>) {
    if format.width == 0 && format.style == FormatStyle::Default {
        return show(out, value, ty, view.symbols);
    }
    // What lines of a trace are made of, without a text in between.
    if let (0, FormatStyle::Hex, Value::Word(bits)) = (format.width, format.style, value) {
        let bits = bits & width_mask(ty);
        return hex(out, if format.prefix { "0x" } else { "" }, bits);
    }
    let body = styled(value, ty, format, view);
    pad(out, &body, format);
}

/// A formatted value before it is brought to width.
struct Styled {
    /// Sign and prefix, which zeros stand behind.
    head: &'static str,
    /// Digits or text.
    body: String,
    numeric: bool,
}

impl Styled {
    fn text(body: String) -> Styled {
        Styled { head: "", body, numeric: false }
    }
}

fn styled(value: Value<'_>, ty: Type, format: &Format, view: &View<'_>) -> Styled {
    let prefix = |text| if format.prefix { text } else { "" };
    let number = |head, body| Styled { head, body, numeric: true };
    let bits = match value {
        Value::Word(bits) => u128::from(bits & width_mask(ty)),
        Value::Wide(bits) => bits,
        Value::Text(_) => 0,
    };
    let low = bits as u64;
    match format.style {
        FormatStyle::Hex => match value {
            Value::Text(text) => Styled::text(text.bytes.iter().map(|b| format!("{b:02x}")).collect()),
            _ => number(prefix("0x"), format!("{bits:x}")),
        },
        FormatStyle::UpperHex => match value {
            Value::Text(text) => Styled::text(text.bytes.iter().map(|b| format!("{b:02X}")).collect()),
            _ => number(prefix("0x"), format!("{bits:X}")),
        },
        FormatStyle::Binary => number(prefix("0b"), format!("{bits:b}")),
        // As C, strace and the octal numbers of permissions are written; zero has its own zero.
        FormatStyle::Octal => number(if bits == 0 { "" } else { prefix("0") }, format!("{bits:o}")),
        FormatStyle::Decimal => match value {
            Value::Word(word) if ty.is_signed() => signed(word as i64),
            Value::Text(_) => by_type(value, ty, view),
            _ => number("", bits.to_string()),
        },
        FormatStyle::Char => Styled::text(character(low)),
        FormatStyle::Symbol => Styled::text(address_text(low, view.symbols)),
        FormatStyle::Str => Styled::text(match value {
            Value::Text(_) => return by_type(value, ty, view),
            _ => guest_string(low, view.memory),
        }),
        FormatStyle::Duration(unit) => number("", duration(low, unit)),
        FormatStyle::Default => by_type(value, ty, view),
    }
}

/// Two's complement in the value's own width.
fn width_mask(ty: Type) -> u64 {
    match ty {
        Type::Int { bits, .. } if bits < 64 => (1 << bits) - 1,
        Type::F32 => u64::from(u32::MAX),
        _ => u64::MAX,
    }
}

fn by_type(value: Value<'_>, ty: Type, view: &View<'_>) -> Styled {
    if let (Value::Word(bits), true) = (value, ty.is_signed()) {
        return signed(bits as i64);
    }
    let mut body = String::new();
    show(&mut body, value, ty, view.symbols);
    let numeric = !ty.is_text() && !matches!(ty, Type::Bool | Type::CodeAddr);
    match body.strip_prefix("0x").map(str::to_owned) {
        Some(digits) if numeric => Styled { head: "0x", body: digits, numeric },
        _ => match body.strip_prefix('-').map(str::to_owned) {
            Some(digits) if numeric => Styled { head: "-", body: digits, numeric },
            _ => Styled { head: "", body, numeric },
        },
    }
}

fn signed(value: i64) -> Styled {
    Styled { head: if value < 0 { "-" } else { "" }, body: value.unsigned_abs().to_string(), numeric: true }
}

fn character(code: u64) -> String {
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(c) if printable(c) => c.to_string(),
        _ if code < 0x100 => format!("\\x{code:02x}"),
        _ => format!("\\x{{{code:x}}}"),
    }
}

fn guest_string(addr: u64, memory: &GuestMemory) -> String {
    let mut out = String::new();
    match memory.read_c_string(addr, LONGEST_STRING) {
        Ok((bytes, ended)) => {
            escape(&mut out, &bytes, true);
            if !ended {
                out.push('…');
            }
        }
        Err(_) => put(&mut out, format_args!("<unreadable {addr:#x}>")),
    }
    out
}

/// Nanoseconds in a unit, with three decimals where the unit is coarser.
fn duration(ns: u64, unit: DurationUnit) -> String {
    let (per, name) = match unit {
        DurationUnit::Ns => return format!("{ns}ns"),
        DurationUnit::Us => (1_000, "us"),
        DurationUnit::Ms => (1_000_000, "ms"),
        DurationUnit::S => (1_000_000_000, "s"),
    };
    format!("{}.{:03}{name}", ns / per, ns % per / (per / 1_000))
}

fn pad(out: &mut String, value: &Styled, format: &Format) {
    if format.width == 0 {
        out.push_str(value.head);
        return out.push_str(&value.body);
    }
    let missing = usize::from(format.width).saturating_sub(value.head.len() + value.body.chars().count());
    let (left, zeros, right) = match format.align {
        Some(Align::Left) => (0, 0, missing),
        Some(Align::Right) => (missing, 0, 0),
        Some(Align::Center) => (missing / 2, 0, missing - missing / 2),
        None if value.numeric && format.zero => (0, missing, 0),
        None if value.numeric => (missing, 0, 0),
        None => (0, 0, missing),
    };
    out.extend(std::iter::repeat_n(' ', left));
    out.push_str(value.head);
    out.extend(std::iter::repeat_n('0', zeros));
    out.push_str(&value.body);
    out.extend(std::iter::repeat_n(' ', right));
}

/// Appends bytes as hexadecimal pairs with blanks between.
pub fn hex_pairs(out: &mut String, bytes: &[u8]) {
    for (n, byte) in bytes.iter().enumerate() {
        put(out, format_args!("{}{byte:02x}", if n == 0 { "" } else { " " }));
    }
}

/// Appends guest text: valid UTF-8 as it is, control characters and stray bytes as `\xNN`. `lines` keeps line feeds
/// and tabs.
pub fn escape(out: &mut String, bytes: &[u8], lines: bool) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if printable(c) || lines && matches!(c, '\n' | '\t') {
                out.push(c);
            } else if c == '\n' {
                out.push_str("\\n");
            } else {
                put(out, format_args!("\\x{:02x}", u32::from(c)));
            }
        }
        for byte in chunk.invalid() {
            put(out, format_args!("\\x{byte:02x}"));
        }
    }
}

/// Control characters are not, and neither are the marks that reorder text.
fn printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns a number with its thousands separated by blanks.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Returns the name of a Linux error number of either sign; the number if it has no name.
pub fn errno_name(number: i64) -> String {
    let index = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
    match ERRNO_NAMES.get(index) {
        Some(name) if !name.is_empty() => (*name).to_string(),
        _ => number.to_string(),
    }
}

/// By number, after Linux's `asm-generic/errno.h`, which all guests share.
#[rustfmt::skip]
const ERRNO_NAMES: [&str; 134] = [
    "", "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF",
    "ECHILD", "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV",
    "ENOTDIR", "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE",
    "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY",
    "ELOOP", "", "ENOMSG", "EIDRM", "ECHRNG", "EL2NSYNC", "EL3HLT", "EL3RST", "ELNRNG", "EUNATCH",
    "ENOCSI", "EL2HLT", "EBADE", "EBADR", "EXFULL", "ENOANO", "EBADRQC", "EBADSLT", "", "EBFONT",
    "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG", "EREMOTE", "ENOLINK", "EADV", "ESRMNT",
    "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG", "EOVERFLOW", "ENOTUNIQ", "EBADFD", "EREMCHG", "ELIBACC",
    "ELIBBAD", "ELIBSCN", "ELIBMAX", "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE", "EUSERS", "ENOTSOCK",
    "EDESTADDRREQ",
    "EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP", "EPFNOSUPPORT",
    "EAFNOSUPPORT", "EADDRINUSE", "EADDRNOTAVAIL",
    "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN",
    "ESHUTDOWN", "ETOOMANYREFS",
    "ETIMEDOUT", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE", "EUCLEAN",
    "ENOTNAM", "ENAVAIL",
    "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED", "ENOKEY", "EKEYEXPIRED",
    "EKEYREVOKED", "EKEYREJECTED",
    "EOWNERDEAD", "ENOTRECOVERABLE", "ERFKILL", "EHWPOISON",
];

/// Appends `before` and a number in hexadecimal. Most of what probes print is such numbers, for which the formatter of the
/// standard library takes three times as long.
pub(crate) fn hex(out: &mut String, before: &str, mut n: u64) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(n & 15) as usize];
        n >>= 4;
        if n == 0 {
            break;
        }
    }
    out.push_str(before);
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// As [`hex`] in decimal.
pub(crate) fn decimal(out: &mut String, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Formatting into a `String` cannot fail.
pub(crate) fn put(out: &mut String, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::perm;
    use crate::probe::attach::testing::TestSymbols;

    #[test]
    fn numbers_look_as_the_standard_library_has_them() {
        let near = |n: u64| [n.wrapping_sub(1), n, n.wrapping_add(1)];
        let shifts = (0..64).flat_map(|n| near(1 << n));
        let powers = (0..20).flat_map(|n| near(10u64.pow(n)));
        for n in shifts.chain(powers) {
            let (mut a, mut b) = (String::new(), String::new());
            hex(&mut a, "+0x", n);
            decimal(&mut b, n);
            assert_eq!((a, b), (format!("+{n:#x}"), n.to_string()));
            let mut signed = String::new();
            word(&mut signed, n, Type::I64, &TestSymbols::sample());
            assert_eq!(signed, (n as i64).to_string());
        }
    }

    fn shown(value: Value<'_>, ty: Type) -> String {
        let mut out = String::new();
        show(&mut out, value, ty, &TestSymbols::sample());
        out
    }

    fn text(bytes: &[u8], raw: bool) -> Value<'_> {
        Value::Text(TextRef { bytes, raw })
    }

    #[test]
    fn values_look_as_their_type_says() {
        let int = |bits, signed| Type::Int { bits, signed };
        let cases: [(Value<'_>, Type, &str); 17] = [
            (Value::Word(5), Type::Word, "0x5"),
            (Value::Word(0), Type::Word, "0x0"),
            (Value::Word(u64::MAX), Type::U64, "18446744073709551615"),
            (Value::Word(u64::MAX), Type::I64, "-1"),
            (Value::Word(-5i64 as u64), int(8, true), "-5"),
            (Value::Word(0), Type::Bool, "false"),
            (Value::Word(7), Type::Bool, "true"),
            (Value::Word(0x1000), Type::CodeAddr, "main"),
            (Value::Word(0x1014), Type::CodeAddr, "main+0x14"),
            (Value::Word(0x10), Type::CodeAddr, "0x10"),
            (Value::Word(0.1f64.to_bits()), Type::F64, "0.1"),
            (Value::Word(1f64.to_bits()), Type::F64, "1.0"),
            (Value::Word(u64::from(0.1f32.to_bits())), Type::F32, "0.1"),
            (Value::Wide(1 << 100), Type::U128, "0x10000000000000000000000000"),
            (text(b"a\x1b[31m\xff\n\tb", true), Type::Str, "a\\x1b[31m\\xff\n\tb"),
            (text("a\x1b[0m ß".as_bytes(), false), Type::Str, "a\x1b[0m ß"),
            (text(b"\xde\xad\x00", true), Type::Bytes, "de ad 00"),
        ];
        for (value, ty, expected) in cases {
            assert_eq!(shown(value, ty), expected, "{value:?} as {ty}");
        }
    }

    #[test]
    fn formats() {
        use FormatStyle::*;
        let memory = GuestMemory::new(u64::MAX >> 8).unwrap();
        memory.map_anonymous(0x1000, 0x1000, perm::READ | perm::WRITE, false).unwrap();
        memory.write(0x1100, b"hello\0").unwrap();
        let symbols = TestSymbols::sample();
        let view = View { symbols: &symbols, memory: &memory };
        let plain = Format::default();
        let style = |style| Format { style, ..plain };
        let i8_ = Type::Int { bits: 8, signed: true };
        let minus = Value::Word(-5i64 as u64);
        let cases: [(Value<'_>, Type, Format, &str); 35] = [
            (Value::Word(255), Type::Word, plain, "0xff"),
            (Value::Word(255), Type::Word, Format { width: 8, ..plain }, "    0xff"),
            (Value::Word(255), Type::Word, Format { width: 8, zero: true, ..plain }, "0x0000ff"),
            (Value::Word(255), Type::U64, style(Hex), "ff"),
            (Value::Word(255), Type::U64, Format { prefix: true, ..style(Hex) }, "0xff"),
            (Value::Word(255), Type::U64, Format { prefix: true, ..style(UpperHex) }, "0xFF"),
            (Value::Word(255), Type::U64, Format { width: 8, zero: true, ..style(Hex) }, "000000ff"),
            (Value::Word(255), Type::U64, Format { width: 8, zero: true, prefix: true, ..style(Hex) }, "0x0000ff"),
            (minus, i8_, style(Hex), "fb"),
            (minus, Type::I64, style(Hex), "fffffffffffffffb"),
            (minus, i8_, style(Binary), "11111011"),
            (minus, i8_, style(Decimal), "-5"),
            (minus, i8_, Format { width: 5, zero: true, ..style(Decimal) }, "-0005"),
            (minus, i8_, Format { width: 5, ..plain }, "   -5"),
            (minus, i8_, Format { width: 5, align: Some(Align::Left), ..plain }, "-5   "),
            (minus, i8_, Format { width: 5, align: Some(Align::Center), ..plain }, " -5  "),
            (Value::Word(5), Type::U64, Format { prefix: true, ..style(Binary) }, "0b101"),
            (Value::Word(8), Type::U64, Format { prefix: true, ..style(Octal) }, "010"),
            (Value::Word(0), Type::U64, Format { prefix: true, ..style(Octal) }, "0"),
            (Value::Word(65), Type::U64, style(Char), "A"),
            (Value::Word(0xdf), Type::U64, style(Char), "ß"),
            (Value::Word(27), Type::U64, style(Char), "\\x1b"),
            (Value::Word(0x11_0000), Type::U64, style(Char), "\\x{110000}"),
            (Value::Word(0x1014), Type::Word, style(Symbol), "main+0x14"),
            (Value::Word(0x1100), Type::Word, style(Str), "hello"),
            (Value::Word(8), Type::Word, style(Str), "<unreadable 0x8>"),
            (Value::Word(1_234_567), Type::U64, style(Duration(DurationUnit::Ms)), "1.234ms"),
            (Value::Word(1_234_567), Type::U64, style(Duration(DurationUnit::Us)), "1234.567us"),
            (Value::Word(1_234_567), Type::U64, style(Duration(DurationUnit::Ns)), "1234567ns"),
            (Value::Word(61_500_000_000), Type::U64, style(Duration(DurationUnit::S)), "61.500s"),
            (text(b"ab", true), Type::Str, Format { width: 4, ..plain }, "ab  "),
            (text(b"ab", true), Type::Str, Format { width: 4, align: Some(Align::Right), ..plain }, "  ab"),
            (text(b"\xde\xad", true), Type::Bytes, style(Hex), "dead"),
            (Value::Wide(u128::MAX), Type::U128, style(Decimal), "340282366920938463463374607431768211455"),
            (Value::Word(1.5f64.to_bits()), Type::F64, Format { width: 6, ..plain }, "   1.5"),
        ];
        for (value, ty, format, expected) in cases {
            let mut out = String::new();
            show_with(&mut out, value, ty, &format, &view);
            assert_eq!(out, expected, "{value:?} as {ty} with {format:?}");
        }
    }

    #[test]
    fn error_numbers_have_names() {
        for (number, expected) in [(2, "ENOENT"), (-2, "ENOENT"), (110, "ETIMEDOUT"), (133, "EHWPOISON")] {
            assert_eq!(errno_name(number), expected);
        }
        assert_eq!([0, 41, 134, i64::MIN].map(errno_name), ["0", "41", "134", "-9223372036854775808"]);
        assert_eq!(errno_name(libc::EKEYREJECTED.into()), "EKEYREJECTED");
    }

    #[test]
    fn thousands_are_separated() {
        for (number, expected) in [(0, "0"), (999, "999"), (1204, "1 204"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), expected);
        }
    }
}
