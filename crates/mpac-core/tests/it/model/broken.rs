//! The explorer can fail: wrong invariants and broken coordinators are found out, by the shortest way.

use mpac_core::table::intent::State;
use mpac_core::{Coordinator, Input, Output, Step};
use mpac_wire::{Message, MessageType, Timestamp};

use super::explore::{Counterexample, Setting, explore, wander};
use super::invariants::{ALL, Invariant};
use super::settings::{self, Effort};
use super::{faithful, node::TakeInput};

fn setting(name: &str) -> Setting {
    let all = settings::all(Effort::Little).into_iter().map(|(setting, _)| setting);
    all.into_iter().find(|setting| setting.name == name).expect("a setting of this name")
}

fn found(name: &str, invariants: &[Invariant], take: TakeInput) -> Box<Counterexample> {
    explore(&setting(name), 4, invariants, take).expect_err("it is wrong")
}

#[test]
fn a_wrong_invariant_is_refuted_by_the_shortest_way() {
    let never = Invariant {
        of_states: false,
        name: "nothing is ever handed over",
        ids: &["CLM-09"],
        check: |moment| {
            let handed_over = moment.after.intents.values().any(|it| it.state == State::Transferred);
            if handed_over { Err("something was".to_owned()) } else { Ok(()) }
        },
    };
    let found = found("claiming, 0.1.13 core post_commit", &[never], faithful);
    assert_eq!(found.violation.name, never.name);
    let pass = "time passes until the next deadline";
    assert_eq!(found.path, ["alice says GOODBYE (transfer)", "bob claims a on x (c1)", pass]);
    assert!(found.to_string().contains("2. bob claims a on x (c1)\n"));
}

/// Forgets to tell a claimer what became of the claim.
fn tells_nobody(coordinator: &mut Coordinator, now: Timestamp, input: Input) -> Step {
    let mut step = coordinator.handle(now, input);
    step.outputs.retain(|output| match output {
        Output::Send { envelope, .. } => envelope.message_type != MessageType::IntentClaimStatus,
        _ => true,
    });
    step
}

/// Lets every announce in twice, the second time for somebody else's ears only.
fn relays_what_it_refuses(coordinator: &mut Coordinator, now: Timestamp, input: Input) -> Step {
    let mut step = coordinator.handle(now, input);
    let refused = step.outputs.iter().any(|output| match output {
        Output::Send { envelope, .. } => matches!(envelope.message(), Ok(Message::ProtocolError(_))),
        _ => false,
    });
    if refused {
        step.outputs.push(Output::Relay {
            to: mpac_core::Recipients::All,
            text: "{}".into(),
            message_type: MessageType::IntentAnnounce,
            sender: "bob".parse().unwrap(),
        });
    }
    step
}

/// Takes every frame, and never looks at the clock again.
fn forgets_time(coordinator: &mut Coordinator, now: Timestamp, input: Input) -> Step {
    match input {
        Input::Timeout => coordinator.handle(coordinator.view().now(), input),
        _ => coordinator.handle(now, input),
    }
}

#[test]
fn a_broken_coordinator_is_found_out() {
    let lost = found("claiming, 0.1.13 core post_commit", &ALL, tells_nobody);
    assert_eq!(lost.violation.name, "claims end, and say so");
    assert_eq!(lost.path.len(), 3, "{lost}");
    let relayed = found("writing, 0.1.15 core post_commit", &ALL, relays_what_it_refuses);
    assert_eq!(relayed.violation.name, "every message is answered as it must be");
    assert_eq!(relayed.path.len(), 1, "{relayed}");
    let timeless = found("disputing, 0.1.13 core post_commit", &ALL, forgets_time);
    assert_eq!(timeless.violation.name, "time alone ends everything");
}

#[test]
fn what_is_found_at_random_is_made_short() {
    let setting = setting("claiming, 0.1.13 core post_commit");
    let lost = wander(&setting, (50, 40), &ALL, tells_nobody).expect_err("it is broken");
    assert_eq!(lost.violation.name, "claims end, and say so");
    assert!(lost.path.len() <= 6, "{lost}");
}
