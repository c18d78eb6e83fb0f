//! Whoever thinks, the work is the same: one task by Claude's stand-in, by a program as the brain, and by an MCP host, once
//! alone on two files and once beside a Python agent on one file. Byte for byte the files must end the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::cast::{self, SESSION, frames, ready, script, url_in};
use super::check::{self, Expected};
use super::way::{Job, Way};
use super::{VERSIONS, venv};
use crate::peer::{Line, Peer};
use crate::step::{self, Failure};

/// Its name among the cases.
pub(super) const NAME: &str = "brains: one task by Claude's stand-in, by a program, and by an MCP host";

const SOON: Duration = Duration::from_secs(60);
const FILES: [&str; 2] = ["shop/cart.py", "shop/money.py"];
/// The Python agent, which announces first and commits last: it waits five seconds for conflicts.
const FIRST: &str = "Alice";
/// Ours.
const SECOND: &str = "Bob";

/// Every file of a workspace with its text.
type Texts = BTreeMap<String, String>;

/// Runs each way, alone and beside a Python agent.
///
/// # Errors
/// Something cannot be installed or started, somebody does not do its part, or the files end in another way.
pub(super) fn run() -> Result<(), Failure> {
    let python = venv::of_mcp()?;
    let base = texts(&step::root().join("fixtures/workspace"))?;
    for beside in [false, true] {
        let wanted = wanted(&base, beside);
        let judge = |way: Way| {
            let told = |what: &str| {
                Failure::check(format!("{way:?}, {}: {what}", if beside { "beside" } else { "alone" }))
            };
            match play((way, &python), beside).map_err(|failure| told(&failure.to_string()))? {
                now if now == wanted => Ok(()),
                now => Err(told(&format!("{wanted:#?} expected, but the files are {now:#?}"))),
            }
        };
        thread::scope(|scope| {
            let all = Way::ALL.map(|way| scope.spawn(move || judge(way)));
            all.into_iter()
                .try_for_each(|one| one.join().unwrap_or_else(|_| Err(Failure::check("a case panicked"))))
        })?;
    }
    Ok(())
}

/// Our line, and with a Python agent its line below that.
fn wanted(base: &Texts, beside: bool) -> Texts {
    let mut wanted = base.clone();
    for text in wanted.iter_mut().filter(|(path, _)| files(beside).contains(&path.as_str())).map(|(_, it)| it)
    {
        *text = format!("{}\n# edited by {SECOND}\n", text.trim_end());
        if beside {
            // Python agents commit no line end at the end.
            text.push_str(&format!("# edited by {FIRST}"));
        }
    }
    wanted
}

fn files(beside: bool) -> &'static [&'static str] {
    if beside { &FILES[..1] } else { &FILES }
}

fn texts(folder: &Path) -> Result<Texts, Failure> {
    let paths = step::files_below(folder)?;
    paths.iter().map(|path| Ok((path.display().to_string(), step::text(&folder.join(path))?))).collect()
}

