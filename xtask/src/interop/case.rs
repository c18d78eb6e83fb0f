//! One interop case from start to end: who takes part, what they are asked, and what must come of it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::cast::{Cast, frames};
use super::check::{self, Expected};
use crate::step::{self, Failure};

/// The agents' names: the first one's principal id sorts first.
pub(crate) const NAMES: [&str; 2] = ["Alice", "Bob"];
/// The files of the disjoint cases; the other cases use the first one for both.
pub(crate) const FILES: [&str; 2] = ["shop/cart.py", "shop/money.py"];
/// For a process to be ready, or a frame to arrive after its cause.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// For both agents to finish: a Python agent takes about ten seconds, twice that when both yield first.
const WHOLE_TASK: Duration = Duration::from_secs(90);

/// The exit code of our agent when it left the task to somebody else.
const YIELDED: i32 = 3;

/// Who made a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// This repository.
    Ours,
    /// The released Python package in this version.
    Python(&'static str),
}

/// What the two agents are asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Each its own file.
    Disjoint,
    /// The same file, and both proceed: the second commit is stale and is made again.
    SameFile,
    /// The same file, and the second one yields.
    OneYields,
    /// The same file, both yield, notice it, and announce again.
    BothYield,
}

/// Who runs, and what they are asked to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// a: Python agents on our server, b: our agents on a Python server, c: one of each on ours, d: the same with keys over TLS.
    pub(crate) group: char,
    /// Who made the server.
    pub(crate) server: Party,
    /// Who made Alice and Bob.
    pub(crate) agents: [Party; 2],
    /// What they do.
    pub(crate) shape: Shape,
}

impl Case {
    /// Says all that tells this case from the others.
    pub(crate) fn name(&self) -> String {
        let party = |party| match party {
            Party::Ours => "ours".to_owned(),
            Party::Python(version) => format!("mpac {version}"),
        };
        let [first, second] = self.agents.map(party);
        let shape = match self.shape {
            Shape::Disjoint => "disjoint files",
            Shape::SameFile => "same file, both proceed",
            Shape::OneYields => "same file, one yields",
            Shape::BothYield => "same file, both yield and try again",
        };
        format!("{}: agents {first} and {second}, server {}: {shape}", self.group, party(self.server))
    }

