//! The list of rules, `fixtures/requirements.txt`: one row for each ID, under a heading for each area.

use std::collections::BTreeSet;

use super::citations::is_id;
use crate::step::Failure;

/// Where the list is.
pub(crate) const PATH: &str = "fixtures/requirements.txt";

/// Characters of a row's text at the most: it names the rule, the specification words it.
const MOST_CHARACTERS: usize = 100;

/// How binding a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Level {
    Must,
    Should,
    May,
}

impl Level {
    pub(crate) const ALL: [Self; 3] = [Self::Must, Self::Should, Self::May];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Requirement {
    pub(crate) id: String,
    /// `None` for a decision.
    pub(crate) level: Option<Level>,
    /// C, P or B; `-` for a decision.
    pub(crate) who: String,
    /// The protocol level that brought it; `-` for a decision.
    pub(crate) since: String,
    /// What it asks, in our words.
    pub(crate) text: String,
}

impl Requirement {
    pub(crate) fn area(&self) -> &str {
        area_of(&self.id)
    }
}

/// What stands before the number.
pub(crate) fn area_of(id: &str) -> &str {
    id.split_once('-').map_or(id, |(area, _)| area)
}

/// Reads the list.
///
/// # Errors
/// All rows that are not as the list's head describes them, each with its line.
pub(crate) fn parse(list: &str) -> Result<Vec<Requirement>, Failure> {
    let mut rows: Vec<Requirement> = Vec::new();
    let mut known = BTreeSet::new();
    let mut area = String::new();
    let mut wrong = Vec::new();
    for (number, line) in (1..).zip(list.lines()) {
        let mut complain = |what: String| wrong.push(format!("{PATH}:{number}: {what}"));
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(heading) = line.strip_prefix('[') {
            match heading.split_once(']') {
                Some((name, subject)) if !subject.trim().is_empty() => name.clone_into(&mut area),
                _ => complain(format!("`{line}` is no heading of the form `[AREA] subject`")),
            }
            continue;
        }
        match row(line) {
            Ok(row) if row.area() != area => {
                complain(format!("{} stands under the heading `[{area}]`", row.id));
            }
            Ok(row) if !known.insert(row.id.clone()) => complain(format!("{} stands here again", row.id)),
            Ok(row) => rows.push(row),
            Err(what) => complain(what),
        }
    }
    if wrong.is_empty() { Ok(rows) } else { Err(Failure::check(wrong.join("\n"))) }
}

fn row(line: &str) -> Result<Requirement, String> {
    let mut rest = line;
    let mut word = |what: &str| {
        let left = rest.trim_start();
        let (word, tail) = left.split_once(' ').unwrap_or((left, ""));
        rest = tail;
        if word.is_empty() { Err(format!("`{line}` ends before its {what}")) } else { Ok(word.to_owned()) }
    };
    let id = word("ID")?;
    if !is_id(&id) {
        return Err(format!("`{id}` is not an ID"));
    }
    let (level, who, since) = (word("level")?, word("who")?, word("protocol level")?);
    let text = rest.trim().to_owned();
    let is_decision = area_of(&id) == "D";
    let level = match Level::ALL.into_iter().find(|known| known.name() == level) {
        None if is_decision && level == "-" => None,
        Some(level) if !is_decision => Some(level),
        _ => return Err(format!("{id} has the level `{level}`")),
    };
    let whos: &[&str] = if is_decision { &["-"] } else { &["C", "P", "B"] };
    if !whos.contains(&who.as_str()) {
        return Err(format!("{id} binds `{who}`, which is none of {}", whos.join(", ")));
    }
    let sinces: &[&str] = if is_decision { &["-"] } else { &["0.1.13", "0.1.14", "0.1.15"] };
    if !sinces.contains(&since.as_str()) {
        return Err(format!("{id} is since `{since}`, which is none of {}", sinces.join(", ")));
    }
    match text.chars().count() {
        0 => Err(format!("{id} has no text")),
        long if long > MOST_CHARACTERS => {
            Err(format!("the text of {id} has {long} characters, more than {MOST_CHARACTERS}"))
        }
        _ => Ok(Requirement { id, level, who, since, text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_under_their_headings() {
        let rows = parse(
            "# head\n\n[ENV] the envelope\nENV-01  MUST    B  0.1.13  Eight members.\n[D] readings\nD-001  -       -  -       The level.\n",
        )
        .unwrap();
        let [rule, decision] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((rule.id.as_str(), rule.level, rule.area()), ("ENV-01", Some(Level::Must), "ENV"));
        assert_eq!(
            (rule.who.as_str(), rule.since.as_str(), rule.text.as_str()),
            ("B", "0.1.13", "Eight members.")
        );
        assert_eq!((decision.id.as_str(), decision.level, decision.area()), ("D-001", None, "D"));
    }

    #[test]
    fn every_wrong_row_is_named_with_its_line() {
        let long = "x".repeat(101);
        for (line, said) in [
            ("nothing here", "`nothing` is not an ID"),
            ("ENV-1  MUST  B  0.1.13  x", "`ENV-1` is not an ID"),
            ("ENV-01  MUST", "ends before its who"),
            ("ENV-01  WILL  B  0.1.13  x", "level `WILL`"),
            ("ENV-01  -  B  0.1.13  x", "level `-`"),
            ("ENV-01  MUST  X  0.1.13  x", "binds `X`"),
            ("ENV-01  MUST  B  0.2  x", "since `0.2`"),
            ("ENV-01  MUST  B  0.1.13", "has no text"),
            ("LAM-01  MUST  B  0.1.13  x", "under the heading `[ENV]`"),
            ("[LAM]", "no heading"),
            (&format!("ENV-01  MUST  B  0.1.13  {long}"), "101 characters"),
        ] {
            let error = parse(&format!("[ENV] the envelope\n{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{PATH}:2: ")) && error.contains(said), "{line}: {error}");
        }
        let twice = "[ENV] x\nENV-01  MUST  B  0.1.13  x\nENV-01  MUST  B  0.1.13  x\nENV-2\n";
        let error = parse(twice).unwrap_err().to_string();
        assert!(error.contains(":3: ENV-01 stands here again") && error.contains(":4: "), "{error}");
    }

    #[test]
    fn the_committed_list_has_every_row_of_the_ledger() {
        let rows = parse(include_str!("../../../fixtures/requirements.txt")).unwrap();
        let count = |level| rows.iter().filter(|row| row.level == level).count();
        assert_eq!(count(Some(Level::Must)), 401);
        assert_eq!(count(Some(Level::Should)), 96);
        assert_eq!(count(Some(Level::May)), 29);
        assert_eq!(count(None), 137);
    }
}
