//! `cargo xtask demo`: two scripted agents of two people repair two bugs in the same file at the same time, shown live.
//!
//! Everything is real: the two binaries, the sockets, the files. Only the model is a script (`fixtures/demo`), so that no
//! key is needed. At the end the demo checks itself: both repairs must be in the file.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::peer::{Line, OnLine, Output, Peer};
use crate::step::{self, Failure};

/// Who takes part, with the colour (an ANSI code) of the name.
const CAST: [(&str, u8); 3] = [("coordinator", 36), ("Alice", 35), ("Bob", 33)];
/// The file that both repair.
const FILE: &str = "shop/cart.py";
/// What the second agent says when the file was another one by the time of its commit.
const ON_TOP: [&str; 2] = ["merged", "rebasing"];
const LIMIT: Duration = Duration::from_secs(30);

/// Writes lines of several processes to one terminal, each led by a name.
struct Screen {
    coloured: bool,
    turn: Mutex<()>,
}

/// Runs the demo.
///
/// # Errors
/// A binary cannot be built or started, an agent does not finish, or the file lacks a repair.
pub(crate) fn run() -> Result<(), Failure> {
    step::run(&mut step::cargo(&["build", "--locked", "-p", "mpac-ws", "-p", "mpac-agent"]))?;
    let began = Instant::now();
    let coloured =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let screen = Arc::new(Screen { coloured, turn: Mutex::new(()) });
    let folder = tempfile::tempdir().map_err(Failure::io("make a temporary folder"))?;
    let (before, shared) = (step::root().join("fixtures/workspace"), folder.path().join("workspace"));
    step::copy_folder(&before, &shared)?;
    screen.title(
        "Alice and Bob are agents of two people. Both repair a bug in shop/cart.py, at the same time.",
    );

    let (mut server, url) = start_server(&screen, &shared)?;
    let mut agents = Vec::new();
    for (name, _) in &CAST[1..] {
        agents.push(start_agent(&screen, &url, name)?);
    }
    for agent in &mut agents {
        let status = agent.wait_end(LIMIT)?;
        if !status.success() {
            return Err(Failure::check(format!("{} ended with {status}\n{}", agent.name(), agent.tail(20))));
        }
    }
    screen.title("The coordinator is asked to stop (SIGINT).");
    let said = server.lines().len();
    let status = server.interrupt(LIMIT)?;
    for line in server.lines().split_off(said) {
        // Its standard output has been shown already.
        if line.output == Output::Err {
            screen.show(0, &line.text);
        }
    }
    if !status.success() {
        return Err(Failure::check(format!("the coordinator ended with {status}\n{}", server.tail(20))));
    }
    screen.title("What is different on disk now:");
    screen.diff(&before, &shared)?;
    check(&step::text(&shared.join(FILE))?, &agents)?;
    screen
        .title(&format!("Both repairs are in {FILE}; the demo took {:.1} s.", began.elapsed().as_secs_f64()));
    Ok(())
}

fn start_server(screen: &Arc<Screen>, workspace: &Path) -> Result<(Peer, String), Failure> {
    let mut command = Command::new(step::target().join("debug/mpac-ws"));
    command.args(["--port", "0", "--write-back", "--workspace"]).arg(workspace);
    let server = Peer::start("coordinator", &mut command, Some(screen.lines_of(0)))?;
    let url = server.wait_for("its address", LIMIT, crate::interop::url_in);
    let url = url.map_err(|failure| Failure::check(format!("{failure}\n{}", server.tail(20))))?;
    Ok((server, url))
}

fn start_agent(screen: &Arc<Screen>, url: &str, name: &str) -> Result<Peer, Failure> {
    let at = CAST.iter().position(|(known, _)| *known == name).unwrap_or(0);
    let mut command = Command::new(step::target().join("debug/mpac-agent"));
    command.args([url, "--name", name, "--task", task(name), "--yes", "--script"]).arg(script(name));
    if screen.coloured {
        command.env("CLICOLOR_FORCE", "1");
    }
    Peer::start(name, &mut command, Some(screen.lines_of(at)))
}

fn task(name: &str) -> &'static str {
    if name == "Alice" { "The total forgets quantities" } else { "Ten percent off makes the price negative" }
}

fn script(name: &str) -> std::path::PathBuf {
    step::root().join("fixtures/demo").join(format!("{}.json", name.to_lowercase()))
}

/// Each edit of each script must be in the file, and somebody must have built on the other's commit.
fn check(file: &str, agents: &[Peer]) -> Result<(), Failure> {
    for (name, _) in &CAST[1..] {
        let path = script(name);
        let script: Value = serde_json::from_str(&step::text(&path)?)
            .map_err(|reason| Failure::check(format!("{}: {reason}", path.display())))?;
        for edit in edits(&script) {
            if !file.contains(edit) {
                return Err(Failure::check(format!("{FILE} lacks the repair of {name}: {edit}")));
            }
        }
    }
    let on_top = agents.iter().any(|agent| ON_TOP.iter().any(|word| agent.said(word)));
    if on_top { Ok(()) } else { Err(Failure::check("no change was put on top of the other's")) }
}

/// The new texts of a script's edits to the file.
fn edits(script: &Value) -> Vec<&str> {
    let list = script.pointer(&format!("/edits/{}", FILE.replace('/', "~1"))).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|edit| edit["replace"].as_str()).collect()
}

impl Screen {
    /// Shows the standard output of one of the cast; the log on its standard error is kept for failures.
    fn lines_of(self: &Arc<Self>, at: usize) -> OnLine {
        let screen = Arc::clone(self);
        Arc::new(move |line: &Line| {
            if line.output == Output::Out {
                screen.show(at, &line.text);
            }
        })
    }

    fn show(&self, at: usize, text: &str) {
        let (name, colour) = CAST[at];
        self.line(&format!("{} {text}", self.paint(colour, &format!("{name:>11} |"))));
    }

    fn title(&self, text: &str) {
        self.line(&format!("\n{}", self.paint(1, text)));
    }

    fn line(&self, text: &str) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed terminal is no reason to fail: the checks still count.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    fn paint(&self, code: u8, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// `diff` ends with 1 when there are differences.
    fn diff(&self, before: &Path, after: &Path) -> Result<(), Failure> {
        for path in step::files_below(before)? {
            let (old, new) = (format!("before/{}", path.display()), format!("after/{}", path.display()));
            let output = Command::new("diff")
                .args(["-u", "--label", &old, "--label", &new])
                .args([before.join(&path), after.join(&path)])
                .output()
                .map_err(Failure::io("run `diff`"))?;
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let code = match line.chars().next() {
                    Some('+') => 32,
                    Some('-') => 31,
                    Some('@') => 36,
                    _ => 0,
                };
                self.line(&format!("  {}", if code == 0 { line.to_owned() } else { self.paint(code, line) }));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_of_the_demo_scripts_fits_the_fixture_exactly_once() {
        let file = step::text(&step::root().join("fixtures/workspace").join(FILE)).unwrap();
        for (name, _) in &CAST[1..] {
            let script: Value = serde_json::from_str(&step::text(&script(name)).unwrap()).unwrap();
            let list = script["edits"][FILE].as_array().unwrap();
            assert!(!list.is_empty() && edits(&script).len() == list.len(), "{name}");
            for edit in list {
                assert_eq!(file.matches(edit["find"].as_str().unwrap()).count(), 1, "{name}: {edit}");
            }
        }
    }
}
