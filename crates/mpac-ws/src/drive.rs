//! The core for any language.

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

use std::io::{self, BufRead, Write};

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
    let mut process = Process { session: None };
    while let Some(line) = lines::next(input, longest_line)? {
        let outcome = match line {
            Line::Whole(bytes) => process.answer(&bytes),
            Line::TooLong => {
                Err(Failure::new(Code::LineTooLong, format!("the line has more than {longest_line} bytes")))
            }
        };
        let text = answer::line(&outcome);
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
  {"cmd":"close","now":NOW,["reason":R,]["disposition":D]}   end the session: manual, withdraw_all
  {"cmd":"disconnect","now":NOW,"conn":NAME}   a connection ends
  {"cmd":"snapshot","now":NOW}   the session's stored form; changes nothing
  {"cmd":"next_deadline"}   when the next timer is due; changes nothing

Answers:
  {"ok":true,"out":[{"to":"all"|"sender"|[IDS],"kind":"coordinator"|"relay","envelope":{...}}]}
  {"ok":true}, {"ok":true,"snapshot":{...}}, {"ok":true,"at":TIME|null}
  {"ok":false,"error":{"code":CODE,"message":TEXT}}   nothing has changed; the next line is read
A refused message is no error: its PROTOCOL_ERROR is in "out". Answers about files are {"to","kind":"sideband","message"}.
"#;

const EXAMPLE: &str = r#"
Example:
  echo '{"cmd":"open","now":"2026-01-01T00:00:00Z","config":{"session_id":"s"}}' | mpac-ws drive"#;

/// At most one session at a time.
#[derive(Debug)]
struct Process {
    session: Option<Session>,
}

impl Process {
    fn answer(&mut self, line: &[u8]) -> Result<Answer, Failure> {
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
            Command::Close { now, reason, disposition } => {
                self.session()?.close(now, reason, disposition).map(Answer::Outputs)
            }
            Command::Snapshot { now } => {
                let snapshot = Box::new(self.session()?.snapshot(now)?);
                Ok(Answer::Snapshot { snapshot })
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
