//! The interactive mode: commands typed at a prompt, events of the others above the half-typed line.
//!
//! Ctrl-C cancels a running task and its intent, not the program; Ctrl-D and `quit` leave.
//!
//! Commands may also come from a pipe. Then a line is read only when one is wanted, so that the line after a task answers
//! the question about its commit, and the end of the input lets a running task finish.

mod command;
mod keyboard;

use tokio::sync::{mpsc, oneshot};

use crate::brain::Brain;
use crate::console::{Console, Style};
use crate::error::AgentError;
use crate::naming::Naming;
use crate::report::count;
use crate::session::Session;
use crate::task::{Approver, TaskOptions, run_task};

use command::Command;
pub use keyboard::{Keyboard, Typed};

const HELP: &str = "commands:
  task TEXT    let the agent do something; it announces, writes, shows the diff, and commits
  files        what is in the workspace
  view FILE    show one file
  who          who is here and at what
  rotate-key   sign with a new key from now on (where messages are signed)
  help         this
  quit         leave (also Ctrl-D); Ctrl-C cancels a running task";

/// What a question gets as its answer when the input has ended.
const NOBODY: &str = "the input has ended, so nobody can say yes to this (--yes commits without asking)";

/// Runs until the person leaves or the session ends.
///
/// # Errors
/// [`AgentError::Lost`], [`AgentError::SessionClosed`], and what goes wrong when a command asks for files
/// ([`AgentError::NoAnswer`], [`AgentError::Unreadable`]); what else goes wrong inside a task is only shown.
pub async fn run(
    session: &mut Session,
    brain: &mut dyn Brain,
    naming: &mut Naming,
    mut options: TaskOptions,
    keyboard: &mut Keyboard,
    ask_before_commit: bool,
) -> Result<(), AgentError> {
    let (approver, mut questions) = Approver::channel();
    options.approver = ask_before_commit.then_some(approver);
    show_files(session).await?;
    session.console().say(Style::Plain, HELP);
    loop {
        keyboard.ready();
        let typed = match session.meanwhile(keyboard.next()).await {
            Ok(typed) => typed,
            Err(error @ (AgentError::Lost(_) | AgentError::SessionClosed(_))) => return Err(error),
            // The look at the session after a break; there will be another.
            Err(error) => {
                session.console().say(Style::Red, &format!("error: {error}"));
                continue;
            }
        };
        let command = match typed {
            Typed::Line(line) => Command::parse(&line),
            Typed::Interrupt => {
                session.console().say(Style::Dim, "nothing to cancel; quit or Ctrl-D leaves");
                continue;
            }
            Typed::End => return Ok(()),
        };
        match command {
            Command::Nothing => {}
            Command::Quit => return Ok(()),
            Command::Help => session.console().say(Style::Plain, HELP),
            Command::Files => show_files(session).await?,
            Command::View(path) => show_file(session, &path).await?,
            Command::Who => show_people(session),
            Command::RotateKey => rotate_key(session).await?,
            Command::Task(text) => {
                let work = run_task(session, brain, naming, &options, &text);
                let outcome = attend(work, keyboard, &mut questions).await;
                if finish(session, outcome)? == Stay::No {
                    return Ok(());
                }
            }
            Command::Unknown(word) => {
                let text =
                    format!("`{word}` is no command; `task {word} ...` would work on it, `help` lists all");
                session.console().say(Style::Yellow, &text);
            }
        }
    }
}

/// How attending to a task ended.
enum Attended<T> {
    Done(T),
    Cancelled,
    Leaving,
}

#[derive(PartialEq, Eq)]
enum Stay {
    Yes,
    No,
}

/// Lets the task work while the keyboard is read: approvals, Ctrl-C, Ctrl-D.
async fn attend<T>(
    work: impl Future<Output = T>,
    keyboard: &mut Keyboard,
    questions: &mut mpsc::UnboundedReceiver<oneshot::Sender<bool>>,
) -> Attended<T> {
    let mut work = std::pin::pin!(work);
    let mut hints: Console = keyboard.console();
    let mut question: Option<oneshot::Sender<bool>> = None;
    let mut over = false;
    loop {
        if keyboard.is_terminal() || question.is_some() {
            keyboard.ready();
        }
        tokio::select! {
            done = &mut work => return Attended::Done(done),
            Some(asked) = questions.recv() => {
                // A question that is dropped is answered with no.
                question = (!over).then_some(asked);
                let text = if over { NOBODY } else { "commit this? y or n" };
                hints.say(Style::Bold, text);
            }
            typed = keyboard.next(), if !over => {
                match typed {
                    Typed::Interrupt => return Attended::Cancelled,
                    Typed::End if keyboard.is_terminal() => return Attended::Leaving,
                    Typed::End => {
                        over = true;
                        if question.take().is_some() {
                            hints.say(Style::Bold, NOBODY);
                        }
                    }
                    Typed::Line(line) => match (question.take(), yes_or_no(&line)) {
                        // A task that has ended meanwhile does not want the answer any more.
                        (Some(asked), Some(answer)) => { let _ = asked.send(answer); }
                        (Some(asked), None) => {
                            hints.say(Style::Bold, "y commits, n stops the task");
                            question = Some(asked);
                        }
                        (None, _) if line.trim().is_empty() => {}
                        (None, _) => hints.say(Style::Dim, "a task is running; Ctrl-C cancels it"),
                    },
                }
            }
        }
    }
}

