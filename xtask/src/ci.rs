//! `cargo xtask ci`: every check in order, each with its name and how long it took.

use std::time::Instant;

use crate::step::{self, Failure};
use crate::{
    attack, bench, conformance, crash, demo, deny, drive, evidence, fuzz, handover, interop, model,
    requirements, survive, tidy, walls,
};

type Run = fn() -> Result<(), Failure>;

/// In the order they run: what fails fast comes first.
const STEPS: [(&str, Run); 20] = [
    ("fmt", fmt),
    ("tidy", tidy::run),
    ("requirements", || requirements::run(&requirements::Options::target())),
    ("walls", walls::run),
    ("deny", deny::run),
    ("clippy", clippy),
    ("docs", docs),
    ("fuzz-targets", fuzz::check),
    ("tests", tests),
    ("model", || model::run(&model::Options::default())),
    ("instructions", bench::of_ci),
    ("conformance", conformance::of_ci),
    ("drive", drive::run),
    ("evidence", evidence::run),
    ("crash", || crash::run(&crash::Options::of_ci())),
    ("survive", survive::of_ci),
    ("handover", handover::run),
    ("attack", || attack::run(&attack::Options::of_ci())),
    ("demo", demo::run),
    ("interop", || interop::run(None, 4)),
];

/// The step that only runs where it is asked for.
const FUZZ: &str = "fuzz";

/// Runs all steps, or only the named ones, the fuzz targets too where that is asked for, and stops at the first that fails.
///
/// # Errors
/// An unknown step name, or the failure of the step that failed.
pub(crate) fn run(only: &[String], fuzz: bool) -> Result<(), Failure> {
    let fuzz = fuzz || only.iter().any(|name| name == FUZZ);
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).chain([FUZZ]).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Failure::check(format!(
            "no step is called `{unknown}`; the steps are {}",
            names.join(", ")
        )));
    }
    let began = Instant::now();
    let mut times = Vec::new();
    let more: Option<(&str, Run)> = fuzz.then_some((FUZZ, || fuzz::run(&fuzz::Options::of_ci())));
    for (name, step) in STEPS.into_iter().chain(more) {
        if !only.is_empty() && name != FUZZ && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("\n==== {name}");
        let start = Instant::now();
        step().map_err(|failure| Failure::check(format!("step `{name}` failed: {failure}")))?;
        let seconds = start.elapsed().as_secs_f64();
        println!("==== {name}: ok in {seconds:.1} s");
        times.push(format!("{name} {seconds:.1}"));
    }
    println!("\nAll steps took {:.1} s: {}.", began.elapsed().as_secs_f64(), times.join(", "));
    println!("steps: {} passed, 0 failed", times.len());
    Ok(())
}

fn fmt() -> Result<(), Failure> {
    step::run(&mut step::cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result<(), Failure> {
    let args = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step::run(&mut step::cargo(&args))
}

fn docs() -> Result<(), Failure> {
    let args = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"];
    step::run(step::cargo(&args).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The command that README names, word for word.
fn tests() -> Result<(), Failure> {
    step::run(&mut step::cargo(&["test", "--workspace"]))
}
