//! Every state against every event, as text: a new state or event shows up as a row or column to be read.

use std::fmt::Write as _;
use std::path::Path;

use mpac_core::table::{conflict, intent, operation};

use crate::covers;

/// A matrix with states down and events across; `-` where nothing may happen.
fn matrix<S: std::fmt::Debug, E: std::fmt::Debug>(
    states: &[S],
    events: &[E],
    next: impl Fn(Option<&S>, &E) -> Option<String>,
) -> String {
    let mut text = String::new();
    for on in events {
        writeln!(text, "{on:?}").unwrap();
        let rows = std::iter::once(None).chain(states.iter().map(Some));
        for from in rows {
            let name = from.map_or_else(|| "(none)".to_owned(), |state| format!("{state:?}"));
            writeln!(text, "  {name:<12} {}", next(from, on).unwrap_or_else(|| "-".to_owned())).unwrap();
        }
    }
    text
}

/// Compares with the committed text; `UPDATE_FIXTURES=1` rewrites it, for a person to read the diff.
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tables").join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
}

#[test]
fn the_life_of_an_intent() {
    covers!("INT-18", "INT-03", "INT-07", "CLM-09", "BYE-04", "LIV-07");
    let next = |from: Option<&intent::State>, on: &intent::Event| {
        intent::next(from.copied(), *on).map(|state| format!("{state:?}"))
    };
    check("intent.txt", &matrix(&intent::STATES, &intent::EVENTS, next));
}

#[test]
fn the_life_of_an_operation() {
    covers!("OPS-01", "OPS-10", "CAS-04", "D-095", "D-102", "LIV-12");
    let next = |from: Option<&operation::State>, on: &operation::Event| {
        operation::next(from.copied(), *on).map(|state| format!("{state:?}"))
    };
    check("operation.txt", &matrix(&operation::STATES, &operation::EVENTS, next));
}

#[test]
fn the_life_of_a_conflict() {
    covers!("CON-06", "CON-07", "D-112", "D-117", "GOV-07", "GOV-22");
    let next = |from: Option<&conflict::State>, on: &conflict::Event| {
        conflict::next(from.copied(), *on).map(|state| format!("{state:?}"))
    };
    check("conflict.txt", &matrix(&conflict::STATES, &conflict::EVENTS, next));
}

#[test]
fn what_is_terminal_stays() {
    covers!("INT-18");
    for on in intent::EVENTS {
        for from in intent::STATES.into_iter().filter(|state| state.is_terminal()) {
            assert_eq!(intent::next(Some(from), on), None, "{from:?} {on:?}");
        }
    }
    for on in operation::EVENTS {
        for from in operation::STATES.into_iter().filter(|state| state.is_terminal()) {
            assert_eq!(operation::next(Some(from), on), None, "{from:?} {on:?}");
        }
    }
    for on in conflict::EVENTS {
        for from in conflict::STATES.into_iter().filter(|state| state.is_terminal()) {
            assert_eq!(conflict::next(Some(from), on), None, "{from:?} {on:?}");
        }
    }
}
