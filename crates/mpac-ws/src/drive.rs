//! `mpac-ws drive`: the core for any language.
//!
//! A program in another language starts `mpac-ws drive`, writes one JSON object a line to its stdin and reads one line for
//! each from its stdout. There are no sockets, files, clocks and random numbers: time is what the requests say, and the same
//! lines give the same answers, byte for byte. One process holds one session at a time.
//!
//! # Requests
//!
//! | request | answer |
//! |---|---|
//! | `{"cmd":"open","now":T,"seed":N?,"config":{…}?}` | `{"ok":true}`. Replaces what was open. Ids follow from `seed`, 0 if none is given |
//! | `{"cmd":"message","now":T,"conn":"name"?,"envelope":{…}}` | outputs. `envelope` is any JSON value and reaches the core as it is written; `"text":"…"` in its place is for frames that are no JSON. Requests about files and the session are frames like others |
//! | `{"cmd":"tick","now":T}` | outputs of every timer due at or before `now`, which fires at `now` |
//! | `{"cmd":"status","now":T,"event":"heartbeat"}` | outputs: a COORDINATOR_STATUS. Also `recovered`, `assumed`, and `handover` with `successor`? and `next_epoch`?, after which the coordinator is silent |
//! | `{"cmd":"close","now":T,"reason":"manual","disposition":"withdraw_all"}` | outputs; none when it is closed already. The two members may be left out |
//! | `{"cmd":"rotate_key","now":T,"seed":"64 hex digits"}` | outputs: the coordinator tells of its new key, by the old one, and signs with the new one from there on. Nothing where it has none, or somebody has that one |
//! | `{"cmd":"disconnect","now":T,"conn":"name"}` | outputs; a connection that was never used is no mistake |
//! | `{"cmd":"snapshot","now":T}` | `{"ok":true,"snapshot":{…}}`. Changes nothing |
//! | `{"cmd":"restore","now":T,"snapshot":{…},"config":{…}?,"seed":N?}` | `{"ok":true}`. Replaces what was open; the epoch is the snapshot's + 1 |
//! | `{"cmd":"next_deadline"}` | `{"ok":true,"at":T}`, or null where no timer waits. Changes nothing; a `now` is not looked at |
//!
//! Outputs are `{"ok":true,"out":[…]}`, in the order in which a server would send them:
//!
//! | member | what it is |
//! |---|---|
//! | `to` | `"all"`, everybody who has joined; `"sender"`, the connection of this message; or the ids of principals |
//! | `kind` | `"coordinator"`, its own message; `"relay"`, a participant's, as it came; `"sideband"`, what is not MPAC |
//! | `envelope` | the message; with `sideband` it is called `message` (FILE_CONTENT, FILE_UPDATED and the like) |
//!
//! Where the coordinator closes connections the answer has `"closed":[{"conn","code","reason"}]` beside `out`. A caller who
//! carries that out says `disconnect` next.
//!
//! A refused *message* is `{"ok":true}` with its PROTOCOL_ERROR in `out`. A bad *request* is
//! `{"ok":false,"error":{"code","message"}}`: nothing has changed, and the next line is read. The codes are `MALFORMED_LINE`,
//! `LINE_TOO_LONG`, `UNKNOWN_COMMAND`, `MALFORMED_COMMAND`, `INVALID_CONFIG`, `INVALID_SNAPSHOT`, `NOT_OPEN` and
//! `TIME_WENT_BACK`; the message names the place. Every line has an answer, an empty one too. The end of stdin is the end of
//! the process, with exit code 0.
//!
//! # Time
//!
//! `now` is RFC 3339 and does not go back between an `open` or `restore` and the next one; equal is allowed.
//!
//! Every command but `snapshot` and `next_deadline` begins with *one sweep at its `now`*: all timers that are due by then
//! fire, in the order that the specification gives for one sweep, and what they say bears that time. A claim without grace is
//! granted with its message; whatever else a command makes due at once waits for the next one, for instance a `tick`.
//!
//! What follows from a timer (a grace, the next phase of a freeze) counts from the `now` at which it fired, as in a server
//! that was asleep until then. So a `tick` far ahead fires what waits, and not what follows from that. Who wants the session of
//! a server that is always awake lets every timer fire at its own moment:
//!
//! ```text
//! while next_deadline is not null and next_deadline <= now: tick at next_deadline
//! ```
//!
//! What fell due before a `restore` fires with the next command.
//!
//! # Connections
//!
//! A connection begins when it is first named. Without `conn` a frame comes on the connection called like the `principal_id`
//! of its sender, so that a caller who does not care has one for each. What a connection may say follows the protocol: a
//! sender is bound to it by the first accepted HELLO, and another incarnation of the same principal comes on another connection
//! (or after a `disconnect`).
//!
//! # Configuration
//!
//! `mpac-ws drive --help` lists the keys with their defaults. A key that does not exist, a wrong type or a word that means
//! nothing is `INVALID_CONFIG` with the path and what was probably meant; null counts as absent. No COORDINATOR_STATUS
//! comes by itself.
//!
//! - `workspace` gives the shared files, which FILE_LIST and FILE_READ show. With it (`{}` is enough), contents that commits
//!   bring are told to all as FILE_UPDATED; without it they are kept and can be read, and nobody is told.
//! - `credentials` lists what is accepted: a missing `principal_id` or `sessions` means any, `roles` override the role policy,
//!   an empty list accepts nobody. *For tests only*: without the key every credential that is not empty passes, where the
//!   security profile asks for one.
//!
//! - `coordinator_key` with a `seed` makes the coordinator sign everything it writes; with a `public_key` it only says that it
//!   would. A verified session needs one.
//! - `keys` says who signs with what, in place of the certificates that a server reads: a HELLO of `principal_id` may bring such a
//!   `public_key` into the session; a `secret` is that of an HMAC, for authenticated sessions. The signatures of frames are
//!   verified as `fixtures/signatures/README.md` says. In a verified session a HELLO needs both, an accepted `x509_chain` (its
//!   `value` is compared like any other here) and the signature.
//!
//! # Restoring
//!
//! `restore` takes a complete `config`, as `open` does: the snapshot's policies are not used. `session_id` is the
//! configuration's if it names one. Participants stay joined: a connection is bound by the first message of one of them, a
//! HELLO is not needed, and one who says HELLO all the same is told that the session was recovered. Waiting for a resolution
//! and the phases of a freeze leave out the time between the two moments; times to live do not. Contents of files are not in
//! a snapshot; those in `workspace` are taken for current.
//!
//! # Python
//!
//! ```python
#![doc = include_str!("../../../fixtures/drive/example.py")]
//! ```
//!
//! # Node
//!
//! ```javascript
#![doc = include_str!("../../../fixtures/drive/example.mjs")]
//! ```