/// One session from start to end; gives how its files are then.
fn play((way, host): (Way, &Path), beside: bool) -> Result<Texts, Failure> {
    let folder = tempfile::tempdir().map_err(Failure::io("make a temporary folder"))?;
    let workspace = folder.path().join("workspace");
    step::copy_folder(&step::root().join("fixtures/workspace"), &workspace)?;
    let model = Peer::start("model", &mut script(VERSIONS[0], "messages_api.py"), None)?;
    let api = ready(&model, "its address", |lines| cast::word_after("ready ", lines))?;
    let mut command = Command::new(step::target().join("debug/mpac-ws"));
    command.args(["--port", "0", "--session", SESSION, "--write-back", "--workspace"]).arg(&workspace);
    let mut server = Peer::start("server", &mut command, None)?;
    let url = ready(&server, "its address", url_in)?;
    let mut observer =
        Peer::start("observer", script(VERSIONS[0], "observer.py").args([&url, SESSION]), None)?;
    ready(&observer, "SESSION_INFO", |lines| seen(lines, "SESSION_INFO"))?;
    let (url, api) = (url.as_str(), api.as_str());
    let job = Job { host, url, api, name: SECOND, files: files(beside), holds: false };
    let mut ours = Peer::start(SECOND, &mut way.command(&job), None)?;
    if let Some(word) = way.greeting() {
        ready(&ours, word, |lines| says(lines, word))?;
    }
    let mut python = match beside {
        true => Some(announced(url, api, &observer)?),
        false => None,
    };
    ours.tell("go")?;
    let mut wrong: Vec<String> = ended(&mut ours)?.into_iter().collect();
    if let Some(python) = &mut python {
        wrong.extend(ended(python)?);
    }
    let goodbyes = 1 + usize::from(beside);
    let said = || [ours.tail(25), server.tail(15), model.tail(10)].concat();
    let left = observer.wait_for("everybody's GOODBYE", SOON, |lines| {
        (check::count(&frames(lines), "GOODBYE") == goodbyes).then_some(())
    });
    left.map_err(|failure| Failure::check(format!("{failure}\n{}", said())))?;
    server.interrupt(SOON)?;
    observer.wait_end(SOON)?;
    wrong.extend(wrong_messages(&frames(&observer.lines()), beside));
    match wrong.is_empty() {
        true => texts(&workspace),
        false => {
            let said = [ours.tail(25), server.tail(15), model.tail(10)].concat();
            Err(Failure::check(format!("{}\n{said}", wrong.join("\n    "))))
        }
    }
}

/// The Python agent at work on the first file.
fn announced(url: &str, api: &str, observer: &Peer) -> Result<Peer, Failure> {
    let mut command = script(VERSIONS[0], "python_agent.py");
    command.args([FIRST, url, SESSION, &format!("Improve it [files: {}]", FILES[0])]);
    command.env("ANTHROPIC_API_KEY", "test").env("ANTHROPIC_BASE_URL", api);
    let mut python = Peer::start(FIRST, &mut command, None)?;
    ready(&python, "a connection", |lines| says(lines, "connected"))?;
    python.tell("go")?;
    ready(observer, "INTENT_ANNOUNCE", |lines| seen(lines, "INTENT_ANNOUNCE"))?;
    Ok(python)
}

fn seen(lines: &[Line], kind: &str) -> Option<()> {
    (check::count(&frames(lines), kind) > 0).then_some(())
}

fn says(lines: &[Line], word: &str) -> Option<()> {
    lines.iter().any(|line| line.text == word).then_some(())
}

/// Why it is wrong how a process has ended, if it is.
fn ended(peer: &mut Peer) -> Result<Option<String>, Failure> {
    let status = peer.wait_end(SOON)?;
    Ok((!status.success()).then(|| format!("{} ended with {status}", peer.name())))
}

fn wrong_messages(frames: &[serde_json::Value], beside: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let agents: &[&str] = if beside { &[SECOND, FIRST] } else { &[SECOND] };
    for name in agents {
        let principal = format!("agent:{name}");
        let of = |kind: &str| check::of(frames, kind, &principal);
        let single = of("OP_COMMIT").len();
        let batched =
            of("OP_BATCH_COMMIT").into_iter().filter_map(|frame| frame["payload"]["operations"].as_array());
        let committed = single + batched.map(Vec::len).sum::<usize>();
        if committed != files(beside).len() {
            wrong.push(format!("{name} committed {committed} files"));
        }
        let withdrawals = vec!["task_completed"];
        let expected = Expected { principal, announces: 1, commits: single, withdrawals, goodbye: true };
        wrong.extend(check::principal(frames, &expected));
    }
    let conflicts = check::count(frames, "CONFLICT_REPORT");
    if conflicts != usize::from(beside) {
        wrong.push(format!("{conflicts} CONFLICT_REPORT seen"));
    }
    wrong
}
