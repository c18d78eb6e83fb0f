//! Path patterns: `*` inside a segment, `?` one character of it, `**` any number of whole segments (D-065).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Whether some path is matched by both patterns. Paths without operators are patterns too.
///
/// Cost: the product of the numbers of segments, and inside a pair of segments the product of their lengths, 64 positions
/// at a time.
pub fn intersects(a: &str, b: &str) -> bool {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('/').collect(), b.split('/').collect());
    let mut above: Vec<bool> = Vec::new();
    for i in 0..=a.len() {
        let item_a = i.checked_sub(1).and_then(|i| a.get(i));
        let mut row: Vec<bool> = Vec::with_capacity(b.len() + 1);
        for j in 0..=b.len() {
            let item_b = j.checked_sub(1).and_then(|j| b.get(j));
            // One segment fewer on one side, on the other, on both; the empty pair has no predecessor.
            let without_a = above.get(j).copied().unwrap_or(false);
            let without_b = row.last().copied().unwrap_or(false);
            let without_both = j.checked_sub(1).and_then(|j| above.get(j)).copied().unwrap_or(false);
            // A run stands for nothing (one fewer on its own side) or takes a segment (one fewer on the other).
            let by_run = item_a.is_some_and(is_deep) || item_b.is_some_and(is_deep);
            let by_item = || item_a.zip(item_b).is_some_and(|(a, b)| segments_intersect(a, b));
            row.push(i + j == 0 || by_run && (without_a || without_b) || without_both && by_item());
        }
        above = row;
    }
    above.last().copied().unwrap_or(false)
}

/// Whether `path`, taken literally, is matched by `pattern`.
pub fn matches(pattern: &str, path: &str) -> bool {
    fits(pattern.split('/'), path.split('/'), is_deep, |pattern, segment| segment_matches(pattern, segment))
}

/// The segments that every path matched by `pattern` begins with, as a path; all of it where it has no operators.
pub fn literal_beginning(pattern: &str) -> &str {
    let Some(operator) = pattern.find(OPERATORS) else { return pattern };
    let literal = pattern.get(..operator).unwrap_or_default();
    literal.rfind('/').and_then(|end| literal.get(..end)).unwrap_or_default()
}

const OPERATORS: [char; 2] = ['*', '?'];

fn is_deep(segment: &&str) -> bool {
    *segment == "**"
}

fn is_star(character: &char) -> bool {
    *character == '*'
}

fn segment_matches(pattern: &str, segment: &str) -> bool {
    if pattern.is_ascii() && segment.is_ascii() {
        return fits(
            pattern.bytes(),
            segment.bytes(),
            |byte| *byte == b'*',
            |pattern, byte| *pattern == b'?' || pattern == byte,
        );
    }
    fits(pattern.chars(), segment.chars(), is_star, |pattern, character| {
        *pattern == '?' || pattern == character
    })
}

/// Whether items fit a pattern of items and runs. Where the rest does not fit, the last run takes one item more; earlier
/// runs need not be tried again, as the last one can take whatever they would.
fn fits<P: Iterator + Clone, T: Iterator + Clone>(
    mut pattern: P,
    mut items: T,
    is_run: impl Fn(&P::Item) -> bool,
    one: impl Fn(&P::Item, &T::Item) -> bool,
) -> bool {
    let mut last_run: Option<(P, T)> = None;
    loop {
        let goes_on = match (pattern.next(), items.clone().next()) {
            (Some(wanted), _) if is_run(&wanted) => {
                last_run = Some((pattern.clone(), items.clone()));
                true
            }
            // Another item for the run would leave even fewer for what is still wanted.
            (Some(_), None) => return false,
            (Some(wanted), Some(item)) => {
                items.next();
                one(&wanted, &item)
            }
            (None, None) => return true,
            (None, Some(_)) => false,
        };
        if !goes_on {
            let Some((rest, from)) = &mut last_run else { return false };
            from.next();
            (pattern, items) = (rest.clone(), from.clone());
        }
    }
}

fn segments_intersect(a: &str, b: &str) -> bool {
    match (a.contains(OPERATORS), b.contains(OPERATORS)) {
        (false, false) => a == b,
        (true, false) => segment_matches(a, b),
        (false, true) => segment_matches(b, a),
        (true, true) => stars_meet(a, b),
    }
}

