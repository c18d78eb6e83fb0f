//! A log of which another version has written some, with its own rules: nobody can say by these that it lied.

use serde_json::{Value, json};

use super::forge::{Forger, Message};
use super::world::World;
use super::{Desk, Found, bundled, forger};

/// What the coordinator says otherwise.
type Change = fn(&mut Vec<Message>);

/// Begun by another version.
fn begun_by_another(n: u64, entry: &mut Value) {
    if n == 1 {
        entry["program"] = json!("mpac-ws 0.0.1");
    }
}

/// The same, whose rules gave something else for one entry.
fn of_other_rules(n: u64, entry: &mut Value) {
    begun_by_another(n, entry);
    if entry["input"]["text"].as_str().is_some_and(|text| text.contains("CONFLICT_ACK")) {
        entry["outputs"] = json!("0".repeat(64));
    }
}

/// Where the coordinator reports the conflict.
fn report(messages: &[Message]) -> usize {
    messages.iter().position(|it| it.outbound && it.is("CONFLICT_REPORT")).unwrap()
}

fn verified(forger: &Forger) -> Found {
    Desk::new().bundle(&forger.0.to_string())
}

#[test]
fn what_another_version_wrote_is_no_lie_by_the_rules_of_this_one() {
    covers!("SEC-25", "SEC-28");
    let same = verified(&forger().with_log(begun_by_another));
    same.assert_ok();
    assert_eq!(same.report["other_program"], "mpac-ws 0.0.1");
    let all: [(&str, Change); 4] = [
        ("missing_output", |messages| drop(messages.remove(report(messages)))),
        ("altered_output", |messages| {
            let at = report(messages);
            messages[at].envelope["payload"]["severity"] = json!("low");
            messages[at].sign();
        }),
        ("output_not_by_rules", |messages| messages.insert(8, Forger::word("m-x"))),
        ("reordered", |messages| {
            let at = report(messages);
            messages.swap(at, at + 1);
        }),
    ];
    for (class, change) in all {
        let mut messages = forger().messages();
        change(&mut messages);
        let changed = forger().with(&messages);
        assert_eq!(verified(&changed).only(), (class, "coordinator"));
        assert_eq!(verified(&changed.with_log(begun_by_another)).only(), (class, "unknown"));
    }
}

/// As after an upgrade: what the new version goes on from is what the other one's rules led to.
#[test]
fn what_another_version_wrote_before_this_one_went_on_is_no_lie_either() {
    covers!("SEC-25", "SEC-28", "REC-07");
    let mut world = World::day();
    world.take_up();
    let which = world.which();
    let ended = world.end();
    let bundle = Forger::new(&bundled(&which));
    Desk::new().log(ended.data.path(), &[]).assert_ok();
    verified(&bundle).assert_ok();
    verified(&bundle.clone().with_log(begun_by_another)).assert_ok();
    let found = verified(&bundle.with_log(of_other_rules));
    let findings: Vec<(&str, &str)> = found.findings().iter().map(|it| (it.0, it.1)).collect();
    assert_eq!(findings, [("wrong_digest", "unknown"); 2], "{:#}", found.report);
    let problem = found.report["findings"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("written by mpac-ws 0.0.1"), "{problem}");
}
