//! The terminal as its person has it: the program in a pseudo-terminal, with a program of one's own as the brain.

use rexpect::session::{PtySession, spawn_command};

use super::{Host, PATIENCE};
use crate::command::python;
use crate::process::program;

type Done = Result<(), rexpect::error::Error>;

/// The program at its prompt.
fn sits_down(url: &str, brain: &str) -> Result<PtySession, rexpect::error::Error> {
    let mut program = program();
    program.args([url, "--name", "Bob", "--brain-command", brain]);
    // What is typed here is no history of a person's.
    program.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR")).env("TERM", "xterm").env("NO_COLOR", "1");
    let limit = u64::try_from(PATIENCE.as_millis()).ok();
    let mut terminal = spawn_command(program, limit)?;
    terminal.exp_string("Ctrl-D leaves")?;
    terminal.exp_string("Bob> ")?;
    Ok(terminal)
}

/// Completes a verb, declines a diff, commits one, cancels a task by Ctrl-C, and quits.
fn works(url: &str, brain: &str) -> Done {
    let mut terminal = sits_down(url, brain)?;
    terminal.send("conflic\t")?;
    terminal.flush()?;
    terminal.exp_string("conflict")?;
    terminal.send_line("s")?;
    terminal.exp_string("no conflicts")?;

    terminal.send_line("task mend it")?;
    terminal.exp_string("commit this? y or n")?;
    terminal.send_line("n")?;
    terminal.exp_string("stopped: the change was not approved")?;
    terminal.send_line("task mend it after all")?;
    terminal.exp_string("commit this? y or n")?;
    terminal.send_line("y")?;
    terminal.exp_string("done: a.py committed")?;

    terminal.send_line("task be slow")?;
    terminal.exp_string("planning over")?;
    terminal.send_control('c')?;
    terminal.exp_string("cancelled")?;
    terminal.send_line("who")?;
    terminal.exp_string("agent:Bob")?;
    terminal.send_line("quit")?;
    terminal.exp_eof()?;
    let status = format!("{:?}", terminal.process().wait()?);
    assert!(status.starts_with("Exited") && status.ends_with(", 0)"), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_person_at_a_real_terminal_declines_commits_cancels_and_quits() {
    let host = Host::start(&[]).await;
    let brain = python("pty", "if 'be slow' in text:\n    import time\n    time.sleep(600)");
    let url = host.url.clone();
    // Each step has its limit.
    tokio::task::spawn_blocking(move || works(&url, &brain)).await.unwrap().unwrap();
    let (ann, _) = host.join("Ann").await;
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "new\n");
    assert!(ann.view().await.unwrap().intents.is_empty());
}