mod answer;
mod command;
mod config;
mod connections;
mod credentials;
mod failure;
mod lines;
mod members;
mod outputs;
mod session;
mod signatures;

use std::io::{self, BufRead, Write};

pub(crate) use self::config::{of_server as session_config, role_policy, stored};

use self::answer::Answer;
use self::command::Command;
use self::failure::{Code, Failure};
use self::lines::Line;
use self::session::Session;

/// Bytes of a line at the most, unless told otherwise: a snapshot of a large session is one line.
pub const LONGEST_LINE: usize = 268_435_456;

/// Answers every line of `input` with one of `output`, flushed, until `input` ends.
///
/// # Errors
/// When `input` cannot be read or `output` not be written. That nobody reads `output` any more is an end like another.
pub fn run(input: &mut impl BufRead, output: &mut impl Write, longest_line: usize) -> io::Result<()> {
    let mut driver = Driver::new();
    while let Some(line) = lines::next(input, longest_line)? {
        let text = match line {
            Line::Whole(bytes) => driver.answer(&bytes),
            Line::TooLong => {
                let text = format!("the line has more than {longest_line} bytes");
                answer::line(&Err(Failure::new(Code::LineTooLong, text)))
            }
        };
        match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done?,
        }
    }
    Ok(())
}

/// What `mpac-ws drive --help` says behind the options.
pub(crate) fn help() -> String {
    format!("{REQUESTS}\nKeys of `config`, all optional, with their defaults:\n{}{EXAMPLE}", config::table())
}

