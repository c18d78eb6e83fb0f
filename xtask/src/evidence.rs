//! `cargo xtask evidence`: programs in Python that share no code with ours sign and verify as ours do, and verify a bundle of
//! evidence and everything that somebody without the coordinator's key could make of it.

use std::process::Command;

use crate::interop::venv;
use crate::step::{self, Failure};

/// In `fixtures`: a folder, a program in it, and what it is given. `DRIVE` is the program that is driven.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("signatures", &["make_vectors.py", "--check"]),
    ("signatures", &["drive_verified.py", DRIVE]),
    ("evidence", &["verify.py", "--keys", "keys.json", "bundle.json"]),
    ("evidence", &["test_verify.py"]),
];
const DRIVE: &str = "mpac-ws";

/// Runs all of them.
///
/// # Errors
/// Python or its package cannot be had, the binary cannot be built, or a program ends with anything but success.
pub(crate) fn run() -> Result<(), Failure> {
    step::run(&mut step::cargo(&["build", "--locked", "-p", "mpac-ws"]))?;
    let python = venv::of_signatures()?;
    for (folder, args) in PROGRAMS {
        println!("fixtures/{folder}: {}", args.join(" "));
        let mut command = Command::new(&python);
        command.current_dir(step::root().join("fixtures").join(folder));
        for arg in args {
            if *arg == DRIVE {
                command.arg(step::target().join("debug").join(DRIVE));
            } else {
                command.arg(arg);
            }
        }
        // No caches among the fixtures.
        step::run(command.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    }
    Ok(())
}
