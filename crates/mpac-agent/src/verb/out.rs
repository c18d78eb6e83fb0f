//! What a verb tells: lines for people, or one JSON object a line. `VERBS.md` lists their members.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use serde_json::{Map, Value, json};

use super::task::{members_of_failure, members_of_verb};
use crate::agent::{Event, Events};
use crate::cli::exit;
use crate::diff::printable;
use crate::error::AgentError;
use crate::report::one_line;
use crate::task::Tally;

/// What a verb says: whole lines, but for a file's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told<'a> {
    /// A line of the result.
    Result(&'a str),
    /// A line about it, or about why there is none.
    Note(&'a str),
    /// The result is a file's text, to the byte.
    Text(&'a str),
}

/// Takes what a verb says, and says where a result could not be written.
pub type Lines = Box<dyn FnMut(Told<'_>) -> io::Result<()> + Send>;

/// Standard output for results, standard error for the rest.
#[must_use]
pub fn standard() -> Lines {
    Box::new(|told| match told {
        Told::Result(line) => writeln!(io::stdout().lock(), "{line}"),
        Told::Text(text) => {
            let out = io::stdout();
            copy(&mut out.lock(), text, out.is_terminal())
        }
        Told::Note(line) => {
            // There is nowhere else to say it.
            let _ = writeln!(io::stderr().lock(), "{line}");
            Ok(())
        }
    })
}

/// The text as it is, so that it can be committed again; a terminal is shown it, and obeys nothing that stands in it.
fn copy(out: &mut impl Write, text: &str, is_terminal: bool) -> io::Result<()> {
    match is_terminal {
        true => text.lines().try_for_each(|line| writeln!(out, "{}", printable(line)))?,
        false => out.write_all(text.as_bytes())?,
    }
    // Without a line end it would wait for one, and fail unseen.
    out.flush()
}

/// Where it goes.
pub(super) struct Out {
    lines: Lines,
    json: bool,
    verb: &'static str,
    tally: Tally,
    /// The tally is a task's.
    counts: bool,
    /// Something of the result could not be written.
    is_unwritten: bool,
    /// Nobody reads it any more.
    is_closed: bool,
}

impl Out {
    pub(super) fn new(lines: Lines, json: bool, verb: &'static str) -> Self {
        let tally = Tally::default();
        Self { lines, json, verb, tally, counts: false, is_unwritten: false, is_closed: false }
    }

    /// What a task comes to is told with its failure as well.
    pub(super) fn counts(&mut self, tally: Tally) {
        (self.tally, self.counts) = (tally, true);
    }

    /// What was sent to be committed.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether it is written.
    fn result(&mut self, line: &str) -> bool {
        self.write(Told::Result(line))
    }

    fn write(&mut self, told: Told<'_>) -> bool {
        match (self.lines)(told) {
            Ok(()) => true,
            Err(why) => {
                self.not_written(&why);
                false
            }
        }
    }

    /// Something of the result could not be written. It is said at once, for what goes on may go on for long.
    pub(super) fn not_written(&mut self, why: &io::Error) {
        // A closed pipe is a reader who has seen enough.
        if why.kind() == ErrorKind::BrokenPipe {
            self.is_closed = true;
        } else if !std::mem::replace(&mut self.is_unwritten, true) {
            self.say(&format!("error: {}", AgentError::Unwritten(why.to_string())));
        }
    }

    /// Says it with `--json` too.
    fn say(&mut self, text: &str) {
        // It is no result.
        let _ = (self.lines)(Told::Note(&one_line(&printable(text))));
    }

    /// Whether what comes can still be written.
    pub(super) fn goes_on(&self) -> bool {
        !self.is_closed && self.is_all_written()
    }

    /// Whether nothing of the result is missing but to a reader who has seen enough.
    pub(super) fn is_all_written(&self) -> bool {
        !self.is_unwritten
    }

    /// The result: `text` for people (control characters are shown, not obeyed), or the members of `value`. What others wrote
    /// has to be [one line](one_line) in it.
    pub(super) fn done(&mut self, text: &str, value: Value) {
        if !self.json {
            for line in text.lines() {
                self.result(&printable(line));
            }
            return;
        }
        let mut object = Map::new();
        object.insert("ok".to_owned(), json!(true));
        object.insert("verb".to_owned(), json!(self.verb));
        if let Value::Object(members) = value {
            object.extend(members);
        }
        self.result(&Value::Object(object).to_string());
    }

    /// A file's text as it is; only without `--json`.
    pub(super) fn raw(&mut self, text: &str) {
        self.write(Told::Text(text));
    }

    /// Something that a person may want to know beside the result.
    pub(super) fn note(&mut self, text: &str) {
        if !self.json {
            self.say(text);
        }
    }

    /// An event: a line of its own with `--json`, and a sentence without.
    pub(super) fn event(&mut self, event: &Event, text: &str) {
        match serde_json::to_string(event) {
            Ok(line) if self.json => self.result(&line),
            _ => self.result(&one_line(&printable(text))),
        };
    }

    pub(super) fn failed(&mut self, error: &AgentError) {
        if !self.json {
            self.say(&format!("error: {error}"));
            return;
        }
        let mut object = json!({
            "ok": false, "verb": self.verb, "exit_code": exit::code(error), "message": error.to_string(),
        });
        let members = match error {
            AgentError::TurnedDown(refusal) => serde_json::to_value(refusal.shown()).unwrap_or_default(),
            AgentError::Stale { path, current } => {
                json!({"code": "STALE_STATE_REF", "path": path, "state_ref": current.state_ref})
            }
            AgentError::Refused { code, .. } => json!({ "code": code }),
            AgentError::NoAnswer { accepted, .. } => json!({ "accepted": accepted }),
            _ => json!({}),
        };
        if let (Value::Object(object), Value::Object(members)) = (&mut object, members) {
            object.extend(members);
        }
        if let Value::Object(object) = &mut object {
            if self.counts {
                object.extend(members_of_failure(error, &self.tally));
            } else {
                object.extend(members_of_verb(&self.tally));
            }
        }
        if !self.result(&object.to_string()) {
            self.say(&format!("error: {error}"));
        }
    }
}

/// Shows what happens until `end`, or until the events end.
pub(super) async fn follow(
    events: &mut Events,
    end: impl Future<Output = ()>,
    mut show: impl FnMut(Event) -> bool,
) {
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            biased;
            () = &mut end => return,
            event = events.next() => match event {
                Some(event) => {
                    if !show(event) {
                        return;
                    }
                }
                None => return,
            },
        }
    }
}

/// Why the session is over for us, when this event says so.
pub(super) fn end_of(event: &Event) -> Option<AgentError> {
    match event {
        Event::Disconnected { why } => Some(AgentError::Lost(why.clone())),
        Event::SessionClosed { reason } => Some(AgentError::SessionClosed(reason.clone())),
        _ => None,
    }
}

/// Ctrl-C, or the polite kill, from the call on: whoever reads the line that comes next may send either at once. A program
/// that cannot be told of either waits for ever.
#[cfg(unix)]
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let told = |kind| {
        let mut told = signal(kind).ok();
        async move {
            match &mut told {
                Some(told) => drop(told.recv().await),
                None => std::future::pending().await,
            }
        }
    };
    let (ctrl_c, terminated) = (told(SignalKind::interrupt()), told(SignalKind::terminate()));
    async {
        tokio::select! { () = ctrl_c => {}, () = terminated => {} }
    }
}

/// Ctrl-C. A program that cannot be told of it waits for ever.
#[cfg(not(unix))]
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_copied_to_the_byte_and_shown_on_a_terminal() {
        let copied = |text: &str, is_terminal| {
            let mut out = Vec::new();
            copy(&mut out, text, is_terminal).unwrap();
            String::from_utf8(out).unwrap()
        };
        for text in ["", "1", "\n", "a\r\n\u{1b}[2J"] {
            assert_eq!(copied(text, false), text, "{text:?}");
        }
        assert_eq!(copied("a\tb\n\u{1b}[2J", true), "a\tb\n^[[2J\n");
    }
}
