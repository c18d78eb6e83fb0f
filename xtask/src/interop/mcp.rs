//! MCP hosts: the official Python client takes two of our bridges through all their tools and resources.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{url_in, venv};
use crate::peer::Peer;
use crate::step::{self, Failure};

/// Its name among the cases.
pub(super) const NAME: &str = "mcp: hosts with the official Python client, two bridges, all tools";

const SOON: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(250);

/// Runs the host between a coordinator that locks files and one that reports conflicts.
///
/// # Errors
/// Something cannot be installed or started, or a tool does not do its part; the text ends with what was said last.
pub(super) fn run() -> Result<(), Failure> {
    let python = venv::of_mcp()?;
    let folder = tempfile::tempdir().map_err(Failure::io("make a temporary folder"))?;
    let (mut locking, first) = server(&folder.path().join("locking"), "0.1.15")?;
    let (mut reporting, second) = server(&folder.path().join("reporting"), "0.1.13")?;
    let mut command = Command::new(python);
    command.arg(step::root().join("fixtures/mcp/host.py")).arg(step::target().join("debug/mpac-agent"));
    command.args([first, second]).env("PYTHONUNBUFFERED", "1");
    let mut host = Peer::start("host", &mut command, None)?;
    let status = host.wait_end(LIMIT)?;
    let is_done = status.success() && host.lines().iter().any(|line| line.text == "all tools");
    if !is_done {
        let said = [host.tail(40), locking.tail(10), reporting.tail(10)].concat();
        return Err(Failure::check(format!("the MCP host ended with {status}\n{said}")));
    }
    // What was changed through the bridges is in the files.
    locking.interrupt(SOON)?;
    reporting.interrupt(SOON)?;
    let text = step::text(&folder.path().join("locking/shop/money.py"))?;
    match text.contains("round(float(text) * 100)") && text.ends_with("# mine\n") {
        true => Ok(()),
        false => Err(Failure::check(format!("the changes of both hosts are not in the file:\n{text}"))),
    }
}

/// A coordinator of this level, and its address.
fn server(workspace: &Path, level: &str) -> Result<(Peer, String), Failure> {
    step::copy_folder(&step::root().join("fixtures/workspace"), workspace)?;
    let mut command = Command::new(step::target().join("debug/mpac-ws"));
    command.args(["--port", "0", "--write-back", "--protocol-level", level]);
    command.args(["--intent-claim-grace-sec", "1", "--workspace"]).arg(workspace);
    let server = Peer::start("server", &mut command, None)?;
    let found = server.wait_for("its address", SOON, url_in);
    let url = found.map_err(|failure| Failure::check(format!("{failure}\n{}", server.tail(25))))?;
    Ok((server, url))
}
