//! What differs between two lists that should be the same.

use std::collections::{BTreeMap, VecDeque};

/// By their places in the lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// Expected, and not there.
    pub(super) missing: Vec<usize>,
    /// There, and not expected.
    pub(super) extra: Vec<usize>,
    /// There, and not where it was expected: as few as possible.
    pub(super) moved: Vec<(usize, usize)>,
}

/// Compares them in `n log n` of their length.
pub(super) fn compare<T: Ord>(expected: &[T], actual: &[T]) -> Differences {
    let same = expected.iter().zip(actual).take_while(|(one, other)| one == other).count();
    let mut places: BTreeMap<&T, VecDeque<usize>> = BTreeMap::new();
    for (at, item) in expected.iter().enumerate().skip(same) {
        places.entry(item).or_default().push_back(at);
    }
    let mut differences = Differences::default();
    let mut found = Vec::new();
    for (at, item) in actual.iter().enumerate().skip(same) {
        match places.get_mut(item).and_then(VecDeque::pop_front) {
            Some(place) => found.push((place, at)),
            None => differences.extra.push(at),
        }
    }
    differences.missing = places.into_values().flatten().collect();
    differences.missing.sort_unstable();
    let kept = longest_rising(&found);
    differences.moved =
        found.iter().enumerate().filter(|(n, _)| !kept.contains(n)).map(|(_, it)| *it).collect();
    differences
}

/// Which of the pairs stay, when as few as possible go so that the rest is in order.
fn longest_rising(pairs: &[(usize, usize)]) -> std::collections::BTreeSet<usize> {
    // The last pairs of the best runs of each length, and for each pair the one before it in its run.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
    for (n, (place, _)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| pairs[end].0 < *place);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(n);
        } else {
            ends[length] = n;
        }
    }
    std::iter::successors(ends.last().copied(), |&n| before[n]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(expected: &str, actual: &str) -> (Vec<usize>, Vec<usize>, Vec<(usize, usize)>) {
        let found = compare(expected.as_bytes(), actual.as_bytes());
        (found.missing, found.extra, found.moved)
    }

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        assert_eq!(differences("abcabc", "abcabc"), (vec![], vec![], vec![]));
        assert_eq!(differences("abcabc", "abcab"), (vec![5], vec![], vec![]));
        assert_eq!(differences("abc", "xabc"), (vec![], vec![0], vec![]));
        assert_eq!(differences("abc", "axc"), (vec![1], vec![1], vec![]));
        assert_eq!(differences("abcde", "aebcd"), (vec![], vec![], vec![(4, 1)]));
        assert_eq!(differences("abcde", "bcdea"), (vec![], vec![], vec![(0, 4)]));
        assert_eq!(differences("aab", "aaab"), (vec![], vec![2], vec![]));
        assert_eq!(differences("", "a"), (vec![], vec![0], vec![]));
    }
}
