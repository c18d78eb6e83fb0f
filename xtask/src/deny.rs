//! `cargo xtask deny`: what may be in the tree of dependencies, by `deny.toml`.
//!
//! Licences, sources and unwanted crates are checked everywhere; known vulnerabilities where the database of advisories can be
//! fetched, and where it cannot that is said. The program is `cargo-deny`; where it is not installed it is built once, into
//! the target directory.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::peer::Peer;
use crate::step::{self, Failure};

/// The version that is built: it knows the format of our lock file and the edition of our crates.
const VERSION: &str = "0.20.2";
/// For the advisories to be fetched.
const FETCH: Duration = Duration::from_secs(120);
/// What it says when they are out of reach.
const OUT_OF_REACH: &str = "failed to fetch advisory database";

/// Checks everything that can be checked here.
///
/// # Errors
/// Something is in the tree that may not be; the program cannot be built.
pub(crate) fn run() -> Result<(), Failure> {
    let program = program()?;
    let check = |what: &[&str]| {
        let mut command = Command::new(&program);
        // Called by its own name it wants the word that cargo would give it.
        command.arg("--locked").arg("check").args(what).current_dir(step::root());
        command
    };
    step::run(&mut check(&["bans", "licenses", "sources"]))?;
    let mut advisories = Peer::start_outside("advisories", &mut check(&["advisories"]), None)?;
    let Ok(status) = advisories.wait_end(FETCH) else {
        println!("deny: advisories NOT CHECKED: their database did not come within {} s", FETCH.as_secs());
        return Ok(());
    };
    if status.success() {
        println!("deny: no advisory is about anything in the tree");
    } else if advisories.said(OUT_OF_REACH) {
        println!("deny: advisories NOT CHECKED: their database cannot be fetched from here");
    } else {
        return Err(Failure::check(format!(
            "an advisory is about something in the tree\n{}",
            advisories.tail(60)
        )));
    }
    Ok(())
}

/// Where the program is; built first, where there is none of this version.
fn program() -> Result<PathBuf, Failure> {
    let is_right = |program: &PathBuf| {
        let said = step::read(Command::new(program).arg("--version")).unwrap_or_default();
        said.trim() == format!("cargo-deny {VERSION}")
    };
    let tools = step::target().join("tools");
    let [installed, own] = [PathBuf::from("cargo-deny"), tools.join("bin/cargo-deny")];
    if let Some(found) = [installed, own.clone()].into_iter().find(is_right) {
        return Ok(found);
    }
    println!("cargo-deny {VERSION} is not installed; building it once, which takes minutes");
    let mut build =
        step::cargo(&["install", "cargo-deny", "--version", VERSION, "--locked", "--debug", "--quiet"]);
    // It runs for seconds, so what counts is how long it takes to build.
    step::run(build.arg("--root").arg(&tools).env("CARGO_PROFILE_DEV_DEBUG", "0"))?;
    Ok(own)
}
