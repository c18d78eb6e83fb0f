//! `cargo xtask drive`: the examples of `mpac-ws drive` in other languages hold their whole session and check it.

use std::process::Command;
use std::time::Duration;

use crate::peer::Peer;
use crate::step::{self, Failure};

/// Program and example.
const EXAMPLES: [(&str, &str); 2] = [("python3", "example.py"), ("node", "example.mjs")];
const LIMIT: Duration = Duration::from_secs(30);

/// Runs every example.
///
/// # Errors
/// The binary cannot be built, a language is not there, or an example ends with anything but success.
pub(crate) fn run() -> Result<(), Failure> {
    step::run(&mut step::cargo(&["build", "--locked", "-p", "mpac-ws"]))?;
    for (program, example) in EXAMPLES {
        let path = step::root().join("fixtures/drive").join(example);
        let mut command = Command::new(program);
        command.arg(path).arg(step::target().join("debug/mpac-ws"));
        let mut peer = Peer::start(example, &mut command, None)?;
        let status = peer.wait_end(LIMIT)?;
        let said = peer.lines().len();
        if !status.success() || said == 0 {
            let told = peer.tail(40);
            return Err(Failure::check(format!("{program} {example} ended with {status}\n{told}")));
        }
        println!("{program} {example}: ok, {said} messages heard");
    }
    Ok(())
}
