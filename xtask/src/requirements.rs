//! `cargo xtask requirements`: IDs such as INT-07 and D-022 in code, tests and notes must exist; tests say what they cover.
//!
//! A test marks what it covers with `covers!("INT-07", "D-022")`. The known IDs are in `xtask/requirements.txt`.

use std::collections::{BTreeMap, BTreeSet};

use crate::step::{self, Failure};

/// Looks like an ID but is not one.
const OTHER_WORDS: [&str; 2] = ["UTF-16", "UTF-32"];

/// One line of the list.
#[derive(Debug, PartialEq)]
struct Requirement {
    id: String,
    /// MUST, SHOULD or MAY; `None` for a decision.
    level: Option<String>,
}

/// What was found in the files: ID to the places that name it.
#[derive(Default)]
struct Found {
    cited: BTreeMap<String, String>,
    covered: BTreeSet<String>,
}

/// Checks all IDs and prints per area how many are cited and covered.
///
/// # Errors
/// An ID is used that does not exist, `missing` names no area, or a file cannot be read.
pub(crate) fn run(missing: Option<&str>) -> Result<(), Failure> {
    let root = step::root();
    let known = parse(&step::text(&root.join("xtask/requirements.txt"))?)?;
    let mut found = Found::default();
    let crates = root.join("crates");
    for path in
        step::files_below(&crates)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"))
    {
        read(&format!("crates/{}", path.display()), &step::text(&crates.join(&path))?, &mut found);
    }
    let notes = root.join("SPEC-notes.md");
    if notes.exists() {
        read("SPEC-notes.md", &step::text(&notes)?, &mut found);
    }
    let unknown: Vec<String> = found
        .cited
        .iter()
        .filter(|(id, _)| !known.iter().any(|row| row.id == **id))
        .map(|(id, place)| format!("{place}: {id} does not exist"))
        .collect();
    if !unknown.is_empty() {
        return Err(Failure::check(unknown.join("\n")));
    }
    print_areas(&known, &found);
    match missing {
        Some(area) => print_missing(&known, &found, area),
        None => Ok(()),
    }
}

/// Reads the list: an ID a line, then level and who; `#` begins a comment.
fn parse(list: &str) -> Result<Vec<Requirement>, Failure> {
    let mut rows: Vec<Requirement> = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let id = words.next().filter(|word| ids(word).eq([*word]));
        let level = words.next().map(str::to_owned);
        let Some(id) = id else {
            return Err(Failure::check(format!(
                "xtask/requirements.txt: `{line}` does not begin with an ID"
            )));
        };
        if rows.iter().any(|row| row.id == id) {
            return Err(Failure::check(format!("xtask/requirements.txt: {id} stands there twice")));
        }
        rows.push(Requirement { id: id.to_owned(), level });
    }
    Ok(rows)
}

fn read(path: &str, text: &str, found: &mut Found) {
    for (number, line) in (1..).zip(text.lines()) {
        for id in ids(line) {
            found.cited.entry(id.to_owned()).or_insert_with(|| format!("{path}:{number}"));
        }
    }
    for (at, mark) in text.match_indices("covers!(") {
        let inside = text[at + mark.len()..].split(')').next().unwrap_or_default();
        found.covered.extend(ids(inside).map(str::to_owned));
    }
}

/// The IDs in a text: three capitals and two digits, or D and three digits, standing alone.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| {
        let Some((area, number)) = word.split_once('-') else { return false };
        let digits = match (area, area.len()) {
            ("D", _) => 3,
            (_, 3) if area.bytes().all(|b| b.is_ascii_uppercase()) => 2,
            _ => return false,
        };
        number.len() == digits && number.bytes().all(|b| b.is_ascii_digit()) && !OTHER_WORDS.contains(word)
    })
}

fn area_of(id: &str) -> &str {
    id.split_once('-').map_or(id, |(area, _)| area)
}

fn print_areas(known: &[Requirement], found: &Found) {
    let mut areas: Vec<&str> = known.iter().map(|row| area_of(&row.id)).collect();
    areas.dedup();
    println!("{:<5} {:>5} {:>6} {:>8}", "area", "all", "cited", "covered");
    let mut sum = (0, 0, 0);
    for area in areas {
        let rows = || known.iter().filter(|row| area_of(&row.id) == area);
        let cited = rows().filter(|row| found.cited.contains_key(&row.id)).count();
        let covered = rows().filter(|row| found.covered.contains(&row.id)).count();
        sum = (sum.0 + rows().count(), sum.1 + cited, sum.2 + covered);
        println!("{area:<5} {:>5} {cited:>6} {covered:>8}", rows().count());
    }
    println!("{:<5} {:>5} {:>6} {:>8}", "all", sum.0, sum.1, sum.2);
}

fn print_missing(known: &[Requirement], found: &Found, area: &str) -> Result<(), Failure> {
    let rows: Vec<&Requirement> = known.iter().filter(|row| area_of(&row.id) == area).collect();
    if rows.is_empty() {
        return Err(Failure::check(format!("no area is called `{area}`")));
    }
    println!("not covered by a test:");
    for row in rows.iter().filter(|row| !found.covered.contains(&row.id)) {
        println!("  {} {}", row.id, row.level.as_deref().unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_running_text_and_look_alikes_are_not() {
        let text = "See INT-07, `D-022`; (OCC-05) but not SHA-256, UTF-16, INT-7, INT-071, XINT-07, D-22 or OCC-05-x.";
        assert_eq!(ids(text).collect::<Vec<_>>(), ["INT-07", "D-022", "OCC-05"]);
    }

    #[test]
    fn covered_ids_are_those_inside_the_macro_even_over_several_lines() {
        let mut found = Found::default();
        read("a.rs", "// ENV-01\ncovers!(\"INT-07\",\n    \"D-022\");\n", &mut found);
        assert_eq!(found.covered.iter().collect::<Vec<_>>(), ["D-022", "INT-07"]);
        assert_eq!(found.cited["ENV-01"], "a.rs:1");
        assert_eq!(found.cited["D-022"], "a.rs:3");
    }

    #[test]
    fn the_list_is_read_with_levels_and_refuses_repeats_and_other_text() {
        let rows = parse("# head\nENV-01 MUST B\nD-001\n").unwrap();
        assert_eq!(rows[0], Requirement { id: "ENV-01".to_owned(), level: Some("MUST".to_owned()) });
        assert_eq!(rows[1], Requirement { id: "D-001".to_owned(), level: None });
        assert!(parse("ENV-01 MUST B\nENV-01 MUST B\n").is_err());
        assert!(parse("nothing here\n").is_err());
    }

    #[test]
    fn the_committed_list_has_every_row_of_the_ledger() {
        let rows = parse(include_str!("../requirements.txt")).unwrap();
        let decisions = rows.iter().filter(|row| row.level.is_none()).count();
        assert_eq!((rows.len() - decisions, decisions), (526, 137));
    }
}
