//! What a run found: one row a story, wire check and golden, written for people and for programs.

mod html;
mod markdown;

use std::collections::BTreeMap;
use std::path::Path;

use super::judge::Fault;
use super::play::Outcome;
use super::story::{Story, Strength};
use super::wire::{CHECKS, Check, Tally};
use crate::step::{self, Failure};

/// Everything about one run on one coordinator.
#[derive(serde::Serialize)]
pub(super) struct Report {
    /// The coordinator, as it is called.
    pub(super) target: String,
    pub(super) rows: Vec<Row>,
}

/// One result.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Row {
    /// `<area>/<name>`.
    pub(super) name: String,
    pub(super) title: String,
    /// The most important one first.
    pub(super) rules: Vec<String>,
    pub(super) strength: Strength,
    pub(super) protocol: String,
    pub(super) result: Word,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<Fault>,
    /// It passed, but what it says of the session itself (`session holds`) could not be seen.
    #[serde(rename = "session_not_seen", skip_serializing_if = "is_false")]
    pub(super) is_unseen: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references out")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    Passed,
    Failed,
    Skipped,
}

impl Row {
    pub(super) fn of(story: &Story, outcome: Outcome) -> Self {
        let is_unseen = matches!(outcome, Outcome::Passed { is_unseen: true });
        let (result, reason, fault) = match outcome {
            Outcome::Passed { .. } => (Word::Passed, None, None),
            Outcome::Skipped(reason) => (Word::Skipped, Some(reason), None),
            Outcome::Failed(fault) => (Word::Failed, None, Some(*fault)),
        };
        Self {
            name: story.name.clone(),
            title: story.title.clone(),
            rules: story.covers.clone(),
            strength: story.strength,
            protocol: story.protocol.clone(),
            result,
            reason,
            fault,
            is_unseen,
        }
    }

    pub(super) fn golden(name: &str, fault: Option<Fault>) -> Self {
        Self {
            name: format!("goldens/{name}"),
            title: "Through the types, and the same bytes again".to_owned(),
            rules: vec!["ENV-01".to_owned()],
            strength: Strength::Must,
            protocol: "0.1.13".to_owned(),
            result: if fault.is_some() { Word::Failed } else { Word::Passed },
            reason: None,
            fault,
            is_unseen: false,
        }
    }

    fn wire(check: Check, tally: Option<&Tally>) -> Self {
        let tally = tally.cloned().unwrap_or_default();
        let fault = tally.example.map(|received| Fault {
            rule: check.rule.to_owned(),
            line: 0,
            step: format!("{} of {} frames", tally.wrong, tally.frames),
            who: "whoever received it".to_owned(),
            expected: check.title.to_owned(),
            received,
        });
        let result = match (&fault, tally.frames) {
            (Some(_), _) => Word::Failed,
            (None, 0) => Word::Skipped,
            (None, _) => Word::Passed,
        };
        Self {
            name: format!("wire/{}", check.name),
            title: check.title.to_owned(),
            rules: vec![check.rule.to_owned()],
            strength: Strength::Must,
            protocol: "all".to_owned(),
            result,
            reason: (result == Word::Skipped).then(|| "no such frame was seen".to_owned()),
            fault,
            is_unseen: false,
        }
    }

    fn area(&self) -> &str {
        self.name.split_once('/').map_or("", |(area, _)| area)
    }
}

/// Passed, failed, skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Counts {
    pub(super) fn total(self) -> usize {
        self.passed + self.failed + self.skipped
    }
}

/// Text without the names of this machine's folders.
fn neutral(text: &str) -> String {
    let temporary = format!("{}/", std::env::temp_dir().display().to_string().trim_end_matches('/'));
    let text = text.replace(&step::root().display().to_string(), ".");
    let mut parts = text.split(&temporary);
    let mut neutral = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The folder's name is another in every run.
        let name = part.find(|c: char| c == '/' || c.is_whitespace() || c == '"').unwrap_or(part.len());
        neutral.push_str(part[name..].strip_prefix('/').unwrap_or_else(|| &part[name..]));
    }
    neutral
}

impl Report {
    pub(super) fn new(target: String, mut rows: Vec<Row>, wire: &BTreeMap<Check, Tally>) -> Self {
        rows.extend(CHECKS.iter().map(|check| Row::wire(*check, wire.get(check))));
        for row in &mut rows {
            row.reason = row.reason.as_deref().map(neutral);
            if let Some(fault) = &mut row.fault {
                fault.received = neutral(&fault.received);
            }
        }
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        Self { target: neutral(&target), rows }
    }

    /// Of an area and a strength; of all where none is named.
    pub(super) fn count(&self, area: Option<&str>, strength: Option<Strength>) -> Counts {
        let mut counts = Counts::default();
        let wanted = |row: &&Row| {
            area.is_none_or(|area| row.area() == area)
                && strength.is_none_or(|strength| row.strength == strength)
        };
        for row in self.rows.iter().filter(wanted) {
            match row.result {
                Word::Passed => counts.passed += 1,
                Word::Failed => counts.failed += 1,
                Word::Skipped => counts.skipped += 1,
            }
        }
        counts
    }

    pub(super) fn areas(&self) -> Vec<&str> {
        let mut areas: Vec<&str> = self.rows.iter().map(Row::area).collect();
        areas.dedup();
        areas
    }

