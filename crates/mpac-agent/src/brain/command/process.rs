//! The program as a process: its lines, its end, and the end of everything it has started.

use std::collections::VecDeque;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::brain::{Note, Notes};

/// An answer longer than this is none; a commit could not carry it anyway.
const MAX_LINE_BYTES: u64 = 4 << 20;
/// What is shown of a line of standard error.
const MAX_SAID_BYTES: u64 = 4 << 10;
/// Lines of standard error that wait to be shown; what comes on top of them is lost.
const MAX_SAID_LINES: usize = 1_000;
/// Answers read ahead.
const MAX_READ_AHEAD: usize = 16;
/// How long the exit status of a program that has closed its output is waited for.
const END_LIMIT: Duration = Duration::from_secs(2);
/// Lines of standard error that stand in the message about its end.
const LAST_WORDS: usize = 3;

/// Why there is no further line.
#[derive(Debug)]
pub(super) enum End {
    /// It closed its output.
    Ended,
    /// A line went beyond this many bytes.
    TooLong(u64),
}

/// A program at work. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::Receiver<Result<String, End>>,
    said: mpsc::Receiver<String>,
    last_said: VecDeque<String>,
}

impl Running {
    /// Starts it; the error is in words.
    pub(super) fn start(words: &[String]) -> Result<Self, String> {
        let [program, arguments @ ..] = words else { return Err("is empty".to_owned()) };
        let mut command = Command::new(program);
        command.args(arguments).kill_on_drop(true);
        // What the agent proves itself with is not the program's.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("MPAC_")) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that Ctrl-C is ours to handle and nothing it started outlives it.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| format!("cannot be started: {error}"))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("has no standard streams".to_owned());
        };
        let (send_line, lines) = mpsc::channel(MAX_READ_AHEAD);
        let (send_said, said) = mpsc::channel(MAX_SAID_LINES);
        tokio::spawn(read_answers(stdout, send_line));
        tokio::spawn(read_said(stderr, send_said));
        Ok(Self { child, stdin, lines, said, last_said: VecDeque::new() })
    }

    /// Writes a question. One who does not read it shows by how it ends.
    pub(super) async fn send(&mut self, question: &str) {
        let _ = self.stdin.write_all(question.as_bytes()).await;
        let _ = self.stdin.flush().await;
    }

    /// The next line of its output. What it says on standard error meanwhile goes to the notes.
    pub(super) async fn next_line(&mut self, notes: &Notes) -> Result<String, End> {
        loop {
            tokio::select! {
                biased;
                Some(said) = self.said.recv() => self.told(said, notes),
                line = self.lines.recv() => return line.unwrap_or(Err(End::Ended)),
            }
        }
    }

    fn told(&mut self, said: String, notes: &Notes) {
        self.last_said.push_back(said.clone());
        if self.last_said.len() > LAST_WORDS {
            self.last_said.pop_front();
        }
        notes.say(Note::Said(said));
    }

    /// How it ended, in words.
    pub(super) async fn last_words(mut self, notes: &Notes) -> String {
        let status = tokio::time::timeout(END_LIMIT, self.child.wait()).await;
        // Something it started may hold its standard error open.
        let _ = tokio::time::timeout(END_LIMIT, async {
            while let Some(said) = self.said.recv().await {
                self.told(said, notes);
            }
        })
        .await;
        let how = match status {
            Ok(Ok(status)) => format!("ended ({status}) before it answered"),
            _ => "closed its standard output before it answered".to_owned(),
        };
        if self.last_said.is_empty() {
            return how;
        }
        format!("{how}; its last words: {}", Vec::from(std::mem::take(&mut self.last_said)).join(" | "))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The child itself is killed by `kill_on_drop`. An id is here only while it is not waited for, so it is
        // nobody else's by now.
        #[cfg(unix)]
        if let Some(group) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn read_answers(stdout: impl AsyncRead + Unpin, lines: mpsc::Sender<Result<String, End>>) {
    let mut stdout = BufReader::new(stdout);
    while let Some(line) = read_line(&mut stdout, MAX_LINE_BYTES).await {
        let whole = line.len() as u64 <= MAX_LINE_BYTES;
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if whole && text.is_empty() {
            continue;
        }
        let sent = lines.send(if whole { Ok(text) } else { Err(End::TooLong(MAX_LINE_BYTES)) }).await;
        if sent.is_err() || !whole {
            return;
        }
    }
}

async fn read_said(stderr: impl AsyncRead + Unpin, said: mpsc::Sender<String>) {
    let mut stderr = BufReader::new(stderr);
    while let Some(line) = read_line(&mut stderr, MAX_SAID_BYTES).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        // It is better to lose a line than to make the program wait for somebody to read it.
        if !text.is_empty() && matches!(said.try_send(text), Err(mpsc::error::TrySendError::Closed(_))) {
            return;
        }
    }
}

/// A line with its end, or one byte more than `limit` of a longer one; `None` at the end of the output.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), limit: u64) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    match reader.take(limit + 1).read_until(b'\n', &mut line).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_up_to_their_limit() {
        let mut text: &[u8] = b"one\n\nlonger\nlast";
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut text, 4).await {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["one\n", "\n", "longe", "r\n", "last"]);
    }
}
