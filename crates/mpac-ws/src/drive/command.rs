//! What a caller may ask for, and reading it off a line.

use std::borrow::Cow;

use mpac_wire::names::{CloseDisposition, CloseReason, CoordinatorEvent};
use mpac_wire::snapshot::Snapshot;
use mpac_wire::{PrincipalId, Timestamp};

use super::config::Config;
use super::failure::{Code, Failure};
use super::members::{At, Members};
use super::signatures;
use crate::config::closest;
use crate::signing::Signing;

/// One request.
#[derive(Debug)]
pub(super) enum Command<'a> {
    Open { now: Timestamp, seed: u64, config: Box<Config> },
    Message { now: Timestamp, conn: Option<String>, frame: Cow<'a, str> },
    Disconnect { now: Timestamp, conn: String },
    Tick { now: Timestamp },
    Status { now: Timestamp, event: CoordinatorEvent },
    HandOver { now: Timestamp, successor: Option<PrincipalId>, next_epoch: u64 },
    Close { now: Timestamp, reason: CloseReason, disposition: CloseDisposition },
    RotateKey { now: Timestamp, key: Signing },
    Snapshot { now: Timestamp },
    Restore { now: Timestamp, seed: u64, config: Box<Config>, snapshot: Box<Snapshot> },
    NextDeadline,
}

/// A command's name and its members; `now` may stand everywhere.
struct Form {
    name: &'static str,
    members: &'static [&'static str],
}

const FORMS: [Form; 10] = [
    form("open", &["now", "seed", "config"]),
    form("message", &["now", "conn", "envelope", "text"]),
    form("disconnect", &["now", "conn"]),
    form("tick", &["now"]),
    form("status", &["now", "event", "successor", "next_epoch"]),
    form("close", &["now", "reason", "disposition"]),
    form("rotate_key", &["now", "seed"]),
    form("snapshot", &["now"]),
    form("restore", &["now", "seed", "config", "snapshot"]),
    form("next_deadline", &["now"]),
];

const fn form(name: &'static str, members: &'static [&'static str]) -> Form {
    Form { name, members }
}

impl<'a> Command<'a> {
    /// Reads one line.
    pub(super) fn read(line: &'a str) -> Result<Self, Failure> {
        let members = Members::of_line(line, Code::MalformedCommand)?;
        let name: String = members.need("cmd")?.read()?;
        let form = FORMS.iter().find(|form| form.name == name).ok_or_else(|| unknown(&name))?;
        members.only(&[&["cmd"], form.members].concat())?;
        let now = || now(&members);
        Ok(match form.name {
            "open" => Self::Open { now: now()?, seed: seed(&members)?, config: config(&members)? },
            "message" => Self::Message {
                now: now()?,
                conn: members.get("conn").map(|at| at.read()).transpose()?,
                frame: frame(&members)?,
            },
            "disconnect" => Self::Disconnect { now: now()?, conn: members.need("conn")?.read()? },
            "tick" => Self::Tick { now: now()? },
            "status" => status(&members)?,
            "close" => Self::Close {
                now: now()?,
                reason: listed(members.get("reason"), CloseReason::LISTED, CloseReason::Manual)?,
                disposition: listed(
                    members.get("disposition"),
                    CloseDisposition::LISTED,
                    CloseDisposition::WithdrawAll,
                )?,
            },
            "rotate_key" => Self::RotateKey { now: now()?, key: signatures::seed(&members.need("seed")?)? },
            "snapshot" => Self::Snapshot { now: now()? },
            "restore" => Self::Restore {
                now: now()?,
                seed: seed(&members)?,
                config: config(&members)?,
                snapshot: members.need("snapshot")?.under(Code::InvalidSnapshot).read().map(Box::new)?,
            },
            _ => Self::NextDeadline,
        })
    }
}

fn unknown(name: &str) -> Failure {
    let names = FORMS.map(|form| form.name);
    let near = if name.len() <= 100 { closest(name, &names) } else { None };
    let hint = match near {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    Failure::new(Code::UnknownCommand, format!("cmd: {name:?} is no command ({hint})"))
}

fn now(members: &Members<'_>) -> Result<Timestamp, Failure> {
    members.need("now")?.read()
}

fn seed(members: &Members<'_>) -> Result<u64, Failure> {
    members.get("seed").map_or(Ok(0), |at| at.read())
}

fn config(members: &Members<'_>) -> Result<Box<Config>, Failure> {
    let config = match members.get("config") {
        Some(at) => at.under(Code::InvalidConfig).members()?,
        None => Members::none("config", Code::InvalidConfig),
    };
    Config::read(&config).map(Box::new)
}

/// A frame is JSON, kept as it was written, or any text.
fn frame<'a>(members: &Members<'a>) -> Result<Cow<'a, str>, Failure> {
    match (members.any("envelope"), members.get("text")) {
        (Some(envelope), None) => Ok(Cow::Borrowed(envelope.text())),
        (None, Some(text)) => text.read().map(Cow::Owned),
        (None, None) => members.need("envelope").map(|_| Cow::Borrowed("")),
        (Some(_), Some(text)) => Err(text.wrong("give either `envelope` or `text`")),
    }
}

/// The events that the coordinator authors when it is told to; the others are part of something that happens.
fn status<'a>(members: &Members<'_>) -> Result<Command<'a>, Failure> {
    use CoordinatorEvent as E;
    let now = now(members)?;
    let event = listed(
        members.get("event"),
        &[E::Heartbeat, E::Recovered, E::Assumed, E::Handover],
        CoordinatorEvent::Heartbeat,
    )?;
    let (successor, next_epoch) = (members.get("successor"), members.get("next_epoch"));
    match event {
        E::Handover => Ok(Command::HandOver {
            now,
            successor: successor.map(|at| at.read()).transpose()?,
            next_epoch: next_epoch.map_or(Ok(0), |at| at.read())?,
        }),
        event => match successor.or(next_epoch) {
            Some(at) => Err(at.wrong("goes with the event `handover` only")),
            None => Ok(Command::Status { now, event }),
        },
    }
}

fn listed<T: Clone + ToString>(at: Option<At<'_>>, all: &[T], default: T) -> Result<T, Failure> {
    at.map_or(Ok(default), |at| at.one_of(all, ToString::to_string))
}
