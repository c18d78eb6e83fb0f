//! Breadth first over real coordinators: every state once, every action in each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mpac_core::{Input, SessionConfig};

use super::invariants::Invariant;
use super::moment::Moment;
use super::node::{Action, Node, TakeInput};
use super::picture::Picture;

/// What is explored.
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) config: SessionConfig,
    /// Before the exploration begins: part of every counterexample's past.
    pub(super) opening: Vec<Action>,
    pub(super) actions: Vec<Action>,
}

/// How far.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) depth: usize,
    pub(super) states: usize,
}

/// What was found, and how much there was to see.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) depth: usize,
    pub(super) states: usize,
    pub(super) transitions: usize,
    pub(super) refused: usize,
    /// Whether no state was left to look at.
    pub(super) complete: bool,
    /// The most deadlines that had to pass until all was quiet.
    pub(super) deadlines: usize,
    pub(super) time: Duration,
}

/// The shortest way to a state in which an invariant does not hold.
#[derive(Debug)]
pub(super) struct Counterexample {
    pub(super) invariant: &'static str,
    pub(super) ids: &'static [&'static str],
    pub(super) problem: String,
    pub(super) path: Vec<String>,
}

impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "`{}` ({}) does not hold: {}", self.invariant, self.ids.join(", "), self.problem)?;
        for (number, action) in (1..).zip(&self.path) {
            writeln!(f, "  {number}. {action}")?;
        }
        Ok(())
    }
}

/// A way to a state: the state it came from and the action, by their places.
type Step = Option<(usize, usize)>;

/// More deadlines than any session of these sizes may need to become quiet.
const MOST_DEADLINES: usize = 40;

struct Explorer<'a> {
    setting: &'a Setting,
    invariants: &'a [Invariant],
    take: TakeInput,
    /// Every state met, with how it was reached.
    ways: Vec<Step>,
    known: BTreeMap<u128, usize>,
    /// How many deadlines pass from a state until all is quiet.
    quiet_after: BTreeMap<u128, usize>,
    report: Report,
}

/// Explores and says how much there was.
///
/// # Errors
/// The first violation, which is one of the nearest.
pub(super) fn explore(
    setting: &Setting,
    bounds: Bounds,
    invariants: &[Invariant],
    take: TakeInput,
) -> Result<Report, Box<Counterexample>> {
    let began = Instant::now();
    let report = Report {
        depth: 0,
        states: 1,
        transitions: 0,
        refused: 0,
        complete: false,
        deadlines: 0,
        time: Duration::ZERO,
    };
    let mut explorer = Explorer {
        setting,
        invariants,
        take,
        ways: vec![None],
        known: BTreeMap::new(),
        quiet_after: BTreeMap::new(),
        report,
    };
    let mut first = Node::new(setting.config.clone());
    for action in &setting.opening {
        first = first.after(action, take).expect("the opening can be played").node;
    }
    explorer.known.insert(first.fingerprint(), 0);
    let mut frontier = vec![(0, first)];
    while !frontier.is_empty() && explorer.report.depth < bounds.depth && explorer.ways.len() < bounds.states {
        let mut next = Vec::new();
        for (place, node) in frontier {
            explorer.expand(place, &node, &mut next)?;
        }
        frontier = next;
        explorer.report.depth += 1;
    }
    explorer.report.complete = frontier.is_empty();
    explorer.report.states = explorer.ways.len();
    explorer.report.time = began.elapsed();
    Ok(explorer.report)
}