/// Whether two patterns of one segment have a common reading: the reachable pairs of positions, a row of the table at a
/// time, a position of `b` to a bit.
fn stars_meet(a: &str, b: &str) -> bool {
    let (a, b) = (runs_joined(a), runs_joined(b));
    let mut runs = Bits::none(b.len() + 1);
    let mut any = Bits::none(b.len() + 1);
    let mut places: BTreeMap<char, Bits> = a.iter().map(|c| (*c, Bits::none(b.len() + 1))).collect();
    for (before, c) in b.iter().enumerate() {
        if is_star(c) {
            runs.set(before + 1);
            continue;
        }
        any.set(before + 1);
        match places.get_mut(c) {
            _ if *c == '?' => places.values_mut().for_each(|places| places.set(before + 1)),
            Some(places) => places.set(before + 1),
            None => {}
        }
    }
    let mut row = Bits::none(b.len() + 1);
    row.set(0);
    row.join_shifted(&row.clone(), &runs);
    for c in &a {
        if is_star(c) {
            row.fill_up();
            continue;
        }
        let here = if *c == '?' { Some(&any) } else { places.get(c) };
        let mut next = row.clone();
        next.keep(&runs); // a run of `b` takes this character
        if let Some(here) = here {
            next.join_shifted(&row, here);
        }
        next.join_shifted(&next.clone(), &runs); // a run of `b` may stand for nothing
        row = next;
    }
    row.has(b.len())
}

/// The characters, neighbouring runs made one.
fn runs_joined(segment: &str) -> Vec<char> {
    let mut characters: Vec<char> = segment.chars().collect();
    characters.dedup_by(|next, last| is_star(next) && is_star(last));
    characters
}

/// A set of positions.
#[derive(Clone)]
struct Bits(Vec<u64>);

impl Bits {
    /// Room for `positions`, none of them in it.
    fn none(positions: usize) -> Self {
        Self(alloc::vec![0; positions.div_ceil(64)])
    }

    fn set(&mut self, position: usize) {
        if let Some(word) = self.0.get_mut(position / 64) {
            *word |= 1 << (position % 64);
        }
    }

    fn has(&self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    /// Keeps what is in `others` too.
    fn keep(&mut self, others: &Self) {
        self.0.iter_mut().zip(&others.0).for_each(|(word, other)| *word &= other);
    }

    /// Adds the position after each of `from`, where it is in `allowed`.
    fn join_shifted(&mut self, from: &Self, allowed: &Self) {
        let mut carry = 0;
        for ((word, from), allowed) in self.0.iter_mut().zip(&from.0).zip(&allowed.0) {
            *word |= (from << 1 | carry) & allowed;
            carry = from >> 63;
        }
    }

    /// Adds every position after the first one.
    fn fill_up(&mut self) {
        let mut begun = false;
        for word in &mut self.0 {
            if begun {
                *word = u64::MAX;
            } else if *word != 0 {
                *word = u64::MAX << word.trailing_zeros();
                begun = true;
            }
        }
    }
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

    /// The table of reachable pairs of positions, character by character: what the faster ways must agree with.
    fn by_the_book(a: &str, b: &str, b_is_pattern: bool) -> bool {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let run = |c: char, is_pattern: bool| is_pattern && c == '*';
        let mut reach = alloc::vec![alloc::vec![false; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                reach[i][j] = i + j == 0
                    || i > 0
                        && (run(a[i - 1], true) || j > 0 && run(b[j - 1], b_is_pattern))
                        && reach[i - 1][j]
                    || j > 0
                        && (run(b[j - 1], b_is_pattern) || i > 0 && run(a[i - 1], true))
                        && reach[i][j - 1]
                    || i > 0
                        && j > 0
                        && reach[i - 1][j - 1]
                        && (a[i - 1] == b[j - 1] || a[i - 1] == '?' || b_is_pattern && b[j - 1] == '?');
            }
        }
        reach[a.len()][b.len()]
    }

    proptest::proptest! {
        #[test]
        fn segments_are_compared_as_the_table_says(a in "[abé*?]{0,8}", b in "[abé*?]{0,8}") {
            proptest::prop_assert_eq!(segments_intersect(&a, &b), by_the_book(&a, &b, true), "{} and {}", a, b);
            proptest::prop_assert_eq!(segment_matches(&a, &b), by_the_book(&a, &b, false), "{} on {}", a, b);
        }

        #[test]
        fn what_a_pattern_matches_begins_as_it_does(pattern in "([ab*?]{0,2}/){0,3}[ab*]{0,2}", path in "([ab]/){0,3}[ab]") {
            let beginning = literal_beginning(&pattern);
            let inside = path == beginning || beginning.is_empty() || path.starts_with(&alloc::format!("{beginning}/"));
            proptest::prop_assert!(inside || !matches(&pattern, &path), "{pattern} on {path}");
        }
    }

    #[test]
    fn long_segments_take_more_than_one_word() {
        let (stars, literal) = ("*a".repeat(100), "a".repeat(100));
        for (tail, meet) in [("", true), ("b", false)] {
            let with = |text: &str| alloc::format!("{text}{tail}");
            assert_eq!(intersects(&stars, &with(&stars)), meet);
            assert_eq!(matches(&with(&stars), &literal), meet);
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