fn yes_or_no(line: &str) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

fn finish<T>(session: &mut Session, outcome: Attended<Result<T, AgentError>>) -> Result<Stay, AgentError> {
    match outcome {
        Attended::Done(Ok(_)) => Ok(Stay::Yes),
        Attended::Done(Err(error @ (AgentError::Lost(_) | AgentError::SessionClosed(_)))) => Err(error),
        Attended::Done(Err(error)) => {
            session.console().say(Style::Red, &format!("error: {error}"));
            Ok(Stay::Yes)
        }
        Attended::Cancelled => {
            session.abandon("cancelled");
            session.console().say(Style::Yellow, "cancelled; what was committed stays");
            Ok(Stay::Yes)
        }
        Attended::Leaving => {
            session.abandon("cancelled");
            Ok(Stay::No)
        }
    }
}

async fn show_files(session: &mut Session) -> Result<(), AgentError> {
    let files = match session.list_files_now().await {
        Ok(files) => files,
        Err(error @ AgentError::Away { .. }) => {
            session.console().say(Style::Yellow, &error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let console = session.console();
    console.say(Style::Bold, &format!("workspace: {}", count(files.len(), "file")));
    let width = files.iter().map(|file| file.path.chars().count()).max().unwrap_or(0).min(60);
    for file in files {
        let text = format!("  {:width$}  {:>8} characters  {}", file.path, file.size.get(), file.state_ref);
        console.say(Style::Plain, &text);
    }
    Ok(())
}

async fn show_file(session: &mut Session, path: &str) -> Result<(), AgentError> {
    let read = session.read_file_now(path).await;
    let console = session.console();
    match read {
        Ok(Some(file)) => {
            console.say(Style::Bold, &format!("{path} at {}", file.state_ref));
            let lines: Vec<String> =
                file.content.lines().enumerate().map(|(at, line)| format!("{:5}  {line}", at + 1)).collect();
            console.say(Style::Plain, &lines.join("\n"));
        }
        Ok(None) => {
            console.say(Style::Yellow, &format!("there is no file {path}; `files` lists what there is"))
        }
        Err(error @ AgentError::Away { .. }) => console.say(Style::Yellow, &error.to_string()),
        Err(error @ AgentError::Unreadable { .. }) => console.say(Style::Red, &format!("error: {error}")),
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn rotate_key(session: &mut Session) -> Result<(), AgentError> {
    match session.rotate_key().await {
        Ok(key) => {
            session.console().say(Style::Dim, &format!("asked the coordinator to take {key} for yours"))
        }
        Err(error @ AgentError::Lost(_)) => return Err(error),
        Err(error) => session.console().say(Style::Yellow, &error.to_string()),
    }
    Ok(())
}

fn show_people(session: &mut Session) {
    let lines: Vec<String> = session
        .view()
        .people()
        .map(|(person, intents)| {
            let about: Vec<String> = intents
                .iter()
                .map(|intent| {
                    let objective =
                        intent.objective.as_deref().unwrap_or("something announced before you came");
                    format!("{objective} [{}]", intent.files.join(", "))
                })
                .collect();
            if about.is_empty() { format!("  {person}") } else { format!("  {person}: {}", about.join("; ")) }
        })
        .collect();
    let heading = if lines.is_empty() {
        "nobody who spoke since you joined is still here"
    } else {
        "heard since you joined:"
    };
    session.console().say(Style::Bold, heading);
    for line in lines {
        session.console().say(Style::Plain, &line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_approves_a_commit() {
        assert_eq!(
            [yes_or_no(" Y "), yes_or_no("yes"), yes_or_no("n"), yes_or_no("No")],
            [Some(true), Some(true), Some(false), Some(false)]
        );
        for unclear in ["", "ok", "yess", "task y"] {
            assert_eq!(yes_or_no(unclear), None, "{unclear}");
        }
    }
}
