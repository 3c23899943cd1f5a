//! Globs as scripts write them: `*` is any text, `?` any one character, everything else itself.
//!
//! No brackets and no escapes: `operator[]` and `std::vector<int>` are names, and names are what globs match here.

/// True if all of `text` matches `pattern`.
pub fn matches(pattern: &str, text: &str) -> bool {
    matches_bytes(pattern.as_bytes(), text.as_bytes())
}

/// As [`matches`], for text that need not be UTF-8; `?` takes a whole UTF-8 sequence where there is one.
pub fn matches_bytes(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` does not match: one character further in the text.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() || p < pattern.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                Some((p + 1, t))
            }
            Some(b'?') if t < text.len() => Some((p + 1, t + char_len(&text[t..]))),
            Some(&c) if text.get(t) == Some(&c) => Some((p + 1, t + 1)),
            _ => None,
        };
        (p, t) = match (step, retry) {
            (Some(next), _) => next,
            (None, Some((star, from))) if from < text.len() => {
                retry = Some((star, from + 1));
                (star + 1, from + 1)
            }
            _ => return false,
        };
    }
    true
}

/// What all texts that match `pattern` begin with.
pub fn literal(pattern: &str) -> &str {
    &pattern[..pattern.find(['*', '?']).unwrap_or(pattern.len())]
}

/// Length of the character that `text`, which is not empty, begins with; 1 for a byte that is none.
fn char_len(text: &[u8]) -> usize {
    let longest = &text[..text.len().min(4)];
    (1..=longest.len()).find(|&n| std::str::from_utf8(&longest[..n]).is_ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        let cases = [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("mem*", "memcpy", true),
            ("mem*", "amemcpy", false),
            ("*cpy", "memcpycpy", true),
            ("m?m*y", "memory", true),
            ("m?m", "mm", false),
            ("a*b*c", "axxbxxbxc", true),
            ("a*b*c", "axxbxxbxd", false),
            ("?", "ß", true),
            ("std::vec*", "std::vector<int>", true),
            ("operator[]", "operator[]", true),
            ("/etc/*.conf", "/etc/a/b.conf", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        assert!(!matches(&"*a".repeat(40), &"a".repeat(30)));
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert!(matches_bytes(b"a?c", b"a\xffc"));
        assert!(matches_bytes(b"*\xff", b"xx\xff"));
    }
}
