//! A child process with its output collected line by line; it never outlives its `Peer`.
//!
//! Waiting is for a line or for the end of the process, always with a limit, never for a fixed time.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::step::{self, Failure};

/// Which of the two outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line of output, without its line end.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Where it was written.
    pub(crate) output: Output,
    /// The text.
    pub(crate) text: String,
}

/// Called for each line as it comes, on a reader thread.
pub(crate) type OnLine = Arc<dyn Fn(&Line) + Send + Sync>;

/// A running child process. Dropping it kills the process by its id and waits for its end.
pub(crate) struct Peer {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    /// Kills the child when this program ends without dropping it.
    guard: Child,
    log: Arc<Log>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    /// Outputs that have not reached their end.
    open: usize,
}

impl Log {
    /// The lines stay usable when a reader panicked: they are only ever appended to.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Characters of a line in the report of a failure.
const MOST_SHOWN: usize = 240;

/// Variables that would send loopback connections through a proxy.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

impl Peer {
    /// Starts the command under a name for messages; `on_line` sees every line as it comes.
    ///
    /// # Errors
    /// The command cannot be started.
    pub(crate) fn start(name: &str, command: &mut Command, on_line: Option<OnLine>) -> Result<Self, Failure> {
        for variable in PROXIES {
            command.env_remove(variable);
        }
        Self::start_outside(name, command, on_line)
    }

    /// The same for a program that speaks to the network, by whatever proxy the environment names.
    ///
    /// # Errors
    /// The command cannot be started.
    pub(crate) fn start_outside(
        name: &str,
        command: &mut Command,
        on_line: Option<OnLine>,
    ) -> Result<Self, Failure> {
        step::unset_ours(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Failure::io(format!("start {name}")))?;
        let log = Arc::new(Log {
            state: Mutex::new(State { lines: Vec::new(), open: 2 }),
            changed: Condvar::new(),
        });
        let guard = guard(child.id()).inspect_err(|_| {
            // Nothing watches over this child, so it must not stay.
            let _ = child.kill();
        })?;
        let stdin = child.stdin.take();
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(reader(pipe, Output::Out, Arc::clone(&log), on_line.clone()));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(reader(pipe, Output::Err, Arc::clone(&log), on_line));
        }
        Ok(Self { name: name.to_owned(), child, stdin, guard, log, readers })
    }

    /// The name it was started under.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes one line to its standard input.
    ///
    /// # Errors
    /// The input is closed.
    pub(crate) fn tell(&mut self, line: &str) -> Result<(), Failure> {
        let stdin =
            self.stdin.as_mut().ok_or_else(|| Failure::check(format!("{} takes no input", self.name)))?;
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .map_err(Failure::io(format!("write to {}", self.name)))
    }