const REQUESTS: &str = r#"Requests (NOW is an RFC 3339 time that never goes back; optional members in brackets):
  {"cmd":"open","now":NOW,["seed":N,]["config":{...}]}   begin a session; replaces an open one
  {"cmd":"message","now":NOW,["conn":NAME,]"envelope":ANY}   a frame comes; or "text":"..." for one that is no JSON
  {"cmd":"tick","now":NOW}   every timer due at or before NOW fires
  {"cmd":"status","now":NOW,["event":"heartbeat"]}   the coordinator tells how the session is; also recovered, assumed,
      and handover with ["successor":ID,]["next_epoch":N], after which it is silent
  {"cmd":"close","now":NOW,["reason":R,]["disposition":D]}   end the session; R is manual (the default), completed, timeout,
      policy or coordinator_shutdown, D is withdraw_all (the default) or expire_all
  {"cmd":"rotate_key","now":NOW,"seed":HEX}   the coordinator signs with another key from here on
  {"cmd":"disconnect","now":NOW,"conn":NAME}   a connection ends
  {"cmd":"snapshot","now":NOW}   the session's stored form; changes nothing
  {"cmd":"restore","now":NOW,"snapshot":{...},["config":{...},]["seed":N]}   go on under the next epoch
  {"cmd":"next_deadline"}   when the next timer is due; changes nothing
NAME is a connection, which begins when it is first named; without it a message comes on the one called like its sender.

Answers:
  {"ok":true,"out":[{"to":"all"|"sender"|[IDS],"kind":"coordinator"|"relay","envelope":{...}}]}
  {"ok":true}, {"ok":true,"snapshot":{...}}, {"ok":true,"at":TIME|null}
  {"ok":false,"error":{"code":CODE,"message":TEXT}}   nothing has changed; the next line is read
A refused message is no error: its PROTOCOL_ERROR is in "out". Answers about files are {"to","kind":"sideband","message"}.
"#;

const EXAMPLE: &str = r#"
Example:
  echo '{"cmd":"open","now":"2026-01-01T00:00:00Z","config":{"session_id":"s"}}' | mpac-ws drive"#;

/// At most one session at a time, for callers in Rust: each line is answered as [`run`] would.
#[derive(Debug, Default)]
pub struct Driver {
    session: Option<Session>,
}

impl Driver {
    /// Nothing is open yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The line, with its end, that answers this one. Never fails: a bad request is answered with what is wrong.
    pub fn answer(&mut self, line: &[u8]) -> String {
        answer::line(&self.outcome(line))
    }

    fn outcome(&mut self, line: &[u8]) -> Result<Answer, Failure> {
        let text = std::str::from_utf8(line).map_err(|error| {
            Failure::new(Code::MalformedLine, format!("not UTF-8 from byte {} on", error.valid_up_to() + 1))
        })?;
        match Command::read(text)? {
            Command::Open { now, seed, config } => {
                self.session = Some(Session::open(*config, seed, now)?);
                Ok(Answer::Done {})
            }
            Command::Message { now, conn, frame } => {
                self.session()?.message(now, conn.as_deref(), &frame).map(Answer::Outputs)
            }
            Command::Disconnect { now, conn } => self.session()?.disconnect(now, &conn).map(Answer::Outputs),
            Command::Tick { now } => self.session()?.tick(now).map(Answer::Outputs),
            Command::Status { now, event } => self.session()?.status(now, event).map(Answer::Outputs),
            Command::HandOver { now, successor, next_epoch } => {
                self.session()?.hand_over(now, successor, next_epoch).map(Answer::Outputs)
            }
            Command::Close { now, reason, disposition } => {
                self.session()?.close(now, reason, disposition).map(Answer::Outputs)
            }
            Command::RotateKey { now, key } => self.session()?.rotate_key(now, key).map(Answer::Outputs),
            Command::Snapshot { now } => {
                let snapshot = Box::new(self.session()?.snapshot(now)?);
                Ok(Answer::Snapshot { snapshot })
            }
            Command::Restore { now, seed, config, snapshot } => {
                self.session = Some(Session::restore(*config, *snapshot, seed, now)?);
                Ok(Answer::Done {})
            }
            Command::NextDeadline => Ok(Answer::Deadline { at: self.session()?.next_deadline() }),
        }
    }

    fn session(&mut self) -> Result<&mut Session, Failure> {
        self.session
            .as_mut()
            .ok_or_else(|| Failure::new(Code::NotOpen, "there is no session yet: open or restore one"))
    }
}
