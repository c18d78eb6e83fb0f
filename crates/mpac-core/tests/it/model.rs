//! The whole of a small world: every order of a few actions of a few people, with what must hold in each state.
//!
//! What is explored is the coordinator itself, not a model of it. Two states count as one when their
//! [`essence`](mpac_core::Coordinator::essence) is the same; what that leaves out is said there, and no rule asks for it.
//! Messages arrive at moments at which something falls due, or at the very beginning: between two deadlines the rules know
//! only what is still to come, and in which order.
//!
//! `cargo xtask model` goes further than `cargo test` does, `--depth N` as far as you like.

mod alphabet;
mod audience;
mod broken;
mod explore;
mod invariants;
mod judge;
mod moment;
mod node;
mod picture;
mod settings;

use std::sync::Mutex;

use mpac_core::{Coordinator, Input, Step};
use mpac_wire::Timestamp;

use crate::covers;
use explore::{Counterexample, Report, Setting, explore, wander};
use settings::Effort;

/// Every input to the coordinator as it is.
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

/// Runs a job for each setting, two at a time, and prints a line for each; gives how many there were.
fn each(
    mut jobs: Vec<(Setting, usize)>,
    run: impl Fn(&Setting, usize) -> Result<Report, Box<Counterexample>> + Sync,
) -> usize {
    let only = std::env::var("MPAC_MODEL_ONLY").unwrap_or_default();
    jobs.retain(|(setting, _)| setting.name.contains(&only));
    jobs.reverse();
    let count = jobs.len();
    println!(
        "{:<44} {:>5} {:>8} {:>11} {:>8} {:>9} {:>8}",
        "setting", "depth", "states", "transitions", "refused", "deadlines", "seconds"
    );
    let jobs = Mutex::new(jobs);
    let found = Mutex::new(Vec::new());
    let next = || jobs.lock().expect("no thread panics here").pop();
    let work = || {
        while let Some((setting, depth)) = next() {
            match run(&setting, depth) {
                Ok(report) => print(&setting, &report),
                Err(counterexample) => {
                    let text = format!("{}: {counterexample}", setting.name);
                    found.lock().expect("no thread panics here").push(text);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let found = found.into_inner().expect("no thread panics here");
    assert!(found.is_empty(), "{}", found.join("\n"));
    count
}

fn print(setting: &Setting, report: &Report) {
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
}

#[test]
fn in_every_order_of_a_few_actions_everything_holds() {
    covers!(
        "INT-18", "D-022", "D-024", "LCK-01", "LCK-08", "INT-09", "CLM-02", "CLM-09", "CLM-13", "LIV-07",
        "LIV-11", "LIV-14", "BYE-07", "CAS-02", "CAS-06", "FRZ-02", "FRZ-03", "FRZ-13", "CON-10", "SRV-04",
        "SRV-05", "ERR-05", "ENV-14", "D-026", "LAM-12", "CAS-09"
    );
    let explored =
        each(settings::all(effort()), |setting, depth| explore(setting, depth, &invariants::ALL, faithful));
    assert!(explored > 0, "no setting's name contains what MPAC_MODEL_ONLY says");
}

#[test]
fn along_random_ways_everything_holds() {
    covers!("INT-18", "CLM-13", "CAS-02", "FRZ-13", "CON-10", "SRV-04");
    let walks = match effort() {
        Effort::Little => 2,
        Effort::Full => 6,
        Effort::Depth(depth) => 40 * depth as u64,
    };
    each(settings::all(Effort::Little), |setting, _| {
        wander(setting, (walks, 60), &invariants::ALL, faithful)
    });
}
