//! Breadth first over real coordinators: every state once, every action in each. And at random, where that is too much.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mpac_core::SessionConfig;

use super::invariants::Invariant;
use super::judge::{From, Quiet, Violation};
use super::node::{Action, Node, TakeInput};

/// What is explored.
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) config: SessionConfig,
    /// Before the exploration begins: part of every counterexample's past.
    pub(super) opening: Vec<Action>,
    pub(super) actions: Vec<Action>,
}

impl Setting {
    fn first(&self, take: TakeInput) -> Node {
        self.opening.iter().fold(Node::new(self.config.clone()), |node, action| {
            node.after(action, take).expect("the opening can be played").node
        })
    }
}

/// How much there was to see.
#[derive(Debug, Default)]
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

/// The way to a state in which something does not hold.
#[derive(Debug)]
pub(super) struct Counterexample {
    pub(super) violation: Violation,
    pub(super) path: Vec<String>,
}

impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Violation { name, ids, problem } = &self.violation;
        writeln!(f, "`{name}` ({}) does not hold: {problem}", ids.join(", "))?;
        for (number, action) in (1..).zip(&self.path) {
            writeln!(f, "  {number}. {action}")?;
        }
        Ok(())
    }
}

struct Explorer<'a> {
    setting: &'a Setting,
    invariants: &'a [Invariant],
    take: TakeInput,
    /// How every state was reached: from which one, by which action.
    ways: Vec<Option<(usize, usize)>>,
    known: BTreeSet<u128>,
    quiet: Quiet,
    report: Report,
}

/// Explores every order of so many actions, and says how much there was.
///
/// # Errors
/// The first violation; no shorter sequence leads to one.
pub(super) fn explore(
    setting: &Setting,
    depth: usize,
    invariants: &[Invariant],
    take: TakeInput,
) -> Result<Report, Box<Counterexample>> {
    let began = Instant::now();
    let first = setting.first(take);
    let mut explorer = Explorer {
        setting,
        invariants,
        take,
        ways: vec![None],
        known: BTreeSet::from([first.fingerprint()]),
        quiet: Quiet::default(),
        report: Report::default(),
    };
    let mut frontier = vec![(0, first)];
    while !frontier.is_empty() && explorer.report.depth < depth {
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
        let from = From::new(&setting.config, node);
        let mut done = 0;
        for (number, action) in setting.actions.iter().enumerate() {
            let judged = from.take(action, self.invariants, self.take, &self.known);
            let Some(judged) = judged.map_err(|it| self.counterexample(it, place, Some(number)))? else {
                continue;
            };
            self.report.transitions += 1;
            self.report.refused += usize::from(!judged.done);
            done += usize::from(judged.done);
            if !self.known.insert(judged.fingerprint) {
                continue;
            }
            let quiet = self.quiet.comes(&judged.node, self.take);
            let deadlines = quiet.map_err(|it| self.counterexample(it, place, Some(number)))?;
            self.report.deadlines = self.report.deadlines.max(deadlines);
            next.push((self.ways.len(), judged.node));
            self.ways.push(Some((place, number)));
        }
        if done > 0 {
            return Ok(());
        }
        let problem = "nothing is accepted here".to_owned();
        let stuck = Violation { name: "something can be done", ids: &["FRZ-06"], problem };
        Err(self.counterexample(stuck, place, None))
    }

    /// The actions that lead to a state, and perhaps one more.
    fn counterexample(
        &self,
        violation: Violation,
        mut place: usize,
        last: Option<usize>,
    ) -> Box<Counterexample> {
        let name = |number: usize| self.setting.actions[number].name.clone();
        let mut path: Vec<String> = last.map(name).into_iter().collect();
        while let Some((from, number)) = self.ways[place] {
            path.push(name(number));
            place = from;
        }
        path.reverse();
        Box::new(Counterexample { violation, path })
    }
}

/// Walks at random, so many times so many actions, from the seed on.
///
/// # Errors
/// A violation, with a way to it in which no single action can be left out.
pub(super) fn wander(
    setting: &Setting,
    (walks, length): (u64, usize),
    invariants: &[Invariant],
    take: TakeInput,
) -> Result<Report, Box<Counterexample>> {
    let began = Instant::now();
    let first = setting.first(take);
    let mut report = Report { depth: length, ..Report::default() };
    let mut known = BTreeSet::new();
    let mut quiet = Quiet::default();
    for seed in 1..=walks {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut path: Vec<&Action> = Vec::new();
        let mut node = first.clone();
        for _ in 0..length {
            // Xorshift: what matters is only that all actions have their turn.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let action = &setting.actions[(random % setting.actions.len() as u64) as usize];
            path.push(action);
            let judged = From::new(&setting.config, &node).take(action, invariants, take, &known);
            let found = judged.and_then(|judged| {
                let Some(judged) = judged else { return Ok(None) };
                report.deadlines = report.deadlines.max(quiet.comes(&judged.node, take)?);
                Ok(Some(judged))
            });
            match found {
                Ok(Some(judged)) => {
                    report.transitions += 1;
                    report.refused += usize::from(!judged.done);
                    known.insert(judged.fingerprint);
                    node = judged.node;
                }
                Ok(None) => {
                    path.pop();
                }
                Err(violation) => return Err(shorter(setting, &first, violation, path, invariants, take)),
            }
        }
    }
    report.states = known.len();
    report.time = began.elapsed();
    Ok(report)
}

/// The first violation along a way, if there is one.
fn walk(
    setting: &Setting,
    first: &Node,
    path: &[&Action],
    invariants: &[Invariant],
    take: TakeInput,
) -> Option<Violation> {
    let mut node = first.clone();
    for action in path {
        match From::new(&setting.config, &node).take(action, invariants, take, &BTreeSet::new()) {
            Ok(Some(judged)) => node = judged.node,
            Ok(None) => {}
            Err(violation) => return Some(violation),
        }
        if let Err(violation) = Quiet::default().comes(&node, take) {
            return Some(violation);
        }
    }
    None
}

/// Leaves out whatever the same violation does not need.
fn shorter(
    setting: &Setting,
    first: &Node,
    mut violation: Violation,
    mut path: Vec<&Action>,
    invariants: &[Invariant],
    take: TakeInput,
) -> Box<Counterexample> {
    let mut at = 0;
    while at < path.len() {
        let mut without = path.clone();
        without.remove(at);
        match walk(setting, first, &without, invariants, take).filter(|found| found.name == violation.name) {
            Some(found) => (violation, path) = (found, without),
            None => at += 1,
        }
    }
    Box::new(Counterexample { violation, path: path.into_iter().map(|action| action.name.clone()).collect() })
}
