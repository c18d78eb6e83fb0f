//! `cargo xtask requirements`: IDs such as INT-07 and D-022 in code, tests and notes must exist; tests say what they cover.
//!
//! A test marks what it covers with `covers!("INT-07", "D-022")`, in whichever crate it is, unit and doc tests included.
//! `list` reads the rules, `citations` the marks, `target` says what has to be covered and what is open on purpose.

mod citations;
pub(crate) mod list;
mod target;

use std::collections::BTreeSet;

use crate::step::{self, Failure};
use citations::Found;
use list::Level;
use list::Requirement;
use target::Open;

/// What to print and to ask beyond the IDs themselves.
#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// List the rules of this area (such as INT), or of `all`, that no test covers.
    #[arg(long, value_name = "AREA")]
    missing: Option<String>,
    /// List only those of this level.
    #[arg(long, value_enum, requires = "missing")]
    level: Option<Level>,
    /// Fail unless every MUST is covered or listed as open, and nine in ten SHOULDs outside SEC are covered.
    #[arg(long)]
    target: bool,
}

impl Options {
    /// What `cargo xtask ci` asks for.
    pub(crate) fn target() -> Self {
        Self { target: true, ..Self::default() }
    }
}

/// Checks all IDs and prints per area and level how many are covered.
///
/// # Errors
/// An ID is used that does not exist, a list cannot be read, `missing` names no area, or the target is not met.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let root = step::root();
    let known = list::parse(&step::text(&root.join(list::PATH))?)?;
    let open = target::parse(&step::text(&root.join(target::PATH))?, &known)?;
    let found = citations::collect(&root)?;
    let unknown = unknown(&known, &found);
    if !unknown.is_empty() {
        return Err(Failure::check(unknown.join("\n")));
    }
    print_areas(&known, &found);
    if let Some(area) = &options.missing {
        print_missing(&known, &found.covered, &open, area, options.level)?;
    }
    let wrong = if options.target { target::judge(&known, &found.covered, &open) } else { Vec::new() };
    if wrong.is_empty() { Ok(()) } else { Err(Failure::check(wrong.join("\n"))) }
}

/// Every ID that is used and does not exist, with its first place.
fn unknown(known: &[Requirement], found: &Found) -> Vec<String> {
    let ids: BTreeSet<&str> = known.iter().map(|rule| rule.id.as_str()).collect();
    let unknown = found.cited.iter().filter(|(id, _)| !ids.contains(id.as_str()));
    unknown.map(|(id, place)| format!("{place}: {id} does not exist")).collect()
}

fn print_areas(known: &[Requirement], found: &Found) {
    let mut areas: Vec<&str> = known.iter().map(Requirement::area).filter(|area| *area != "D").collect();
    areas.dedup();
    println!("covered by tests, of all\n{:<5} {:>9} {:>9} {:>9}", "area", "MUST", "SHOULD", "MAY");
    let line = |name: &str, is_in: &dyn Fn(&str) -> bool| {
        let cells = Level::ALL.map(|level| match target::count(known, &found.covered, level, is_in) {
            (_, 0) => String::from("-"),
            (done, all) => format!("{done}/{all}"),
        });
        println!("{name:<5} {:>9} {:>9} {:>9}", cells[0], cells[1], cells[2]);
    };
    for area in areas {
        line(area, &|other| other == area);
    }
    line("all", &|_| true);
    let decisions: Vec<_> = known.iter().filter(|rule| rule.level.is_none()).collect();
    let covered = decisions.iter().filter(|rule| found.covered.contains(&rule.id)).count();
    let cited = known.iter().filter(|rule| found.cited.contains_key(&rule.id)).count();
    println!("decisions: {covered}/{}; IDs named anywhere: {cited}/{}", decisions.len(), known.len());
}

fn print_missing(
    known: &[Requirement],
    covered: &BTreeSet<String>,
    open: &[Open],
    area: &str,
    level: Option<Level>,
) -> Result<(), Failure> {
    let mut rules = known.iter().filter(|rule| area == "all" || rule.area() == area).peekable();
    if rules.peek().is_none() {
        return Err(Failure::check(format!("no area is called `{area}`")));
    }
    println!("not covered by a test:");
    let wanted =
        |rule: &&Requirement| !covered.contains(&rule.id) && (level.is_none() || rule.level == level);
    for rule in rules.filter(wanted) {
        let name = rule.level.map_or("-", Level::name);
        println!("  {}  {name:<6}  {}  {:<6}  {}", rule.id, rule.who, rule.since, rule.text);
        if let Some(entry) = open.iter().find(|entry| entry.id == rule.id) {
            println!("          open until part {}: {}", entry.part, entry.reason);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_does_not_exist_is_named_with_its_place() {
        let known = list::parse("[ENV] x\nENV-01  MUST  B  0.1.13  x\n").unwrap();
        let mut found = Found::default();
        found.cited.insert("ENV-01".into(), "a.rs:1".into());
        // Written in two parts so that this command does not find it here.
        let wrong = concat!("ENV", "-99");
        found.cited.insert(wrong.into(), "b.rs:2".into());
        assert_eq!(unknown(&known, &found), [format!("b.rs:2: {wrong} does not exist")]);
    }

    #[test]
    fn an_area_that_does_not_exist_is_refused() {
        let known = list::parse("[ENV] x\nENV-01  MUST  B  0.1.13  x\n").unwrap();
        let missing = |area| print_missing(&known, &BTreeSet::new(), &[], area, None);
        assert!(missing("ENV").is_ok() && missing("all").is_ok());
        assert_eq!(missing("XYZ").unwrap_err().to_string(), "no area is called `XYZ`");
    }
}
