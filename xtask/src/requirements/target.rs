//! What has to be covered: every MUST that is not deliberately open, and nine in ten of the SHOULDs outside SEC.
//!
//! `fixtures/requirements-open.txt` names the MUSTs that are open, each with the part of the project that brings it and
//! the reason.

use std::collections::BTreeSet;

use super::list::{Level, Requirement};
use crate::step::Failure;

/// Where the list of what is open is.
pub(super) const PATH: &str = "fixtures/requirements-open.txt";

/// Of a hundred SHOULDs outside SEC, how many at least.
const SHOULDS: usize = 90;

/// A MUST that no test covers yet, on purpose.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Open {
    pub(super) id: String,
    /// The part of the project that brings it.
    pub(super) part: u8,
    pub(super) reason: String,
}

/// Reads what is open; `known` is the list of rules.
///
/// # Errors
/// All rows that are not `ID  part N  reason` of a MUST, each with its line.
pub(super) fn parse(list: &str, known: &[Requirement]) -> Result<Vec<Open>, Failure> {
    let mut rows: Vec<Open> = Vec::new();
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(list.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match row(line, known) {
            Ok(row) if rows.iter().any(|other| other.id == row.id) => {
                wrong.push(format!("{PATH}:{number}: {} stands here again", row.id));
            }
            Ok(row) => rows.push(row),
            Err(what) => wrong.push(format!("{PATH}:{number}: {what}")),
        }
    }
    if wrong.is_empty() { Ok(rows) } else { Err(Failure::check(wrong.join("\n"))) }
}

fn row(line: &str, known: &[Requirement]) -> Result<Open, String> {
    let mut words = line.split_whitespace();
    let (id, part, number) = (words.next(), words.next(), words.next());
    let reason = words.collect::<Vec<_>>().join(" ");
    let (Some(id), Some("part"), Some(Ok(part))) = (id, part, number.map(str::parse)) else {
        return Err(format!("`{line}` is not of the form `ID  part N  reason`"));
    };
    let Some(rule) = known.iter().find(|rule| rule.id == id) else {
        return Err(format!("{id} does not exist"));
    };
    if rule.level != Some(Level::Must) {
        return Err(format!("{id} is no MUST: only those have to be covered one by one"));
    }
    if reason.is_empty() {
        return Err(format!("{id} has no reason"));
    }
    Ok(Open { id: id.to_owned(), part, reason })
}

/// How many rules of a level outside `except` are covered, and how many there are.
pub(super) fn count(
    known: &[Requirement],
    covered: &BTreeSet<String>,
    level: Level,
    in_area: impl Fn(&str) -> bool,
) -> (usize, usize) {
    let rules: Vec<_> =
        known.iter().filter(|rule| rule.level == Some(level) && in_area(rule.area())).collect();
    (rules.iter().filter(|rule| covered.contains(&rule.id)).count(), rules.len())
}

/// Everything that keeps the target from being met.
pub(super) fn judge(known: &[Requirement], covered: &BTreeSet<String>, open: &[Open]) -> Vec<String> {
    let is_open = |id: &str| open.iter().any(|entry| entry.id == id);
    let mut wrong = Vec::new();
    for rule in known.iter().filter(|rule| rule.level == Some(Level::Must)) {
        match (covered.contains(&rule.id), is_open(&rule.id)) {
            (false, false) => wrong.push(format!(
                "{} is a MUST that no test covers and {PATH} does not name: {}",
                rule.id, rule.text
            )),
            (true, true) => {
                wrong.push(format!("{} is covered by a test now: take it out of {PATH}", rule.id));
            }
            (true, false) | (false, true) => {}
        }
    }
    let (done, all) = count(known, covered, Level::Should, |area| area != "SEC");
    if done * 100 < all * SHOULDS {
        let needed = (all * SHOULDS).div_ceil(100);
        wrong.push(format!(
            "{done} of {all} SHOULDs outside SEC are covered by tests; {needed} are needed ({SHOULDS} %)"
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirements::list;

    fn known() -> Vec<Requirement> {
        let mut text = String::from("[ENV] x\nENV-01  MUST  B  0.1.13  x\nENV-02  MUST  B  0.1.13  x\n");
        for n in 10..20 {
            text.push_str(&format!("ENV-{n}  SHOULD  B  0.1.13  x\n"));
        }
        text.push_str("[SEC] x\nSEC-01  SHOULD  B  0.1.13  x\n[D] x\nD-001  -  -  -  x\n");
        list::parse(&text).unwrap()
    }

    fn covered(ids: impl IntoIterator<Item = String>) -> BTreeSet<String> {
        ids.into_iter().collect()
    }

    fn shoulds(count: u32) -> impl Iterator<Item = String> {
        (10..10 + count).map(|n| format!("ENV-{n}"))
    }

    #[test]
    fn open_entries_are_musts_with_a_part_and_a_reason() {
        let rows = parse("# head\n\nENV-01  part 4  the durable store\n", &known()).unwrap();
        assert_eq!(rows, [Open { id: "ENV-01".into(), part: 4, reason: "the durable store".into() }]);
        for (line, said) in [
            ("ENV-01  part 4", "has no reason"),
            ("ENV-01  part four  x", "not of the form"),
            ("ENV-01  4  x", "not of the form"),
            ("ENV-03  part 4  x", "does not exist"),
            ("ENV-10  part 4  x", "is no MUST"),
            ("D-001  part 4  x", "is no MUST"),
        ] {
            let error = parse(&format!("# head\n{line}\n"), &known()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{PATH}:2: ")) && error.contains(said), "{line}: {error}");
        }
        let error = parse("ENV-01 part 4 x\nENV-01 part 4 x\n", &known()).unwrap_err().to_string();
        assert_eq!(error, format!("{PATH}:2: ENV-01 stands here again"));
    }

    #[test]
    fn the_target_is_met_by_covered_or_open_musts_and_nine_shoulds_in_ten() {
        let open = parse("ENV-02  part 4  x", &known()).unwrap();
        let done = covered(shoulds(9).chain(["ENV-01".into()]));
        assert_eq!(judge(&known(), &done, &open), Vec::<String>::new());
    }

    #[test]
    fn a_must_left_out_a_stale_entry_and_too_few_shoulds_are_all_named() {
        let open = parse("ENV-02  part 4  x", &known()).unwrap();
        // A SHOULD of SEC does not make up for one elsewhere.
        let done = covered(shoulds(8).chain(["ENV-02".into(), "SEC-01".into()]));
        let wrong = judge(&known(), &done, &open);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("ENV-01 is a MUST that no test covers"), "{wrong:?}");
        assert!(wrong[1].starts_with("ENV-02 is covered by a test now"), "{wrong:?}");
        assert!(wrong[2].starts_with("8 of 10 SHOULDs outside SEC"), "{wrong:?}");
    }

    #[test]
    fn the_committed_list_of_open_rules_can_be_read() {
        let known = list::parse(include_str!("../../../fixtures/requirements.txt")).unwrap();
        assert!(parse(include_str!("../../../fixtures/requirements-open.txt"), &known).is_ok());
    }
}