    pub(super) fn failures(&self) -> impl Iterator<Item = (&Row, &Fault)> {
        self.rows.iter().filter_map(|row| row.fault.as_ref().map(|fault| (row, fault)))
    }

    /// How many failures weigh at least this much.
    pub(super) fn failed_at(&self, level: Strength) -> usize {
        self.failures().filter(|(row, _)| row.strength <= level).count()
    }

    /// Why rows were skipped, with how many each.
    pub(super) fn skipped(&self) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for reason in self.rows.iter().filter_map(|row| row.reason.as_deref()) {
            *reasons.entry(reason).or_default() += 1;
        }
        reasons
    }

    /// Names of the stories and goldens that were more than looked at.
    pub(super) fn played(&self) -> impl Iterator<Item = &str> {
        let is_played = |row: &&Row| row.result != Word::Skipped && row.area() != "wire";
        self.rows.iter().filter(is_played).map(|row| row.name.as_str())
    }

    /// Stories that passed though what they say of the session itself was not seen.
    pub(super) fn unseen(&self) -> usize {
        self.rows.iter().filter(|row| row.is_unseen).count()
    }

    /// Writes it in the format that the file's ending names.
    ///
    /// # Errors
    /// As for [`Format::of`], or the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = match Format::of(path)? {
            Format::Markdown => markdown::page(self),
            Format::Html => html::page(self),
            Format::Json => {
                serde_json::to_string_pretty(self)
                    .map_err(|error| Failure::check(format!("report: {error}")))?
                    + "\n"
            }
        };
        std::fs::write(path, text).map_err(Failure::io(format!("write {}", path.display())))
    }
}

/// What a report is written in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Markdown,
    Html,
    Json,
}

impl Format {
    /// By the file's ending.
    ///
    /// # Errors
    /// The ending is none of `.md`, `.json` and `.html`, or there is no such folder.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let wrong = |problem: &str| Failure::check(format!("{}: {problem}", path.display()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(wrong("there is no such folder"));
        }
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("md") => Ok(Self::Markdown),
            Some("html") => Ok(Self::Html),
            Some("json") => Ok(Self::Json),
            _ => Err(wrong("a report ends in .md, .json or .html")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let fault = Fault {
            rule: "INT-09".to_owned(),
            line: 7,
            step: "bob <announces>".to_owned(),
            who: "bob".to_owned(),
            expected: "a | b".to_owned(),
            received: "nothing".to_owned(),
        };
        let mut failed = Row::golden("x", Some(fault));
        failed.name = "intents/y".to_owned();
        failed.strength = Strength::Should;
        let mut skipped = Row::golden("z", None);
        skipped.result = Word::Skipped;
        skipped.reason = Some("needs time".to_owned());
        Report::new("a server".to_owned(), vec![failed, skipped, Row::golden("x", None)], &BTreeMap::new())
    }

    #[test]
    fn folders_of_this_machine_are_not_named() {
        let root = step::root().display().to_string();
        let temporary = std::env::temp_dir().display().to_string();
        assert_eq!(
            neutral(&format!("at {root}/x.py, {temporary}/.tmpAb/workspace/y")),
            "at ./x.py, workspace/y"
        );
        assert_eq!(neutral(&format!("{temporary}/.tmpAb is full; see a/b")), " is full; see a/b");
        let named = Report::new(format!("{root}/server --x"), Vec::new(), &BTreeMap::new());
        assert_eq!(named.target, "./server --x");
    }

    #[test]
    fn results_are_counted_by_area_and_strength() {
        let report = report();
        assert_eq!(
            report.count(Some("intents"), Some(Strength::Should)),
            Counts { failed: 1, ..Counts::default() }
        );
        assert_eq!(
            report.count(Some("goldens"), None),
            Counts { passed: 1, skipped: 1, ..Counts::default() }
        );
        assert_eq!((report.failed_at(Strength::Must), report.failed_at(Strength::Should)), (0, 1));
        assert_eq!(report.skipped()["needs time"], 1);
    }

    #[test]
    fn every_format_names_the_failure_and_escapes_what_it_shows() {
        let report = report();
        let (markdown, html) = (markdown::page(&report), html::page(&report));
        assert!(markdown.contains("intents/y") && markdown.contains("INT-09"));
        assert!(html.contains("bob &lt;announces&gt;") && !html.contains("bob <announces>"));
        let folder = tempfile::tempdir().unwrap();
        for name in ["r.md", "r.html", "r.json"] {
            report.write(&folder.path().join(name)).unwrap();
        }
        let json: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(folder.path().join("r.json")).unwrap()).unwrap();
        assert_eq!(json["target"], "a server");
        assert!(report.write(&folder.path().join("r.pdf")).is_err());
        assert!(
            report
                .write(&folder.path().join("none/r.md"))
                .unwrap_err()
                .to_string()
                .contains("no such folder")
        );
    }

    #[test]
    fn what_a_coordinator_says_stays_in_its_block() {
        let mut report = report();
        for row in &mut report.rows {
            if let Some(fault) = &mut row.fault {
                fault.received = "a line\n````\n# not a heading".to_owned();
            }
        }
        let page = markdown::page(&report);
        assert!(page.contains("\n`````text\nline 7") && page.ends_with("# not a heading\n`````\n"), "{page}");
    }
}
