//! Two changes of one text put together, where they do not touch.

use std::fmt::Write as _;

use similar::TextMerge;

/// With more lines than this in one of the texts nothing is merged: comparing two that have little in common takes time that
/// may grow with the square of their length (at this one below three seconds without any optimisation).
const MOST_LINES: usize = 20_000;

/// What became of two changes of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// Both are in it.
    Text(String),
    /// They change the same lines, or lines next to each other: somebody has to understand them.
    Clash,
}

/// Merges by whole lines, line ends included: what turned `base` into `ours` and what turned it into `theirs`. A line that
/// one side added, changed or took away is so in the result; the same change on both sides counts once. Changes with no line
/// between them that both left alone are a clash, as for `git merge`.
#[must_use]
pub fn merge(base: &str, ours: &str, theirs: &str) -> Merged {
    // Of the trivial ones nothing has to be compared, however long they are.
    if ours == theirs || base == ours {
        return Merged::Text(theirs.to_owned());
    }
    if base == theirs {
        return Merged::Text(ours.to_owned());
    }
    if [base, ours, theirs].iter().any(|text| count_lines(text) > MOST_LINES) {
        return Merged::Clash;
    }
    let merge = TextMerge::from_lines(base, ours, theirs);
    if merge.is_conflicted() {
        return Merged::Clash;
    }
    let mut text = String::with_capacity(ours.len().max(theirs.len()));
    match write!(text, "{merge}") {
        Ok(()) => Merged::Text(text),
        // Writing to a String cannot fail.
        Err(_) => Merged::Clash,
    }
}

