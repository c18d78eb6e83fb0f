//! What a person asks for at the prompt beside tasks. It goes through the [`Agent`], so it can be done while a task works.

use std::sync::Arc;
use std::time::Instant;

use mpac_wire::payload::session::SessionInfo;

use super::board::{Board, Names};
use super::command::Command;
use super::log::Log;
use super::{help, looking, settling};
use crate::agent::{Agent, Snapshot, TurnedDown};
use crate::brain::usage::Spent;
use crate::console::{Console, Layout, Screen, Style};
use crate::error::AgentError;
use crate::report::one_line;

/// The person's own place in the session.
pub(super) struct Desk {
    pub(super) agent: Agent,
    pub(super) console: Console,
    pub(super) log: Arc<Log>,
    pub(super) board: Arc<Board>,
    pub(super) screen: Arc<Screen>,
    /// What the coordinator said when it let us in.
    pub(super) info: Option<SessionInfo>,
    /// What all tasks together have used up.
    pub(super) spent: Spent,
    /// The task that is being worked on, and since when.
    pub(super) task: Option<(String, Instant)>,
}

impl Desk {
    /// Does it, and says what came of it, errors too. May be dropped at any time.
    pub(super) async fn carry_out(&mut self, command: &Command) {
        if let Err(error) = self.done(command).await {
            self.failed(&error);
        }
    }

    async fn done(&mut self, command: &Command) -> Result<(), AgentError> {
        match command {
            Command::Files => looking::files(self).await,
            Command::View(path) => looking::view(self, path).await,
            Command::Who => looking::who(self).await,
            Command::Conflicts => looking::conflicts(self).await,
            Command::Conflict(id) => looking::conflict(self, id.as_deref()).await,
            Command::Status => looking::status(self).await,
            Command::Log(lines) => {
                self.log(*lines);
                Ok(())
            }
            Command::Ack { conflict, how } => settling::ack(self, conflict.as_deref(), how).await,
            Command::Escalate { conflict, to, reason } => {
                settling::escalate(self, conflict, to, reason.as_deref()).await
            }
            Command::Resolve { conflict, verdict } => settling::resolve(self, conflict, verdict).await,
            Command::Withdraw { intent, reason } => {
                settling::withdraw(self, intent.as_deref(), reason.as_deref()).await
            }
            Command::RotateKey => self.rotate_key().await,
            Command::Diff(layout) => {
                self.lay_out(*layout);
                Ok(())
            }
            Command::Differ(path) => looking::differ(self, path).await,
            Command::Help(entry) => {
                let text = entry.map_or_else(|| help::list(self.console.columns()), help::Entry::told);
                self.say(Style::Plain, &text);
                Ok(())
            }
            Command::Misused(entry) => {
                self.say(
                    Style::Yellow,
                    &format!("it is `{}`; `help {}` tells more", entry.usage(), entry.name()),
                );
                Ok(())
            }
            // Whoever reads the keys does these.
            Command::Nothing | Command::Quit | Command::Task(_) | Command::Unknown(_) => Ok(()),
        }
    }

    pub(super) fn say(&mut self, style: Style, text: &str) {
        self.console.say(style, text);
    }

    /// A refusal in its parts, anything else in a line.
    pub(super) fn failed(&mut self, error: &AgentError) {
        let by_code;
        let refusal = match error {
            AgentError::Away { .. } => return self.say(Style::Yellow, &error.to_string()),
            AgentError::TurnedDown(refusal) => &**refusal,
            AgentError::Refused { what, code, description } => {
                by_code = TurnedDown::by_code(what, code, description);
                &by_code
            }
            error => return self.say(Style::Red, &format!("error: {}", one_line(&error.to_string()))),
        };
        let mut lines =
            vec![format!("refused: {}: {}: {}", refusal.what, refusal.code, one_line(&refusal.why))];
        for holder in &refusal.holders {
            lines.push(one_line(&format!("held by {} with {}", holder.principal, holder.intent)));
        }
        if let Some(wait) = refusal.retry_after {
            lines.push(format!("{:.1} s left", wait.as_secs_f64()));
        }
        lines.push(format!("rule {}; next: {}", refusal.rule, refusal.next_step));
        self.say(Style::Red, &lines.join("\n  "));
    }

    /// # Errors
    /// [`AgentError::Away`] for what would have to wait for the coordinator.
    pub(super) fn needs_coordinator(&self, what: &str) -> Result<(), AgentError> {
        match self.agent.is_connected() {
            true => Ok(()),
            false => Err(AgentError::Away { what: what.to_owned() }),
        }
    }

    fn log(&mut self, lines: usize) {
        let told = self.log.last(lines);
        match told.is_empty() {
            true => self.say(Style::Plain, "nothing has happened since you joined"),
            false => self.say(Style::Plain, &told.join("\n")),
        }
    }

    fn lay_out(&mut self, layout: Option<Layout>) {
        layout.into_iter().for_each(|layout| self.screen.lay_out(layout));
        let how = match (self.screen.layout(), self.screen.side_by_side()) {
            (Layout::Unified, _) => "changes are shown unified",
            (Layout::SideBySide, Some(_)) => "changes are shown side by side",
            (Layout::SideBySide, None) => "changes are shown side by side once the terminal is wide enough",
            (Layout::Auto, Some(_)) => "changes are shown side by side, because the terminal is wide enough",
            (Layout::Auto, None) => "changes are shown unified; side by side from 120 columns on",
        };
        self.say(Style::Dim, how);
    }

    async fn rotate_key(&mut self) -> Result<(), AgentError> {
        match self.agent.rotate_key().await {
            Ok(key) => self.say(Style::Dim, &format!("asked the coordinator to take {key} for yours")),
            Err(error @ AgentError::NoRotation(_)) => self.say(Style::Yellow, &error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// How the session stands; what can be completed is up to date with it.
pub(super) async fn look(agent: &Agent, board: &Board) -> Result<Snapshot, AgentError> {
    let view = agent.view().await?;
    board.know(Names::of(&view));
    Ok(view)
}
