//! One transition, judged by everything that must hold.

use std::collections::{BTreeMap, BTreeSet};

use mpac_core::{Input, SessionConfig};

use super::invariants::Invariant;
use super::moment::Moment;
use super::node::{Action, Node, TakeInput};
use super::picture::Picture;

/// More deadlines than any session of these sizes may need to become quiet.
const MOST_DEADLINES: usize = 40;

/// What does not hold, and how.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) name: &'static str,
    pub(super) ids: &'static [&'static str],
    pub(super) problem: String,
}

/// Where a transition led.
pub(super) struct Judged {
    pub(super) node: Node,
    pub(super) fingerprint: u128,
    /// Whether anything was done: time passed, or a message was accepted.
    pub(super) done: bool,
}

/// A state with all that judging its transitions needs.
pub(super) struct From<'a> {
    pub(super) config: &'a SessionConfig,
    pub(super) node: &'a Node,
    picture: Picture,
    essence: String,
}

impl<'a> From<'a> {
    pub(super) fn new(config: &'a SessionConfig, node: &'a Node) -> Self {
        Self { config, node, picture: Picture::of(&node.coordinator), essence: node.coordinator.essence() }
    }

    /// Takes an action and judges it; `None` where it cannot be taken. States among `known` were judged before.
    pub(super) fn take(
        &self,
        action: &Action,
        invariants: &[Invariant],
        take: TakeInput,
        known: &BTreeSet<u128>,
    ) -> Result<Option<Judged>, Violation> {
        let Some(taken) = self.node.after(action, take) else { return Ok(None) };
        let after = Picture::of(&taken.node.coordinator);
        let moment = Moment {
            config: self.config,
            action,
            sent: taken.sent.as_ref(),
            node_before: self.node,
            node: &taken.node,
            before: &self.picture,
            after: &after,
            outputs: &taken.step.outputs,
        };
        let fingerprint = taken.node.fingerprint();
        let seen = known.contains(&fingerprint);
        for Invariant { name, ids, check, .. } in invariants.iter().filter(|it| !(it.of_states && seen)) {
            check(&moment).map_err(|problem| Violation { name, ids, problem })?;
        }
        let done = moment.sent.is_none() || moment.is_accepted();
        if !done && !moment.comes_back() {
            self.unchanged(&moment)?;
        }
        Ok(Some(Judged { node: taken.node, fingerprint, done }))
    }

    /// A refused message changes nothing, save that its sender was heard.
    fn unchanged(&self, moment: &Moment<'_>) -> Result<(), Violation> {
        let after = moment.node.coordinator.essence();
        let rest = |text: &str| {
            text.lines().filter(|line| !line.starts_with("member ")).map(str::to_owned).collect::<Vec<_>>()
        };
        let (before, after) = (rest(&self.essence), rest(&after));
        if before == after {
            return Ok(());
        }
        let changed: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
        let name = "a refused message changes nothing";
        Err(Violation { name, ids: &["ENV-14", "D-026"], problem: format!("now {changed:?}") })
    }
}

/// How many deadlines pass from each state until all is quiet, as far as that is known.
#[derive(Default)]
pub(super) struct Quiet(BTreeMap<u128, usize>);

impl Quiet {
    /// From here on time alone brings everything to its end, thaws what is frozen, and does so in a few deadlines.
    pub(super) fn comes(&mut self, from: &Node, take: TakeInput) -> Result<usize, Violation> {
        let mut node = from.clone();
        let mut passed = Vec::new();
        let rest = loop {
            let here = node.fingerprint();
            if let Some(rest) = self.0.get(&here) {
                break *rest;
            }
            passed.push(here);
            if Picture::of(&node.coordinator).is_quiet() {
                passed.pop();
                self.0.insert(here, 0);
                break 0;
            }
            let Some(at) = node.coordinator.next_deadline().filter(|_| passed.len() <= MOST_DEADLINES) else {
                let problem = format!("at the end there is still\n{}", node.coordinator.essence());
                let ids = &["INT-07", "CAS-01", "FRZ-13", "CLM-13", "GOV-14"];
                return Err(Violation { name: "time alone ends everything", ids, problem });
            };
            node.now = at;
            let _ = take(&mut node.coordinator, at, Input::Timeout);
        };
        let count = passed.len();
        for (more, here) in (1..).zip(passed.into_iter().rev()) {
            self.0.insert(here, rest + more);
        }
        Ok(rest + count)
    }
}
