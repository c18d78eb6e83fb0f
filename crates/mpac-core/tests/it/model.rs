//! The whole of a small world: every order of a few actions of a few people, with what must hold in each state.
//!
//! What is explored is the coordinator itself, not a model of it. Two states count as one when their
//! [`essence`](mpac_core::Coordinator::essence) is the same; what that leaves out is said there, and no rule asks for it.
//! Messages arrive at moments at which something falls due, or at the very beginning: between two deadlines the rules know
//! only what is still to come, and in which order.

mod alphabet;
mod audience;
mod explore;
mod invariants;
mod moment;
mod node;
mod picture;
mod settings;

use std::time::Duration;

use mpac_core::{Coordinator, Input, Step};
use mpac_wire::Timestamp;

use explore::{Bounds, explore};
use settings::Effort;

fn faithful(coordinator: &mut Coordinator, now: Timestamp, input: Input) -> Step {
    coordinator.handle(now, input)
}

/// How far to go: a little with the other tests, further when `cargo xtask model` asks.
fn effort() -> Effort {
    match std::env::var("MPAC_MODEL_DEPTH").ok().as_deref() {
        None => Effort::Little,
        Some("ci") => Effort::Full,
        Some(depth) => Effort::Depth(depth.parse().expect("MPAC_MODEL_DEPTH is `ci` or a number")),
    }
}

#[test]
fn nothing_goes_wrong_in_a_small_world() {
    let effort = effort();
    let only = std::env::var("MPAC_MODEL_ONLY").unwrap_or_default();
    let (mut states, mut transitions, mut time) = (0, 0, Duration::ZERO);
    println!(
        "{:<44} {:>5} {:>8} {:>11} {:>8} {:>9} {:>8}",
        "setting", "depth", "states", "transitions", "refused", "deadlines", "seconds"
    );
    for (setting, depth) in settings::all(effort) {
        if !setting.name.contains(&only) {
            continue;
        }
        let bounds = Bounds { depth, states: usize::MAX };
        match explore(&setting, bounds, &invariants::ALL, faithful) {
            Ok(report) => {
                println!(
                    "{:<44} {:>4}{} {:>8} {:>11} {:>8} {:>9} {:>8.1}",
                    setting.name,
                    report.depth,
                    if report.complete { "!" } else { " " },
                    report.states,
                    report.transitions,
                    report.refused,
                    report.deadlines,
                    report.time.as_secs_f64()
                );
                states += report.states;
                transitions += report.transitions;
                time += report.time;
            }
            Err(found) => panic!("{}: {found}", setting.name),
        }
    }
    println!("{states} states, {transitions} transitions, {:.1} s; `!` marks a setting explored to its end", time.as_secs_f64());
}
