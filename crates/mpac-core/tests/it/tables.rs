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
fn check(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), text, "{path}");
}

/// A state diagram in Mermaid's words: an arrow for each pair of states, with every event that takes it.
fn diagram<S: std::fmt::Debug + Copy + PartialEq, E: std::fmt::Debug + Copy>(
    states: &[S],
    events: &[E],
    is_terminal: impl Fn(S) -> bool,
    next: impl Fn(Option<S>, E) -> Option<S>,
) -> String {
    let mut text = "stateDiagram-v2\n".to_owned();
    for from in std::iter::once(None).chain(states.iter().copied().map(Some)) {
        let name = from.map_or_else(|| "[*]".to_owned(), |state| format!("{state:?}"));
        for to in states {
            let taken: Vec<String> = events
                .iter()
                .filter(|on| next(from, **on) == Some(*to))
                .map(|on| format!("{on:?}"))
                .collect();
            if !taken.is_empty() {
                writeln!(text, "    {name} --> {to:?}: {}", taken.join(", ")).unwrap();
            }
        }
        if from.is_some_and(&is_terminal) {
            writeln!(text, "    {name} --> [*]").unwrap();
        }
    }
    text
}

fn diagrams() -> [(&'static str, String); 3] {
    [
        ("intent", diagram(&intent::STATES, &intent::EVENTS, intent::State::is_terminal, intent::next)),
        (
            "operation",
            diagram(&operation::STATES, &operation::EVENTS, operation::State::is_terminal, operation::next),
        ),
        (
            "conflict",
            diagram(&conflict::STATES, &conflict::EVENTS, conflict::State::is_terminal, conflict::next),
        ),
    ]
}

#[test]
fn the_diagrams_show_the_tables() {
    covers!("INT-18", "GOV-07");
    let mut page =
        "# The three life cycles\n\nMade from `crates/mpac-core/src/table/` by `tests/it/tables.rs`; \
                    every state against every event stands in `fixtures/tables/*.txt`.\n"
            .to_owned();
    for (name, text) in diagrams() {
        check(&format!("fixtures/tables/{name}.mmd"), &text);
        writeln!(page, "\n## The life of an {name}\n\n```mermaid\n{text}```").unwrap();
    }
    let page = page.replace("an conflict", "a conflict");
    check("crates/mpac-core/docs/state-machines.md", &page);
}

/// The rows of a matrix of `spec/requirements.md` §3: a state, and for each column the states its events lead to, `-`
/// where nothing may happen.
fn as_written<S: std::fmt::Debug + Copy, E: Copy + std::fmt::Debug>(
    columns: &[&[E]],
    rows: &[(Option<S>, &[&str])],
    next: impl Fn(Option<S>, E) -> Option<S>,
) {
    for (from, cells) in rows {
        assert_eq!(cells.len(), columns.len());
        for (events, cell) in columns.iter().zip(*cells) {
            let found: Vec<String> = events
                .iter()
                .map(|on| next(*from, *on).map_or_else(|| "-".to_owned(), |to| format!("{to:?}")))
                .collect();
            assert_eq!(found.join("/"), *cell, "{from:?} {events:?}");
        }
    }
}

#[test]
fn intents_move_as_the_matrix_says() {
    covers!("INT-18", "INT-07", "INT-17", "INT-19", "CLM-01", "LIV-14");
    use intent::{Event as E, State as S};
    // A U W T S N R C X; the owner's withdrawal of a suspended one is R, then W (D-081).
    let columns: [&[E]; 9] = [
        &[E::Announced],
        &[E::Updated],
        &[E::Withdrawn, E::SessionClosed],
        &[E::TtlReached],
        &[E::Superseded],
        &[E::Suspended],
        &[E::OwnerReturned],
        &[E::ClaimApproved],
        &[E::ResolutionRejected],
    ];
    let over: &[&str] = &["-", "-", "-/-", "-", "-", "-", "-", "-", "-"];
    let active: &[&str] =
        &["-", "Active", "Withdrawn/Withdrawn", "Expired", "Superseded", "Suspended", "-", "-", "Withdrawn"];
    let suspended: &[&str] = &["-", "-", "-/-", "Expired", "-", "-", "Active", "Transferred", "Withdrawn"];
    let rows = [
        (None, &["Active", "-", "-/-", "-", "-", "-", "-", "-", "-"] as &[&str]),
        (Some(S::Active), active),
        (Some(S::Suspended), suspended),
        (Some(S::Expired), over),
        (Some(S::Withdrawn), over),
        (Some(S::Superseded), over),
        (Some(S::Transferred), over),
    ];
    as_written(&columns, &rows, intent::next);
}

#[test]
fn operations_move_as_the_matrix_says() {
    covers!("OPS-02", "OPS-17", "OPS-19", "CAS-01", "CAS-04", "CAS-05", "CAS-06", "CAS-07", "D-095", "D-102");
    use operation::{Event as E, State as S};
    // P M J Q I F Z L S
    let columns: [&[E]; 9] = [
        &[E::Proposed, E::ProposedTooLate],
        &[E::Committed],
        &[E::Rejected],
        &[E::Authorised],
        &[E::IntentEnded],
        &[E::IntentSuspended],
        &[E::IntentRestored],
        &[E::ProposerLost],
        &[E::Superseded],
    ];
    let over: &[&str] = &["-/-", "-", "-", "-", "-", "-", "-", "-", "-"];
    let proposed: &[&str] =
        &["-/-", "Committed", "Rejected", "Proposed", "Rejected", "Frozen", "-", "Abandoned", "-"];
    let rows = [
        (None, &["Proposed/Rejected", "Committed", "-", "-", "-", "-", "-", "-", "-"] as &[&str]),
        (Some(S::Proposed), proposed),
        (Some(S::Frozen), &["-/-", "-", "Rejected", "-", "Rejected", "-", "Proposed", "Abandoned", "-"]),
        (Some(S::Committed), &["-/-", "-", "-", "-", "-", "-", "-", "-", "Superseded"]),
        (Some(S::Rejected), over),
        (Some(S::Abandoned), over),
        (Some(S::Superseded), over),
    ];
    as_written(&columns, &rows, operation::next);
}

#[test]
fn conflicts_move_as_the_matrix_says() {
    covers!("CON-06", "CON-07", "CON-10", "D-109", "D-110", "D-112", "D-117", "GOV-07");
    use conflict::{Event as E, State as S};
    // Reported, K (seen, disputed), E, R (decided, dismissed), D, 3, and RESOLVED that goes on by itself.
    let columns: [&[E]; 7] = [
        &[E::Reported],
        &[E::Acked, E::Disputed],
        &[E::Escalated],
        &[E::Resolved, E::Dismissed],
        &[E::AllEnded],
        &[E::FreezePhase3],
        &[E::Archived],
    ];
    let over: &[&str] = &["-", "-/-", "-", "-/-", "-", "-", "-"];
    let settled = "Resolved/Dismissed";
    let rows = [
        (None, &["Open", "-/-", "-", "-/-", "-", "-", "-"] as &[&str]),
        (Some(S::Open), &["-", "Acked/Open", "Escalated", settled, "Dismissed", "Closed", "-"]),
        (Some(S::Acked), &["-", "Acked/Acked", "Escalated", settled, "Dismissed", "Resolved", "-"]),
        (Some(S::Escalated), &["-", "Escalated/Escalated", "-", settled, "Dismissed", "Resolved", "-"]),
        (Some(S::Resolved), &["-", "-/-", "-", "-/-", "-", "-", "Closed"]),
        (Some(S::Closed), over),
        (Some(S::Dismissed), over),
    ];
    as_written(&columns, &rows, conflict::next);
}

/// What §3 lists as pairs that must never happen.
#[test]
fn no_event_takes_a_forbidden_step() {
    covers!("INT-18", "CAS-04");
    let intent = |from, to| intent::EVENTS.iter().any(|on| intent::next(Some(from), *on) == Some(to));
    assert!(!intent(intent::State::Active, intent::State::Transferred));
    assert!(!intent(intent::State::Suspended, intent::State::Superseded));
    let op = |from, to| operation::EVENTS.iter().any(|on| operation::next(Some(from), *on) == Some(to));
    for to in operation::STATES.into_iter().filter(|to| *to != operation::State::Superseded) {
        assert!(!op(operation::State::Committed, to), "{to:?}");
    }
    assert!(!op(operation::State::Proposed, operation::State::Superseded));
    assert!(!op(operation::State::Frozen, operation::State::Committed));
    let conflict = |from, to| conflict::EVENTS.iter().any(|on| conflict::next(Some(from), *on) == Some(to));
    for from in conflict::STATES.into_iter().filter(|from| *from != conflict::State::Open) {
        assert!(!conflict(from, conflict::State::Open), "{from:?}");
    }
    assert!(!conflict(conflict::State::Escalated, conflict::State::Acked));
    assert!(!conflict(conflict::State::Resolved, conflict::State::Dismissed));
}

#[test]
fn the_life_of_an_intent() {
    covers!("INT-18", "INT-03", "INT-07", "CLM-09", "BYE-04", "LIV-07");
    let next = |from: Option<&intent::State>, on: &intent::Event| {
        intent::next(from.copied(), *on).map(|state| format!("{state:?}"))
    };
    check("fixtures/tables/intent.txt", &matrix(&intent::STATES, &intent::EVENTS, next));
}

#[test]
fn the_life_of_an_operation() {
    covers!("OPS-01", "OPS-10", "CAS-04", "D-095", "D-102", "LIV-12");
    let next = |from: Option<&operation::State>, on: &operation::Event| {
        operation::next(from.copied(), *on).map(|state| format!("{state:?}"))
    };
    check("fixtures/tables/operation.txt", &matrix(&operation::STATES, &operation::EVENTS, next));
}

#[test]
fn the_life_of_a_conflict() {
    covers!("CON-06", "CON-07", "D-112", "D-117", "GOV-07", "GOV-22");
    let next = |from: Option<&conflict::State>, on: &conflict::Event| {
        conflict::next(from.copied(), *on).map(|state| format!("{state:?}"))
    };
    check("fixtures/tables/conflict.txt", &matrix(&conflict::STATES, &conflict::EVENTS, next));
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