impl Explorer<'_> {
    /// Tries every action in one state.
    fn expand(
        &mut self,
        place: usize,
        node: &Node,
        next: &mut Vec<(usize, Node)>,
    ) -> Result<(), Box<Counterexample>> {
        let setting = self.setting;
        let before = Picture::of(&node.coordinator);
        let essence = node.coordinator.essence();
        let mut accepted = false;
        for (number, action) in setting.actions.iter().enumerate() {
            let Some(taken) = node.after(action, self.take) else { continue };
            self.report.transitions += 1;
            let after = Picture::of(&taken.node.coordinator);
            let moment = Moment {
                config: &setting.config,
                action,
                sent: taken.sent.as_ref(),
                node_before: node,
                node: &taken.node,
                before: &before,
                after: &after,
                outputs: &taken.step.outputs,
            };
            for invariant in self.invariants {
                if let Err(problem) = (invariant.check)(&moment) {
                    return Err(self.counterexample(invariant, problem, place, number));
                }
            }
            let done = moment.sent.is_none() || moment.is_accepted();
            accepted |= done;
            if !done {
                self.report.refused += 1;
                self.unchanged(&essence, &moment, place, number)?;
            }
            let fingerprint = taken.node.fingerprint();
            if self.known.contains_key(&fingerprint) {
                continue;
            }
            let found = self.ways.len();
            self.known.insert(fingerprint, found);
            self.ways.push(Some((place, number)));
            self.becomes_quiet(&taken.node, fingerprint, place, number)?;
            next.push((found, taken.node));
        }
        if accepted { Ok(()) } else { Err(self.stuck(place)) }
    }

    /// A refused message changes nothing, save that its sender was heard.
    fn unchanged(
        &self,
        essence: &str,
        moment: &Moment<'_>,
        place: usize,
        number: usize,
    ) -> Result<(), Box<Counterexample>> {
        const REFUSED: Invariant = Invariant {
            name: "a refused message changes nothing",
            ids: &["ENV-14", "D-026"],
            check: |_| Ok(()),
        };
        let after = moment.node.coordinator.essence();
        let rest = |text: &str| {
            text.lines().filter(|line| !line.starts_with("member ")).map(str::to_owned).collect::<Vec<_>>()
        };
        let (before, after) = (rest(essence), rest(&after));
        if moment.comes_back() || before == after {
            return Ok(());
        }
        let changed: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
        Err(self.counterexample(&REFUSED, format!("now {changed:?}"), place, number))
    }

    /// From here on time alone brings everything to its end, and thaws what is frozen.
    fn becomes_quiet(
        &mut self,
        from: &Node,
        fingerprint: u128,
        place: usize,
        number: usize,
    ) -> Result<(), Box<Counterexample>> {
        const QUIET: Invariant = Invariant {
            name: "time alone ends everything",
            ids: &["INT-07", "CAS-01", "FRZ-13", "CLM-13", "GOV-14"],
            check: |_| Ok(()),
        };
        let mut node = from.clone();
        let mut passed = vec![fingerprint];
        let rest = loop {
            let here = *passed.last().expect("it begins with one");
            if let Some(rest) = self.quiet_after.get(&here) {
                break *rest;
            }
            if Picture::of(&node.coordinator).is_quiet() {
                break 0;
            }
            let Some(at) = node.coordinator.next_deadline().filter(|_| passed.len() <= MOST_DEADLINES) else {
                let left = node.coordinator.essence();
                return Err(self.counterexample(&QUIET, format!("at the end there is still\n{left}"), place, number));
            };
            node.now = at;
            let _ = (self.take)(&mut node.coordinator, at, Input::Timeout);
            passed.push(node.fingerprint());
        };
        for (more, here) in passed.into_iter().rev().enumerate() {
            self.quiet_after.insert(here, rest + more);
            self.report.deadlines = self.report.deadlines.max(rest + more);
        }
        Ok(())
    }

    fn stuck(&self, place: usize) -> Box<Counterexample> {
        let path = self.path(place);
        let problem = "no action is accepted".to_owned();
        Box::new(Counterexample { invariant: "something can be done", ids: &["FRZ-06"], problem, path })
    }

    fn counterexample(
        &self,
        invariant: &Invariant,
        problem: String,
        place: usize,
        number: usize,
    ) -> Box<Counterexample> {
        let mut path = self.path(place);
        path.push(self.setting.actions[number].name.clone());
        Box::new(Counterexample { invariant: invariant.name, ids: invariant.ids, problem, path })
    }

    /// The actions that lead to a state; nothing shorter does.
    fn path(&self, mut place: usize) -> Vec<String> {
        let mut path = Vec::new();
        while let Some((from, number)) = self.ways[place] {
            path.push(self.setting.actions[number].name.clone());
            place = from;
        }
        path.reverse();
        path
    }
}
