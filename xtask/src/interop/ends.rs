//! What ends a task in its middle: a key that is revoked, a server that closes, a server that is killed. Whoever thinks, it ends
//! with a clear message, and nothing is committed.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::cast::{self, SESSION, ready, script, url_in};
use super::keys::{self, Keys};
use super::way::{Job, Way};
use super::{VERSIONS, venv};
use crate::peer::Peer;
use crate::step::{self, Failure};

/// Its name among the cases.
pub(super) const NAME: &str =
    "ends: a revoked key, a closed session and a killed server in the middle of a task";

const SOON: Duration = Duration::from_secs(60);
/// Whose key is the second one of [`Keys`].
const NAME_OF_OURS: &str = "Bob";
const FILE: &str = "shop/cart.py";

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Revoked,
    Closed,
    Killed,
}

impl End {
    /// What has to be told, and the next step.
    fn told(self, way: Way) -> [&'static str; 2] {
        match (self, way) {
            (Self::Revoked, Way::Host) => {
                ["submit_change was refused", "ask your user to mend the credentials"]
            }
            (Self::Revoked, _) => {
                ["is no good any more", "ask whoever runs the coordinator for another credential"]
            }
            (Self::Closed | Self::Killed, Way::Host) => {
                ["submit_change was refused", "ask your user to start the coordinator"]
            }
            (Self::Closed, _) => ["the coordinator closed the session", "work has ended"],
            (Self::Killed, _) => ["the connection to the coordinator ended", "start the agent again"],
        }
    }
}

/// Each end, with each way to think.
///
/// # Errors
/// Something cannot be installed or started; or a task that ends otherwise.
pub(super) fn run() -> Result<(), Failure> {
    let host = venv::of_mcp()?;
    for end in [End::Revoked, End::Closed, End::Killed] {
        let judge = |way: Way| {
            play((way, &host), end).map_err(|failure| Failure::check(format!("{way:?}, {end:?}: {failure}")))
        };
        thread::scope(|scope| {
            let all = Way::ALL.map(|way| scope.spawn(move || judge(way)));
            all.into_iter()
                .try_for_each(|one| one.join().unwrap_or_else(|_| Err(Failure::check("a case panicked"))))
        })?;
    }
    Ok(())
}

fn play((way, host): (Way, &Path), end: End) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(Failure::io("make a temporary folder"))?;
    let (workspace, data) = (folder.path().join("workspace"), folder.path().join("data"));
    step::copy_folder(&step::root().join("fixtures/workspace"), &workspace)?;
    let model = Peer::start("model", script(VERSIONS[0], "messages_api.py").args(["--meet", "write"]), None)?;
    let api = ready(&model, "its address", |lines| cast::word_after("ready ", lines))?;
    let mut command = Command::new(step::target().join("debug/mpac-ws"));
    command.args(["--port", "0", "--session", SESSION, "--write-back", "--workspace"]).arg(&workspace);
    command.args(keys::FLAGS).arg("--data-dir").arg(&data);
    let keys = Keys::make(folder.path())?;
    let mut server = Peer::start("server", &mut command, None)?;
    let url = ready(&server, "its address", url_in)?;
    let job = Job { host, url: &url, api: &api, name: NAME_OF_OURS, files: &[FILE], holds: true };
    let mut command = way.command(&job);
    keys.give(&mut command, 1);
    let mut ours = Peer::start(NAME_OF_OURS, &mut command, None)?;
    let says = |ours: &Peer, word: &str| {
        ready(ours, word, |lines| lines.iter().any(|line| line.text.contains(word)).then_some(()))
    };
    if let Some(word) = way.greeting() {
        says(&ours, word)?;
    }
    ours.tell("go")?;
    says(&ours, if way == Way::Host { "holding" } else { "writing" })?;
    happen(end, &data, &mut server)?;
    if way == Way::Host {
        // It cannot hear of it but by the next tool that it calls.
        ours.tell("go on")?;
    }
    let status = ours.wait_end(SOON)?;
    let mut wrong = Vec::new();
    if status.code() != Some(1) {
        wrong.push(format!("it ended with {status}"));
    }
    wrong.extend(
        end.told(way).iter().filter(|part| !ours.said(part)).map(|part| format!("it did not say {part:?}")),
    );
    if end == End::Revoked {
        server.interrupt(SOON)?;
    }
    let base = step::text(&step::root().join("fixtures/workspace").join(FILE))?;
    if step::text(&workspace.join(FILE))? != base || server.said("committed") {
        wrong.push("something was committed".to_owned());
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            Err(Failure::check(format!("{}\n{}{}", wrong.join("\n    "), ours.tail(80), server.tail(10))))
        }
    }
}

/// Lets it happen, and waits until it has.
fn happen(end: End, data: &Path, server: &mut Peer) -> Result<(), Failure> {
    match end {
        End::Revoked => {
            let token = |args: &[&str]| {
                let mut command = Command::new(step::target().join("debug/mpac-ws"));
                step::read(command.arg("token").args(args).arg("--data-dir").arg(data))
            };
            let listed = token(&["list"])?;
            let its =
                |line: &&str| line.split_whitespace().any(|word| word == format!("agent:{NAME_OF_OURS}"));
            let line = listed.lines().find(its).unwrap_or_default();
            token(&["revoke", line.split_whitespace().next().unwrap_or_default()])?;
            let gone = format!("agent:{NAME_OF_OURS} is disconnected");
            ready(server, &gone, |lines| lines.iter().any(|line| line.text.contains(&gone)).then_some(()))
        }
        End::Closed => server.interrupt(SOON).map(drop),
        End::Killed => {
            server.signal("KILL")?;
            server.wait_end(SOON).map(drop)
        }
    }
}
