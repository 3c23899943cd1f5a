//! Shell patterns: `*`, `?` and `[…]`, matched against whole names.
//!
//! No character is special besides these and `\`, which takes the next one literally; `*` matches across `/` and
//! `::`, since names of functions and mnemonics are not paths. A `[` without its `]` stands for itself.

/// Tells whether all of `text` matches `pattern`. Takes at most time proportional to the product of their lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last star does not match: the star may take one character more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if let Some(width) = one(&pattern[p..], text[t]) {
            p += width;
            t += 1;
        } else if let Some((after_star, from)) = retry {
            p = after_star;
            t = from + 1;
            retry = Some((after_star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// True if `text` has a character that makes it a pattern.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Matches one character; returns how much of the pattern that took.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '\\' if pattern.len() > 1 => (pattern[1] == c).then_some(2),
        '[' => match set(pattern, c) {
            Some((matched, width)) => matched.then_some(width),
            None => (c == '[').then_some(1),
        },
        literal => (literal == c).then_some(1),
    }
}

/// Matches a set like `[a-z_]` or `[!0-9]`; returns whether it matched and its length. `None` if it has no end.
fn set(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    // A bracket in the first place is a member.
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|&c| c == ']')?;
    let members = &pattern[first..end];
    let mut found = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            found |= (members[at]..=members[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= members[at] == c;
            at += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, yes, no) in [
            ("mem*", &["mem", "memcpy"][..], &["xmemcpy", "me"][..]),
            ("*cpy", &["strcpy", "cpycpy"], &["cpyx"]),
            ("a*b*c", &["abc", "axxbyyc", "abbcc"], &["acb", "ab"]),
            ("?", &["a", "é"], &["", "ab"]),
            ("x[0-9]", &["x0", "x9"], &["x", "xa", "x10"]),
            ("[!a-c]*", &["d", "zebra"], &["a", "b1", ""]),
            ("[]]", &["]"], &["["]),
            ("operator[", &["operator["], &["operator"]),
            ("\\*", &["*"], &["a"]),
            ("", &[""], &["a"]),
            ("*", &["", "anything::at<all>"], &[]),
            ("**a**", &["a", "bab"], &["b"]),
        ] {
            for text in yes {
                assert!(matches(pattern, text), "{pattern} should match {text}");
            }
            for text in no {
                assert!(!matches(pattern, text), "{pattern} should not match {text}");
            }
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        assert!(!matches(&("*a".repeat(100) + "b"), &"a".repeat(5000)));
    }
}
