//! "Did you mean": the nearest name out of a list that comes from the world (registers, events, symbols, labels).

/// Returns the candidate that `name` is most likely a misspelling of.
///
/// The distance is Damerau–Levenshtein on case-folded text, so that two transposed letters count as one mistake; it has to be at
/// most 2 and at most a third of the name's length. Among equally near ones the longest common prefix wins, then the order.
pub fn nearest<I, S>(name: &str, candidates: I) -> Option<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let wanted = folded(name);
    let limit = allowed(wanted.len());
    let mut best: Option<(usize, usize, String)> = None;
    for candidate in candidates {
        let text = candidate.as_ref();
        let letters = folded(text);
        if letters.len().abs_diff(wanted.len()) > limit || text == name {
            continue;
        }
        let distance = distance(&wanted, &letters);
        if distance > limit || (distance > 0 && distance >= letters.len()) {
            continue;
        }
        let prefix = common_prefix(&wanted, &letters);
        let better = match &best {
            None => true,
            Some((d, p, _)) => distance < *d || (distance == *d && prefix > *p),
        };
        if better {
            best = Some((distance, prefix, text.to_string()));
        }
    }
    best.map(|(_, _, text)| text)
}

/// Names of two letters may differ in one (`xo` for `x0`), longer ones in a third of their letters, at most two.
fn allowed(length: usize) -> usize {
    match length {
        0 | 1 => 0,
        2 => 1,
        n => (n / 3).min(2),
    }
}

fn folded(text: &str) -> Vec<char> {
    text.chars().take(256).flat_map(char::to_lowercase).collect()
}

fn common_prefix(a: &[char], b: &[char]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// Returns the optimal string alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposition_is_one_mistake() {
        let verbs = ["print", "write", "trace"];
        assert_eq!(nearest("wriet", verbs).as_deref(), Some("write"));
        assert_eq!(nearest("prnt", verbs).as_deref(), Some("print"));
        assert_eq!(nearest("printf", verbs).as_deref(), Some("print"));
    }

    #[test]
    fn far_names_are_not_proposed() {
        assert_eq!(nearest("completely", ["print", "write"]), None);
        assert_eq!(nearest("x", ["y"]), None);
    }

    #[test]
    fn case_and_prefix_decide_between_equals() {
        assert_eq!(nearest("Main", ["pain", "main"]).as_deref(), Some("main"));
        assert_eq!(nearest("x31", ["w31", "x30", "x3"]).as_deref(), Some("x30"));
    }
}
