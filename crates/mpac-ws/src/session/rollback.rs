//! A coordinator that fails on an input (ERR-06): nothing of that has happened, and nobody else notices.
//!
//! What it has changed before it failed cannot be undone, and need not be: its log leads to what it was, digest by digest.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mpac_core::{Coordinator, Input, OutOfOrder, Output, Record, Step};
use mpac_wire::names::MessageType;
use mpac_wire::received::type_and_id_of;
use tracing::error;

use super::Session;
use crate::store::journal::{NOT_MESSAGE, Unkept};

const NO_LOG: &str = "without a log (--data-dir) nothing says how the session was before";

/// How a coordinator takes a record.
pub(super) type Applies = fn(&mut Coordinator, &Record) -> Result<Step, OutOfOrder>;

impl Session {
    /// Applies a record, and gives it back with what came of it; `None` where the coordinator failed on it.
    pub(super) fn guarded(&mut self, record: Record) -> Option<Result<(Record, Step), OutOfOrder>> {
        let (core, applies) = (&mut self.core, self.applies);
        // Whatever it is now, nobody looks at it before it is made anew.
        match catch_unwind(AssertUnwindSafe(|| applies(core, &record))) {
            Ok(applied) => Some(applied.map(|step| (record, step))),
            Err(_) => {
                self.failed = Some(record.input);
                None
            }
        }
    }

    /// Where the coordinator has failed it is made anew from what was noted, and whoever sent what it failed on is told that it
    /// is refused. False where that is impossible, which everybody is told; what has led to `outputs` is then as good as not
    /// received.
    pub(super) async fn mended(&mut self, outputs: &mut Vec<Output>) -> bool {
        let Some(input) = self.failed.take() else { return true };
        match self.roll_back(&input).await {
            Ok(answers) => {
                outputs.extend(answers);
                true
            }
            Err(unkept) => {
                if self.journal.is_unopened() {
                    // First, so that whoever comes again begins anew.
                    self.tenancy.leave();
                }
                self.delivery.fail(&unkept);
                false
            }
        }
    }

    async fn roll_back(&mut self, input: &Input) -> Result<Vec<Output>, Unkept> {
        let (from, refers_to, is_error) = match input {
            Input::Frame { from, text } => {
                let (message_type, refers_to) = type_and_id_of(text);
                (from, refers_to, message_type == Some(MessageType::ProtocolError))
            }
            Input::Unreadable { from, refers_to, .. } => (from, refers_to.clone(), false),
            // What is due stays due, and what the operator wants is wanted.
            Input::Disconnect { .. } | Input::Command(_) | Input::Timeout => {
                return Err(Unkept::Broken(NOT_MESSAGE));
            }
        };
        // Beside a snapshot that is half written the one before counts.
        self.snapshots.settle().await;
        let (core, kept) = self.journal.relived().await?.ok_or(Unkept::Broken(NO_LOG))?;
        (self.core, self.kept) = (core, kept);
        let message = refers_to.as_ref().map_or("without an id", |id| id.as_str());
        error!(
            "[{}] the coordinator failed on the message {message:?} of connection {}, which is refused; the session goes on as \
             before it. This is a bug: please report what is above",
            self.kept.config.session_id, from.conn.0
        );
        if is_error {
            return Ok(Vec::new()); // an error is never answered by an error (ERR-03)
        }
        let problem = "the coordinator failed on this message; nothing of it has happened".into();
        let answers = self.apply(Input::Unreadable { from: from.clone(), refers_to, problem });
        if self.failed.is_some() { Err(Unkept::Broken(NOT_MESSAGE)) } else { Ok(answers) }
    }
}
