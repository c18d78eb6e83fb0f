//! What a story is played on: a coordinator, however it is reached.

mod lines;
mod process;
mod server;
mod socket;

use std::collections::BTreeSet;
use std::fmt;
use std::process::Command;
use std::str::FromStr;

use mpac_wire::Timestamp;
use serde_json::{Map, Value};

#[cfg(test)]
pub(super) use lines::{Ask, Lines};
pub(super) use process::{in_process, started};
pub(super) use server::{Launched, Manner, Shared, Target};

use super::story::{Feature, Local, Story};

/// What a coordinator is told before a story begins.
pub(super) struct Setup<'a> {
    pub(super) session: &'a str,
    pub(super) protocol: &'a str,
    pub(super) config: &'a Map<String, Value>,
}

impl<'a> Setup<'a> {
    pub(super) fn of(story: &'a Story, session: &'a str) -> Self {
        Self { session, protocol: &story.protocol, config: &story.config }
    }

    /// The whole configuration as one object, by the keys of `mpac-ws drive`.
    pub(super) fn config(&self) -> Value {
        let mut config = self.config.clone();
        config.entry("session_id").or_insert_with(|| self.session.into());
        config.entry("protocol_level").or_insert_with(|| self.protocol.into());
        Value::Object(config)
    }
}

/// Something reached a connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) conn: String,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Frame(String),
    Closed(u16),
}

/// Why a story cannot be played to its end, beside that the coordinator is wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is not possible here, for this reason.
    Skip(String),
    /// No session of this configuration is opened.
    Refused(String),
    /// The coordinator, or the way to it, broke.
    Broken(String),
}

/// A coordinator under test. One value plays one story.
pub(super) trait Endpoint {
    /// Opens the session.
    fn open(&mut self, setup: &Setup<'_>) -> Result<(), Trouble>;

    /// Lets time pass until so many seconds after the opening; everything due on the way fires at its own moment.
    fn advance(&mut self, seconds: f64) -> Result<Vec<Event>, Trouble>;

    /// The coordinator's time, as far as can be told.
    fn now(&self) -> Timestamp;

    /// A frame comes on a connection, which begins with its first frame. Returns what follows from it, on all connections.
    fn send(&mut self, conn: &str, frame: &str) -> Result<Vec<Event>, Trouble>;

    /// The same in a binary frame.
    fn send_binary(&mut self, _conn: &str, _frame: &str) -> Result<Vec<Event>, Trouble> {
        Err(Trouble::Skip("there are no binary frames without sockets".to_owned()))
    }

    /// A connection ends.
    fn disconnect(&mut self, conn: &str) -> Result<Vec<Event>, Trouble>;

    /// From here on nothing is read on a connection, which stays open.
    fn deafen(&mut self, _conn: &str) -> Result<(), Trouble> {
        Err(Trouble::Skip("everybody reads where there are no sockets".to_owned()))
    }

    /// The coordinator does something by itself.
    fn local(&mut self, local: &Local) -> Result<Vec<Event>, Trouble>;

    /// The session as it stands, where that can be seen.
    fn snapshot(&mut self) -> Result<Option<Value>, Trouble>;
}

/// A program and its arguments, which may hold blanks: the repository may lie anywhere.
#[derive(Clone, Debug)]
pub(super) struct Words {
    program: String,
    arguments: Vec<String>,
}

impl Words {
    pub(super) fn new(program: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Self { program: program.to_owned(), arguments }
    }

    fn mentions(&self, place: &str) -> bool {
        self.program.contains(place) || self.arguments.iter().any(|word| word.contains(place))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        command
    }
}

/// As somebody types it: split at blanks.
impl FromStr for Words {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let program = words.next().ok_or("no program is named")?;
        Ok(Self { program, arguments: words.collect() })
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.arguments.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

/// Makes coordinators, one for each story.
pub(super) trait Runner: Sync + Send {
    /// For reports.
    fn name(&self) -> String;

    /// Whether it is ours, in this process: the types that read and write our messages are looked at with it.
    fn has_our_types(&self) -> bool {
        false
    }

    /// What it cannot do: without sockets, what only they show.
    fn lacks(&self) -> BTreeSet<Feature> {
        BTreeSet::from([Feature::Server, Feature::Stop, Feature::Sessions])
    }

    /// Seconds that a story may take at the most; none where time is virtual.
    fn patience(&self) -> Option<f64> {
        None
    }

    /// How many stories may be played at a time.
    fn jobs(&self) -> usize {
        1
    }

    /// The session that a story plays in, where it is not the usual one.
    fn session(&self, _: &Story) -> Option<String> {
        None
    }

    fn begin(&self, story: &Story, session: &str) -> Result<Box<dyn Endpoint>, Trouble>;
}