    /// Runs it from start to end.
    ///
    /// # Errors
    /// A process did not do its part in time, or something checked afterwards is wrong; the text ends with what was said last.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut cast = Cast::start(self)?;
        self.play(&mut cast).map_err(|failure| Failure::check(format!("{failure}\n{}", cast.report())))
    }

    /// Whether the server refuses an announce over somebody else's files (STALE_INTENT) instead of reporting a conflict.
    pub(crate) fn locks(&self) -> bool {
        self.server == Party::Python("0.2.13")
    }

    /// Whether everybody needs a key, and TLS.
    pub(crate) fn is_secured(&self) -> bool {
        self.group == 'd'
    }

    /// Whether the second agent starts once the first one's announce is out. Of ours only the one who came second decides
    /// about a conflict, so who is to yield must be second.
    pub(crate) fn in_turn(&self) -> bool {
        matches!(self.shape, Shape::OneYields | Shape::BothYield) && self.agents[1] == Party::Ours
    }

    /// How many conflicts are reported, and how many commits come too late and are made again.
    fn clashes(&self) -> (usize, usize) {
        match self.shape {
            Shape::Disjoint => (0, 0),
            // There the second announce is refused, and comes again once the first agent is done.
            _ if self.locks() => (0, 0),
            Shape::SameFile => (1, 1),
            Shape::OneYields => (1, 0),
            // Ours waits until the one who goes first is done, Python agents go on at the same time.
            Shape::BothYield if self.in_turn() => (1, 0),
            Shape::BothYield => (2, 1),
        }
    }

    /// The exit code of an agent that did its part.
    fn exit_code(&self, at: usize) -> i32 {
        let yields = self.shape == Shape::OneYields && at == 1 && self.agents[at] == Party::Ours;
        if yields { YIELDED } else { 0 }
    }

    fn play(&self, cast: &mut Cast) -> Result<(), Failure> {
        for (at, agent) in cast.agents.iter_mut().enumerate() {
            let status = agent.wait_end(WHOLE_TASK)?;
            if status.code() != Some(self.exit_code(at)) {
                let (name, wanted) = (agent.name(), self.exit_code(at));
                return Err(Failure::check(format!("{name} ended with {status}, {wanted} expected")));
            }
        }
        let expected = self.expected();
        cast.observer.wait_for("end of both agents' part", SOON, |lines| {
            let frames = frames(lines);
            expected.iter().all(|one| check::is_over(&frames, one)).then_some(())
        })?;
        // The answer to a question comes after everything that was sent before it.
        cast.observer.tell(r#"{"type": "FILE_LIST"}"#)?;
        cast.observer.wait_for("FILE_LIST_RESPONSE", SOON, |lines| {
            frames(lines)
                .iter()
                .any(|frame| check::text(frame, &["type"]) == "FILE_LIST_RESPONSE")
                .then_some(())
        })?;
        let status = cast.server.interrupt(SOON)?;
        cast.observer.wait_end(SOON)?;
        let mut wrong = self.wrong_messages(cast, &expected)?;
        if !status.success() {
            wrong.push(format!("the server ended with {status}"));
        }
        wrong.extend(self.wrong_files(cast)?);
        if wrong.is_empty() { Ok(()) } else { Err(Failure::check(wrong.join("\n    "))) }
    }

    fn expected(&self) -> [Expected; 2] {
        [0, 1].map(|at| {
            let withdrawals = match self.shape {
                Shape::OneYields if at == 1 => vec!["yielded"],
                Shape::BothYield => vec!["yielded", "task_completed"],
                Shape::Disjoint | Shape::SameFile | Shape::OneYields => vec!["task_completed"],
            };
            Expected {
                principal: format!("agent:{}", NAMES[at]),
                announces: withdrawals.len(),
                commits: usize::from(withdrawals.contains(&"task_completed")),
                withdrawals,
                goodbye: self.server == Party::Ours,
            }
        })
    }

    fn wrong_messages(&self, cast: &Cast, expected: &[Expected]) -> Result<Vec<String>, Failure> {
        let lines = cast.observer.lines();
        let frames = frames(&lines);
        let mut wrong: Vec<String> = expected.iter().flat_map(|one| check::principal(&frames, one)).collect();
        wrong.extend(check::commits(&frames, self.shape != Shape::Disjoint));
        let (wanted, stale) = self.clashes();
        let (reports, late) = match self.server {
            Party::Ours => {
                let closed = lines.iter().any(|line| line.text == r#"{"closed": 1001}"#);
                if check::count(&frames, "SESSION_CLOSE") != 1 || !closed {
                    wrong.push("the server left without SESSION_CLOSE and code 1001".to_owned());
                }
                (check::count(&frames, "CONFLICT_REPORT"), stale)
            }
            Party::Python(_) => {
                let sent = transcript(&cast.folder.path().join("transcript.json"))?;
                let errors = errors_in(&sent);
                wrong.extend(self.wrong_errors(&errors));
                let late = errors.iter().filter(|code| *code == "STALE_STATE_REF").count();
                (check::count(&sent, "CONFLICT_REPORT"), late)
            }
        };
        if reports != wanted {
            wrong.push(format!("{reports} CONFLICT_REPORT seen, {wanted} expected"));
        }
        let asked = cast.model.lines().iter().filter(|line| line.text.contains(r#""call": "write""#)).count();
        let texts = expected.iter().map(|one| one.commits).sum::<usize>();
        // Of ours, one that hears of the other's text in time writes again before it is late.
        let (least, most) = (texts + stale, texts + stale.max(late));
        if !(least..=most).contains(&asked) {
            wrong.push(format!("{asked} texts were asked of the model, {least} to {most} expected"));
        }
        Ok(wrong)
    }

    /// A Python server stores a text a moment after it took the commit. Whoever is told in between that its commit is stale
    /// may read the old text once more, and be late twice; whoever hears of the other's text in time is not late at all.
    fn wrong_errors(&self, errors: &[String]) -> Option<String> {
        let (_, stale) = self.clashes();
        let refused = usize::from(self.locks() && self.shape != Shape::Disjoint);
        let count = |code: &str| errors.iter().filter(|error| *error == code).count();
        let fits = count("STALE_INTENT") == refused
            && count("STALE_STATE_REF") <= 2 * stale
            && errors.len() == count("STALE_INTENT") + count("STALE_STATE_REF");
        (!fits).then(|| format!("the server answered with the errors {errors:?}"))
    }

    fn wrong_files(&self, cast: &Cast) -> Result<Vec<String>, Failure> {
        let source = step::root().join("fixtures/workspace");
        let mut wrong = Vec::new();
        for path in step::files_below(&source)? {
            let name = path.display().to_string();
            let editors: &[&str] = match (self.shape, FILES.iter().position(|file| *file == name)) {
                (Shape::Disjoint, Some(at)) => &NAMES[at..=at],
                (Shape::SameFile | Shape::BothYield, Some(0)) => &NAMES,
                (Shape::OneYields, Some(0)) => &NAMES[..1],
                _ => &[],
            };
            wrong.extend(check::file(
                &name,
                &step::text(&source.join(&path))?,
                &step::text(&cast.files.join(&path))?,
                editors,
            ));
        }
        Ok(wrong)
    }
}

/// The envelopes that a Python server sent by itself.
fn transcript(path: &Path) -> Result<Vec<Value>, Failure> {
    let entries: Vec<Value> = serde_json::from_str(&step::text(path)?)
        .map_err(|reason| Failure::check(format!("{}: {reason}", path.display())))?;
    let sent = entries.into_iter().filter(|entry| check::text(entry, &["direction"]) == "outbound");
    Ok(sent.map(|entry| entry["envelope"].clone()).collect())
}

fn errors_in(sent: &[Value]) -> Vec<String> {
    let errors = sent.iter().filter(|frame| check::text(frame, &["message_type"]) == "PROTOCOL_ERROR");
    errors.map(|frame| check::text(frame, &["payload", "error_code"]).to_owned()).collect()
}
