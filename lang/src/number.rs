//! Number literals: `42 0x1f 0b101 1_000 64K 1M 10ms`.

/// Reads an integer literal as the grammar writes them; `None` if it has more than 128 bits or is none.
pub(crate) fn int(text: &str) -> Option<u128> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(hex) = digits.strip_prefix("0x") {
        return u128::from_str_radix(hex, 16).ok();
    }
    if let Some(binary) = digits.strip_prefix("0b") {
        return u128::from_str_radix(binary, 2).ok();
    }
    let (number, unit) = match digits.strip_suffix(['K', 'M', 'G']) {
        Some(number) => (number, digits.as_bytes()[digits.len() - 1]),
        None => (digits.as_str(), 0),
    };
    let factor = match unit {
        b'K' => 1 << 10,
        b'M' => 1 << 20,
        b'G' => 1 << 30,
        _ => 1,
    };
    number.parse::<u128>().ok()?.checked_mul(factor)
}

/// Reads a time literal in nanoseconds; `None` if it does not fit.
pub(crate) fn time(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let factor = match &text[end..] {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        _ => return None,
    };
    text[..end].parse::<u64>().ok()?.checked_mul(factor)
}

/// True if a token that starts with a digit is one of the language's numbers.
pub(crate) fn well_formed(text: &str) -> bool {
    let digits = |s: &str, ok: fn(&char) -> bool| !s.is_empty() && s.chars().all(|c| ok(&c) || c == '_');
    let plain = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.starts_with('_') && digits(hex, char::is_ascii_hexdigit);
    }
    if let Some(binary) = text.strip_prefix("0b") {
        return !binary.starts_with('_') && digits(binary, |c| matches!(c, '0' | '1'));
    }
    if let Some((whole, fraction)) = text.split_once('.') {
        return plain(whole) && plain(fraction);
    }
    let units = ["K", "M", "G", "ns", "us", "ms", "s", "min"];
    digits(text, char::is_ascii_digit) || units.iter().any(|unit| text.strip_suffix(unit).is_some_and(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_have_their_values() {
        let cases: &[(&str, Option<u128>)] = &[
            ("42", Some(42)),
            ("1_000", Some(1000)),
            ("0x1_f", Some(31)),
            ("0b101", Some(5)),
            ("64K", Some(65536)),
            ("2G", Some(2 << 30)),
            ("0xffffffffffffffffffffffffffffffff", Some(u128::MAX)),
            ("0x1ffffffffffffffffffffffffffffffff", None),
        ];
        for (text, expected) in cases {
            assert_eq!(int(text), *expected, "{text}");
            assert!(well_formed(text), "{text}");
        }
        assert_eq!(time("10ms"), Some(10_000_000));
        assert_eq!(time("99999999999999999min"), None);
    }

    #[test]
    fn malformed_numbers_are_told_from_good_ones() {
        for text in ["0x80g", "0x", "0b12", "12ab", "1.", "1.x", "10KB"] {
            assert!(!well_formed(text), "{text}");
        }
        assert!(well_formed("1.5") && well_formed("10us"));
    }
}