    /// Waits until `find` is satisfied with the lines so far and hands back what it found.
    ///
    /// # Errors
    /// The limit passes, or the process ends its output first; the text says what was awaited.
    pub(crate) fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut find: impl FnMut(&[Line]) -> Option<T>,
    ) -> Result<T, Failure> {
        let until = Instant::now() + limit;
        let mut state = self.log.lock();
        loop {
            if let Some(found) = find(&state.lines) {
                return Ok(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.open == 0 {
                return Err(Failure::check(format!("{} ended before {what}", self.name)));
            }
            if left.is_zero() {
                return Err(Failure::check(format!("{}: no {what} within {} s", self.name, limit.as_secs())));
            }
            state = self.log.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// The limit passes first.
    pub(crate) fn wait_end(&mut self, limit: Duration) -> Result<ExitStatus, Failure> {
        let until = Instant::now() + limit;
        let mut state = self.log.lock();
        while state.open > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::check(format!(
                    "{} did not end within {} s",
                    self.name,
                    limit.as_secs()
                )));
            }
            state = self.log.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.dismiss_guard();
        self.child.wait().map_err(Failure::io(format!("wait for {}", self.name)))
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten()?;
        self.dismiss_guard();
        Some(status)
    }

    /// Sends SIGINT to this process, as Ctrl-C does, and waits for its end.
    ///
    /// # Errors
    /// The signal cannot be sent, or the process does not end within the limit.
    pub(crate) fn interrupt(&mut self, limit: Duration) -> Result<ExitStatus, Failure> {
        self.signal("INT")?;
        self.wait_end(limit)
    }

    /// Sends a signal, by its name without SIG.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub(crate) fn signal(&self, signal: &str) -> Result<(), Failure> {
        let id = self.child.id().to_string();
        // `kill` of the shell: the standard library only knows SIGKILL.
        let sent = Command::new("sh").args(["-c", "kill -\"$2\" \"$1\"", "sh", &id, signal]).status();
        sent.map(drop).map_err(Failure::io(format!("send SIG{signal} to {}", self.name)))
    }

    /// Before the child is waited for: afterwards its id may belong to somebody else.
    fn dismiss_guard(&mut self) {
        // Both fail only when the guard has ended already.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.log.lock().lines.clone()
    }

    /// Whether a line contains this text.
    pub(crate) fn said(&self, text: &str) -> bool {
        self.log.lock().lines.iter().any(|line| line.text.contains(text))
    }

    /// The last lines, cut to a readable length, each led by the name: for the report of a failure.
    pub(crate) fn tail(&self, count: usize) -> String {
        let state = self.log.lock();
        let last = &state.lines[state.lines.len().saturating_sub(count)..];
        let shown = |line: &Line| line.text.chars().take(MOST_SHOWN).collect::<String>();
        last.iter().map(|line| format!("    {} | {}\n", self.name, shown(line))).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.dismiss_guard();
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

/// A shell that waits for the end of its standard input, which is the end of this program, and then kills the child.
fn guard(child: u32) -> Result<Child, Failure> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read _; kill -KILL \"$1\"", "sh", &child.to_string()]);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().map_err(Failure::io("start a guard for a child process"))
}

fn reader(
    pipe: impl Read + Send + 'static,
    output: Output,
    log: Arc<Log>,
    on_line: Option<OnLine>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        // A read error ends the output like its end does.
        while pipe.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            let line = Line { output, text };
            if let Some(on_line) = &on_line {
                on_line(&line);
            }
            log.lock().lines.push(line);
            log.changed.notify_all();
        }
        log.lock().open -= 1;
        log.changed.notify_all();
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Peer {
        Peer::start("shell", Command::new("sh").args(["-c", script]), None).unwrap()
    }

    #[test]
    fn lines_of_both_outputs_are_collected_and_waited_for() {
        let mut peer = shell("echo one; echo two >&2; read x; echo \"got $x\"");
        peer.wait_for("two", LIMIT, |lines| lines.iter().find(|l| l.text == "two").map(|l| l.output))
            .unwrap();
        peer.tell("three").unwrap();
        assert!(peer.wait_end(LIMIT).unwrap().success());
        assert!(peer.said("got three"));
        assert_eq!(peer.lines().len(), 3);
    }

    #[test]
    fn waiting_fails_at_once_when_the_process_ended_and_names_what_was_awaited() {
        let peer = shell("echo one");
        let failure = peer.wait_for("greeting", LIMIT, |_| None::<()>).unwrap_err();
        assert_eq!(failure.to_string(), "shell ended before greeting");
    }

    #[test]
    fn an_interrupt_reaches_the_process() {
        let mut peer = shell("trap 'echo bye; exit 0' INT; echo ready; read x");
        peer.wait_for("ready", LIMIT, |lines| (!lines.is_empty()).then_some(())).unwrap();
        assert!(peer.interrupt(LIMIT).unwrap().success());
        assert!(peer.said("bye"));
    }

    #[test]
    fn dropping_ends_a_process_that_would_run_for_ever() {
        let peer = shell("echo $$; exec tail -f /dev/null");
        let id = peer.wait_for("id", LIMIT, |lines| lines.first().map(|l| l.text.clone())).unwrap();
        drop(peer);
        let alive =
            Command::new("sh").args(["-c", "kill -0 \"$1\" 2>/dev/null", "sh", &id]).status().unwrap();
        assert!(!alive.success());
    }

    #[test]
    fn the_guard_kills_the_child_when_its_starter_is_gone() {
        let mut child = Command::new("tail").args(["-f", "/dev/null"]).spawn().unwrap();
        let mut guard = guard(child.id()).unwrap();
        drop(guard.stdin.take());
        assert!(!child.wait().unwrap().success());
        guard.wait().unwrap();
    }
}