/// How many lines are compared: a lone carriage return ends one as well.
fn count_lines(text: &str) -> usize {
    text.lines().map(|line| 1 + line.matches('\r').count()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(merged: &str) -> Merged {
        Merged::Text(merged.to_owned())
    }

    #[test]
    fn too_many_lines_are_not_merged_whatever_ends_them() {
        for end in ["\n", "\r\n", "\r"] {
            let text = |first: &str, last: &str| {
                let middle: String = (2..=MOST_LINES).map(|number| format!("{number}{end}")).collect();
                format!("{first}{end}{middle}{last}")
            };
            let (base, ours) = (text("a", ""), text("A", ""));
            assert_eq!(count_lines(&base), MOST_LINES + usize::from(end == "\r"), "{end:?}");
            assert_eq!(merge(&base, &ours, &base), Merged::Text(ours.clone()), "nothing is to be compared");
            assert_eq!(merge(&base, &ours, &text("a", "one\ntwo")), Merged::Clash, "{end:?}");
        }
        let lone = "a\rb\rc\rd\re";
        assert_eq!(merge(lone, "A\rb\rc\rd\re", "a\rb\rc\rd\rE"), text("A\rb\rc\rd\rE"));
    }

    #[test]
    fn changes_with_a_line_between_them_are_put_together() {
        let base = "a\nb\nc\nd\ne\n";
        assert_eq!(merge(base, "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n"), text("A\nb\nc\nd\nE\n"));
        assert_eq!(merge(base, "b\nc\nd\ne\n", "a\nb\nc\nx\nd\ne\n"), text("b\nc\nx\nd\ne\n"));
        assert_eq!(merge(base, "0\na\nb\nc\nd\ne\n", "a\nb\nc\nd\ne\nf\n"), text("0\na\nb\nc\nd\ne\nf\n"));
        assert_eq!(merge(base, "a\nc\nd\ne\n", "a\nb\nc\nd\n"), text("a\nc\nd\n"));
    }

    #[test]
    fn changes_of_the_same_lines_or_of_neighbours_clash() {
        let base = "a\nb\nc\n";
        for (ours, theirs) in [
            ("A\nb\nc\n", "Z\nb\nc\n"),
            ("A\nb\nc\n", "a\nB\nc\n"),
            ("a\nb\nc\nours\n", "a\nb\nc\ntheirs\n"),
            ("a\nb\nC\n", "a\nb\nc\ntheirs\n"),
            ("A\nb\nc\n", ""),
        ] {
            assert_eq!(merge(base, ours, theirs), Merged::Clash, "{ours:?} {theirs:?}");
            assert_eq!(merge(base, theirs, ours), Merged::Clash, "{theirs:?} {ours:?}");
        }
        assert_eq!(merge("", "ours\n", "theirs\n"), Merged::Clash, "two new files of the same name");
    }

    #[test]
    fn the_same_change_counts_once_beside_another() {
        assert_eq!(merge("a\nb\nc\nd\n", "A\nb\nc\nD\n", "A\nb\nc\nd\n"), text("A\nb\nc\nD\n"));
    }

    #[test]
    fn line_ends_and_a_missing_last_one_stay() {
        let base = "a\r\nb\r\nc\r\nd";
        assert_eq!(merge(base, "A\r\nb\r\nc\r\nd", "a\r\nb\r\nc\r\nD"), text("A\r\nb\r\nc\r\nD"));
        assert_eq!(merge("a\nb\nc", "A\nb\nc", "a\nb\nc\n"), text("A\nb\nc\n"), "the line end is theirs");
        // Other line ends on one side are a change of every line.
        assert_eq!(merge("a\nb\nc\n", "a\r\nb\r\nc\r\n", "a\nb\nC\n"), Merged::Clash);
    }

    #[test]
    fn what_would_take_too_long_is_not_tried() {
        let long = |word: &str| format!("{word}\n").repeat(MOST_LINES + 1);
        assert_eq!(
            merge(&long("a"), &format!("x\n{}", long("a")), &format!("{}y\n", long("a"))),
            Merged::Clash
        );
        assert_eq!(merge(&long("a"), &long("a"), "b"), text("b"), "nothing of ours is in it");
    }

    /// Texts of few different lines, so that they often agree; sometimes without an end of the last line.
    fn lines() -> impl Strategy<Value = String> {
        let line = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d\r"), Just("")];
        (proptest::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, ended)| {
            let mut text = lines.join("\n");
            if ended && !lines.is_empty() {
                text.push('\n');
            }
            text
        })
    }

    /// A text of numbered lines, and a change of it that keeps, drops, replaces and adds some, each marked with `mark`.
    fn changed(base: &[String], choices: &[u8], mark: &str) -> Vec<String> {
        let mut out = Vec::new();
        for (at, line) in base.iter().enumerate() {
            match choices.get(at).copied().unwrap_or_default() {
                1 => {}
                2 => out.push(format!("{mark} for {line}")),
                3 => out.extend([format!("{mark} before {line}"), line.clone()]),
                _ => out.push(line.clone()),
            }
        }
        out
    }

    fn joined(lines: &[String]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    proptest! {
        #[test]
        fn one_change_alone_is_the_result(base in lines(), other in lines()) {
            prop_assert_eq!(merge(&base, &base, &other), text(&other));
            prop_assert_eq!(merge(&base, &other, &base), text(&other));
            prop_assert_eq!(merge(&base, &other, &other), text(&other));
        }

        #[test]
        fn it_does_not_matter_who_is_who(base in lines(), ours in lines(), theirs in lines()) {
            prop_assert_eq!(merge(&base, &ours, &theirs), merge(&base, &theirs, &ours));
        }

        #[test]
        fn no_line_is_lost_or_comes_back(
            count in 1..20_usize,
            mine in proptest::collection::vec(0..10_u8, 20),
            yours in proptest::collection::vec(0..10_u8, 20),
        ) {
            let base: Vec<String> = (0..count).map(|at| format!("line {at}")).collect();
            let (ours, theirs) = (changed(&base, &mine, "mine"), changed(&base, &yours, "yours"));
            if let Merged::Text(merged) = merge(&joined(&base), &joined(&ours), &joined(&theirs)) {
                let merged: Vec<&str> = merged.lines().collect();
                let has = |line: &String| merged.contains(&line.as_str());
                for line in ours.iter().chain(&theirs).filter(|line| !base.contains(line)) {
                    prop_assert!(has(line), "{line} is lost");
                }
                for line in &base {
                    let kept = ours.contains(line) && theirs.contains(line);
                    prop_assert_eq!(has(line), kept, "{}", line);
                }
            }
        }

        #[test]
        fn changes_two_lines_apart_never_clash(count in 3..30_usize, first in 0..27_usize, gap in 2..10_usize) {
            let base: Vec<String> = (0..count).map(|at| format!("line {at}")).collect();
            let (first, second) = (first % count, first % count + gap);
            prop_assume!(second < count);
            let at = |place: usize, mark: &str| {
                let mut lines = base.clone();
                lines[place] = mark.to_owned();
                joined(&lines)
            };
            let mut both = base.clone();
            (both[first], both[second]) = ("mine".to_owned(), "yours".to_owned());
            prop_assert_eq!(merge(&joined(&base), &at(first, "mine"), &at(second, "yours")), text(&joined(&both)));
        }
    }
}
