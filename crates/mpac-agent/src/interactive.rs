//! The interactive mode: commands typed at a prompt, events of the others above the half-typed line.
//!
//! Tasks run over a lane of the agent's connection, one at a time; everything else a person asks for goes through the
//! [`Agent`] beside it. Ctrl-C cancels a running task and its intent, not the program; Ctrl-D and `quit` leave.
//!
//! Commands may also come from a pipe. Then a line is read only when one is wanted, so that the line after a task answers
//! the question about its commit, and the end of the input lets a running task finish.

mod attend;
mod board;
mod command;
mod complete;
mod desk;
mod editor;
mod help;
mod keyboard;
mod log;
mod looking;
mod printer;
mod question;
mod settling;
mod signals;
mod terminal;

use std::convert::Infallible;
use std::sync::Arc;

use crate::agent::Agent;
use crate::brain::usage::Spent;
use crate::brain::{Brain, Notes};
use crate::console::Style;
use crate::error::AgentError;
use crate::naming::Naming;
use crate::session::Session;
use crate::task::{Approver, Tally, TaskOptions, find_out, run_task, undecided};

use attend::{Attendant, Attended};
use command::Command;
use desk::Desk;
use log::{Log, Writer};

pub use keyboard::{Keyboard, Typed};

const WELCOME: &str = "`task TEXT` gives the agent work, `help` tells what else there is, Ctrl-D leaves";

/// Runs until the person leaves or the session ends.
///
/// # Errors
/// [`AgentError::Lost`], [`AgentError::SessionClosed`], [`AgentError::Undecided`] with either; what else goes wrong is only shown.
pub(crate) async fn run(
    agent: &Agent,
    (mut session, mut naming): (Session, Naming),
    brain: &mut dyn Brain,
    mut options: TaskOptions,
    keyboard: &mut Keyboard,
    ask_before_commit: bool,
) -> Result<(), AgentError> {
    let (approver, questions) = Approver::channel();
    options.approver = ask_before_commit.then_some(approver);
    let (notes, heard) = Notes::channel();
    let listener = options.listener.replace(notes);
    let log = Arc::new(Log::default());
    let _writer = Writer::start(agent, Arc::clone(&log), Arc::clone(keyboard.board()));
    session.greet();
    let desk = Desk {
        agent: agent.clone(),
        console: keyboard.console(),
        log,
        board: Arc::clone(keyboard.board()),
        screen: Arc::clone(keyboard.screen()),
        info: session.info().cloned(),
        spent: Spent::default(),
        task: None,
    };
    let mut attendant = Attendant::new(desk, keyboard, questions, heard, listener);
    attendant.desk.carry_out(&Command::Files).await;
    attendant.desk.say(Style::Plain, WELCOME);
    loop {
        let task = match attendant.attend(idle(&mut session), None).await {
            Attended::Done(error) => return Err(error),
            Attended::Leaving => return Ok(()),
            Attended::Cancelled => {
                attendant.desk.say(Style::Dim, "nothing to cancel; quit or Ctrl-D leaves");
                continue;
            }
            Attended::Task(task) => task,
        };
        let work = run_task(&mut session, brain, &mut naming, &options, &task);
        let outcome = attendant.attend(work, Some(&task)).await;
        if let Stay::No = finish((&mut session, &options.tally), outcome, &mut attendant.desk).await? {
            return Ok(());
        }
    }
}

/// Takes in what arrives, until the session ends: why it did.
async fn idle(session: &mut Session) -> AgentError {
    loop {
        match session.meanwhile(std::future::pending::<Infallible>()).await {
            Ok(never) => match never {},
            Err(error) if error.ends_session() => return error,
            // The look at the session after a break; there will be another.
            Err(error) => session.console().say(Style::Red, &format!("error: {error}")),
        }
    }
}

enum Stay {
    Yes,
    No,
}

async fn finish<T>(
    (session, tally): (&mut Session, &Tally),
    outcome: Attended<Result<T, AgentError>>,
    desk: &mut Desk,
) -> Result<Stay, AgentError> {
    match outcome {
        Attended::Done(Ok(_)) => Ok(Stay::Yes),
        Attended::Done(Err(error)) if error.ends_session() => Err(error),
        Attended::Done(Err(error)) => {
            desk.failed(&error);
            Ok(Stay::Yes)
        }
        Attended::Cancelled => {
            cancel((session, tally), desk).await;
            desk.say(Style::Yellow, "cancelled; what was committed stays");
            Ok(Stay::Yes)
        }
        Attended::Leaving | Attended::Task(_) => {
            cancel((session, tally), desk).await;
            Ok(Stay::No)
        }
    }
}

async fn cancel((session, tally): (&mut Session, &Tally), desk: &mut Desk) {
    let found = find_out(session, tally).await;
    session.abandon("cancelled");
    if let error @ AgentError::Undecided { .. } = undecided(AgentError::Interrupted, found) {
        desk.failed(&error);
    }
}
