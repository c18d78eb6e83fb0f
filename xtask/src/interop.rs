//! `cargo xtask interop`: unmodified Python agents and servers against ours, over loopback sockets.
//!
//! | module | holds |
//! |---|---|
//! | `venv` | the virtual environments with the two released Python versions |
//! | `case` | who takes part, what they are asked, and what must come of it |
//! | `cast` | the processes of one case |
//! | `keys` | what everybody needs where the session is authenticated |
//! | `brains` | one task by Claude's stand-in, by a program, and by an MCP host: the files end the same |
//! | `ends` | a revoked key and a server that goes, in the middle of a task |
//! | `way` | who thinks in these: Claude's stand-in, a program, or an MCP host |
//! | `mcp` | our bridge between MCP hosts and a session, driven by the official Python client |
//! | `snapshots` | sessions that change hands between the implementations |
//! | `check` | what must be seen on the wire and in the files afterwards |
//!
//! Every case has a server, a copy of the workspace and a stand-in for the Messages API of its own, so cases run side by side.

mod brains;
mod case;
mod cast;
mod check;
mod ends;
mod keys;
mod mcp;
mod snapshots;
pub(crate) mod venv;
mod way;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use case::{Case, Party, Shape};
pub(crate) use cast::url_in;

use crate::step::{self, Failure};

/// The released Python versions that must work unmodified: the first compatibility target and the newest.
const VERSIONS: [&str; 2] = ["0.1.0", "0.2.13"];

/// A case that is played by a function of its own.
type Other = (&'static str, fn() -> Result<(), Failure>);

const OTHERS: [Other; 3] = [(brains::NAME, brains::run), (ends::NAME, ends::run), (mcp::NAME, mcp::run)];

/// Installs what is needed, runs the cases (those whose name contains `only`), `jobs` at a time.
///
/// # Errors
/// Something cannot be installed or built, no case has such a name, or a case failed.
pub(crate) fn run(only: Option<&str>, jobs: usize) -> Result<(), Failure> {
    let cases: Vec<Case> =
        all().into_iter().filter(|case| only.is_none_or(|text| case.name().contains(text))).collect();
    let asked_for = |name: &str| only.is_none_or(|text| name.contains(text));
    let others: Vec<&Other> = OTHERS.iter().filter(|(name, _)| asked_for(name)).collect();
    if cases.is_empty() && others.is_empty() {
        let names = all().iter().map(Case::name).collect::<Vec<_>>();
        let others = OTHERS.map(|(name, _)| name);
        return Err(Failure::check(format!(
            "no case's name contains that text; the cases are\n{}\n{}",
            names.join("\n"),
            others.join("\n")
        )));
    }
    // Scripts that belong to neither side run in the environment of the first.
    for version in VERSIONS {
        venv::ensure(version)?;
    }
    step::run(&mut step::cargo(&["build", "--locked", "-p", "mpac-ws", "-p", "mpac-agent"]))?;
    let began = Instant::now();
    let failed = run_side_by_side(&cases, jobs.max(1));
    if !cases.is_empty() {
        println!("{} cases took {:.1} s", cases.len(), began.elapsed().as_secs_f64());
        println!("interop: {} passed, {failed} failed", cases.len() - failed);
    }
    for (name, run) in others {
        run()?;
        println!("  pass  {name}");
    }
    for version in VERSIONS.iter().filter(|_| only.is_none()) {
        snapshots::exchange(version)?;
        println!("snapshots: ours goes on in mpac {version}, theirs in ours");
    }
    if failed == 0 { Ok(()) } else { Err(Failure::check(format!("{failed} interop cases failed"))) }
}

/// Hands back how many failed.
fn run_side_by_side(cases: &[Case], jobs: usize) -> usize {
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    let printing = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let done = case.run();
                    let seconds = start.elapsed().as_secs_f64();
                    let _turn = printing.lock().unwrap_or_else(PoisonError::into_inner);
                    match done {
                        Ok(()) => println!("  pass  {} ({seconds:.1} s)", case.name()),
                        Err(failure) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("  FAIL  {} ({seconds:.1} s)\n    {failure}", case.name());
                        }
                    }
                }
            });
        }
    });
    failed.into_inner()
}

/// The longest first, so that the last ones to run are short.
fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |group, server, agents, shape| cases.push(Case { group, server, agents, shape });
    for version in VERSIONS {
        let python = Party::Python(version);
        add('a', Party::Ours, [python; 2], Shape::BothYield);
        for shape in [Shape::OneYields, Shape::SameFile, Shape::Disjoint] {
            add('a', Party::Ours, [python; 2], shape);
        }
    }
    add('c', Party::Ours, [Party::Python(VERSIONS[1]), Party::Ours], Shape::BothYield);
    for version in VERSIONS {
        for shape in [Shape::OneYields, Shape::SameFile, Shape::Disjoint] {
            add('c', Party::Ours, [Party::Python(version), Party::Ours], shape);
        }
    }
    for version in VERSIONS {
        add('d', Party::Ours, [Party::Python(version), Party::Ours], Shape::Disjoint);
    }
    // The newest server refuses the second announce over a file, so there nobody is asked to yield.
    add('b', Party::Python(VERSIONS[0]), [Party::Ours; 2], Shape::OneYields);
    for version in VERSIONS {
        for shape in [Shape::SameFile, Shape::Disjoint] {
            add('b', Party::Python(version), [Party::Ours; 2], shape);
        }
    }
    cases
}
