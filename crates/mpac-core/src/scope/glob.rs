//! Path patterns: `*` inside a segment, `?` one character of it, `**` any number of whole segments (D-065).

use alloc::vec::Vec;

/// Whether some path is matched by both patterns. Paths without operators are patterns too.
///
/// Cost: the product of the two lengths, segment by segment.
pub fn intersects(a: &str, b: &str) -> bool {
    meet(&segments(a), &segments(b), is_deep, is_deep, |a, b| {
        meet(&characters(a), &characters(b), is_star, is_star, |a, b| a == b || *a == '?' || *b == '?')
    })
}

/// Whether `path`, taken literally, is matched by `pattern`.
pub fn matches(pattern: &str, path: &str) -> bool {
    meet(
        &segments(pattern),
        &segments(path),
        is_deep,
        |_| false,
        |pattern, path| {
            meet(
                &characters(pattern),
                &characters(path),
                is_star,
                |_| false,
                |c, literal| *c == '?' || c == literal,
            )
        },
    )
}

fn segments(pattern: &str) -> Vec<&str> {
    pattern.split('/').collect()
}

fn characters(segment: &str) -> Vec<char> {
    segment.chars().collect()
}

fn is_deep(segment: &&str) -> bool {
    *segment == "**"
}

fn is_star(character: &char) -> bool {
    *character == '*'
}

/// Whether two sequences have a common reading. `any_*` says which items stand for any run on their side, `one`
/// whether two items can be the same.
///
/// The reachable pairs of positions, a row of the table at a time.
fn meet<T>(
    a: &[T],
    b: &[T],
    any_a: impl Fn(&T) -> bool,
    any_b: impl Fn(&T) -> bool,
    one: impl Fn(&T, &T) -> bool,
) -> bool {
    let mut above: Vec<bool> = Vec::new();
    for i in 0..=a.len() {
        let item_a = i.checked_sub(1).and_then(|i| a.get(i));
        let mut row: Vec<bool> = Vec::with_capacity(b.len() + 1);
        for j in 0..=b.len() {
            let item_b = j.checked_sub(1).and_then(|j| b.get(j));
            // One item fewer on one side, on the other, on both; the empty pair has no predecessor.
            let without_a = above.get(j).copied().unwrap_or(false);
            let without_b = row.last().copied().unwrap_or(false);
            let without_both = j.checked_sub(1).and_then(|j| above.get(j)).copied().unwrap_or(false);
            // A run stands for nothing (one fewer on its own side) or takes an item (one fewer on the other).
            let by_run = item_a.is_some_and(&any_a) || item_b.is_some_and(&any_b);
            let by_item = || item_a.zip(item_b).is_some_and(|(a, b)| one(a, b));
            row.push(i + j == 0 || by_run && (without_a || without_b) || without_both && by_item());
        }
        above = row;
    }
    above.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_share_a_path() {
        for (a, b) in [
            ("src/*.rs", "src/lib.rs"),
            ("src/**", "src/a/b"),
            ("**/x.py", "a/b/*.py"),
            ("a/*/c", "a/b/*"),
            ("a/b*", "a/*c"),
            ("src/**", "src"),
            ("**", "a"),
            ("**/**", "a/b"),
            ("a?c", "abc"),
            ("*", "**"),
        ] {
            assert!(intersects(a, b) && intersects(b, a), "{a} and {b}");
        }
    }

    #[test]
    fn patterns_that_share_none() {
        for (a, b) in [
            ("src/*", "src/a/b"),
            ("*.py", "*.rs"),
            ("a/**/b", "a/c"),
            ("a?c", "ac"),
            ("**/x", "x/y"),
            ("a", "a/*"),
            ("*", "a/**/b"),
        ] {
            assert!(!intersects(a, b) && !intersects(b, a), "{a} and {b}");
        }
    }

    #[test]
    fn a_path_is_taken_literally() {
        assert!(matches("a/*", "a/b*"));
        assert!(!matches("a/b", "a/*"));
        assert!(matches("**/b", "a/?/b"));
        assert!(!matches("?", "**"));
    }
}
