//! Who answers the lines: the core in this process, or a program of any language.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use mpac_ws::drive::Driver;

use super::super::story::{Feature, Story};
use super::lines::{Ask, Lines};
use super::{Endpoint, Manner, Runner, Trouble, Words};
use crate::step;

/// The core in this process.
pub(in super::super) fn in_process() -> impl Runner {
    InProcess
}

/// A program that speaks the lines on its standard input and output, and gets one session after the other.
pub(in super::super) fn started(command: Words, manner: Manner) -> impl Runner {
    Started { command, manner }
}

struct InProcess;

impl Runner for InProcess {
    fn name(&self) -> String {
        "in process".to_owned()
    }

    fn has_our_types(&self) -> bool {
        true
    }

    fn begin(&self, _: &Story, _: &str) -> Result<Box<dyn Endpoint>, Trouble> {
        Ok(Box::new(Lines::new(Here(Driver::new()))))
    }
}

struct Here(Driver);

impl Ask for Here {
    fn ask(&mut self, request: &str) -> Result<String, Trouble> {
        Ok(self.0.answer(request.as_bytes()))
    }
}

struct Started {
    command: Words,
    manner: Manner,
}

impl Runner for Started {
    fn name(&self) -> String {
        self.manner.name.clone()
    }

    fn lacks(&self) -> BTreeSet<Feature> {
        self.manner
            .without
            .iter()
            .copied()
            .chain([Feature::Server, Feature::Stop, Feature::Sessions])
            .collect()
    }

    fn jobs(&self) -> usize {
        2
    }

    fn begin(&self, _: &Story, _: &str) -> Result<Box<dyn Endpoint>, Trouble> {
        Ok(Box::new(Lines::new(Program::start(&self.command)?)))
    }
}

/// How long a program may think about one line.
const ANSWER: Duration = Duration::from_secs(30);

/// A child process, stopped by its id when it is dropped.
struct Program {
    child: Child,
    input: ChildStdin,
    /// What it writes, line by line, until it ends.
    lines: Receiver<Vec<u8>>,
    patience: Duration,
}

impl Program {
    fn start(command: &Words) -> Result<Self, Trouble> {
        let broken = |problem: String| Trouble::Broken(format!("{command}: {problem}"));
        let mut command = command.command();
        step::unset_ours(&mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| broken(error.to_string()))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or_else(|| broken("it has no pipes".to_owned()))?;
        let (lend, lines) = mpsc::channel();
        // Ends with the program's output, or with the first line that nobody waits for.
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                if lend.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, input, lines, patience: ANSWER })
    }
}

impl Ask for Program {
    fn ask(&mut self, request: &str) -> Result<String, Trouble> {
        let broken = |error: std::io::Error| Trouble::Broken(format!("the program is gone: {error}"));
        writeln!(self.input, "{request}").and_then(|()| self.input.flush()).map_err(broken)?;
        match self.lines.recv_timeout(self.patience) {
            Ok(line) => Ok(String::from_utf8_lossy(&line).into_owned()),
            Err(RecvTimeoutError::Timeout) => {
                Err(Trouble::Broken(format!("no answer within {:?} to {request}", self.patience)))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Trouble::Broken(format!("the program ended instead of answering {request}")))
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(command: &str) -> String {
        let mut program = Program::start(&command.parse().unwrap()).unwrap();
        program.patience = Duration::from_millis(300);
        match program.ask("{}") {
            Ok(answer) => answer,
            Err(Trouble::Broken(problem)) => problem,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_that_hangs_or_ends_breaks_the_story_and_not_the_suite() {
        assert_eq!(asked("cat"), "{}\n");
        assert!(asked("sleep 60").starts_with("no answer within 300ms"));
        assert!(asked("head -c 0").starts_with("the program"), "{}", asked("head -c 0"));
        assert!(Program::start(&Words::new("no-such-program-at-all", &[])).is_err());
    }

    #[test]
    fn a_program_may_lie_in_a_folder_with_a_blank_in_its_name() {
        let above = tempfile::tempdir().unwrap();
        let dir = above.path().join("my work");
        std::fs::create_dir(&dir).unwrap();
        let place = dir.join("answers.sh").display().to_string();
        std::fs::write(&place, "read line; echo \"$1 $line\"\n").unwrap();
        let mut program = Program::start(&Words::new("sh", &[&place, "one two"])).unwrap();
        assert_eq!(program.ask("{}").unwrap(), "one two {}\n");
    }
}
