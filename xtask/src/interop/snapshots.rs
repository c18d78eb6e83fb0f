//! Snapshots cross over between our coordinator and the Python one, both ways (REC-19).

use std::process::Command;
use std::time::Duration;

use super::venv;
use crate::peer::Peer;
use crate::step::{self, Failure};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs the exchange with one version of the package.
///
/// # Errors
/// It cannot be run, or one side does not find what the other wrote.
pub(super) fn exchange(version: &str) -> Result<(), Failure> {
    let mut command = Command::new(venv::python(version));
    command.arg(step::root().join("fixtures/interop/snapshots.py"));
    command.arg(step::target().join("debug/mpac-ws"));
    let name = format!("snapshots-{version}");
    let mut peer = Peer::start(&name, &mut command, None)?;
    let status = peer.wait_end(LIMIT)?;
    if status.success() && peer.lines().iter().any(|line| line.text == "both ways") {
        return Ok(());
    }
    let told = peer.tail(40);
    Err(Failure::check(format!("the exchange of snapshots with mpac {version} ended with {status}\n{told}")))
}
