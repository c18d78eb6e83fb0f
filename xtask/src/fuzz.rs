//! `cargo xtask fuzz`: what strangers' bytes reach first, fed with bytes that nobody would think of.
//!
//! The targets are in `fuzz/`, a workspace of its own, with a small corpus each that is kept in git; what a run finds worth
//! keeping lies in the target directory and is used by the next one. An input that breaks something is kept there too, and
//! its name is printed. The program is `cargo-fuzz`; where it is not installed it is built once, into the target directory.
//! On the stable toolchain it needs `RUSTC_BOOTSTRAP=1`, which is set here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;

use crate::peer::Peer;
use crate::step::{self, Failure};

/// The version that is built where there is none.
const VERSION: &str = "0.13.2";
/// For what a target does beside its seconds: reading its corpus, and the input that it is at.
const BESIDE: u64 = 120;
/// Bytes of the longest input: as many as it takes to reach everything, and few enough to try many.
const LONGEST: &str = "-max_len=8192";
/// An input that takes longer is a fault.
const SLOWEST: &str = "-timeout=10";

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each target runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only the target of this name.
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Say which targets there are, and run none.
    #[arg(long)]
    list: bool,
}

impl Options {
    /// All of them, for a minute each.
    pub(crate) const fn of_ci() -> Self {
        Self { seconds: 60, target: None, list: false }
    }
}

/// That the targets are in order and build, as every change has to leave them: it takes a minute, not one for each target.
///
/// # Errors
/// They are not formatted, their lock file is not up to date, or they do not compile.
pub(crate) fn check() -> Result<(), Failure> {
    let manifest = ["--manifest-path", "fuzz/Cargo.toml"];
    step::run(&mut step::cargo(&[&["fmt", "--check"], &manifest[..]].concat()))?;
    let mut check = step::cargo(&[&["check", "--locked", "--quiet"], &manifest[..]].concat());
    step::run(check.arg("--target-dir").arg(target_dir()))
}

/// Builds the targets and runs them, one after the other.
///
/// # Errors
/// They cannot be built, there is none of that name, or an input broke something.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut targets = targets()?;
    if options.list {
        targets.iter().for_each(|target| step::say(target));
        return Ok(());
    }
    if let Some(name) = &options.target {
        let all = targets.join(", ");
        targets.retain(|target| target == name);
        if targets.is_empty() {
            return Err(Failure::check(format!("no target is called `{name}`; the targets are {all}")));
        }
    }
    let program = program()?;
    let place = Place { program: &program, seconds: options.seconds };
    step::say("fuzz: building, which takes minutes the first time");
    step::run(&mut place.command("build"))?;
    let broken: Vec<String> = targets
        .iter()
        .filter_map(|target| place.fuzz(target).err())
        .map(|failure| failure.to_string())
        .collect();
    if broken.is_empty() { Ok(()) } else { Err(Failure::check(broken.join("\n"))) }
}

struct Place<'a> {
    program: &'a Path,
    seconds: u64,
}

impl Place<'_> {
    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(self.program);
        // All of it is safe Rust, so a sanitizer has little to look for, and costs half the speed.
        command.args(["fuzz", what, "--sanitizer", "none", "--target-dir"]).arg(target_dir());
        // Of cargo-fuzz itself a trace says nothing, and would stand where the reason does.
        command.current_dir(step::root()).env("RUSTC_BOOTSTRAP", "1").env("RUST_BACKTRACE", "0");
        command
    }

    fn fuzz(&self, target: &str) -> Result<(), Failure> {
        let own = step::root().join("fuzz/corpus").join(target);
        let found = target_dir().join("corpus").join(target);
        std::fs::create_dir_all(&found).map_err(Failure::io("make a directory for a corpus"))?;
        let mut command = self.command("run");
        // Into the first directory what is found is written, the second one is only read.
        command.arg(target).args([&found, &own]).arg("--");
        command.args([
            &format!("-max_total_time={}", self.seconds),
            LONGEST,
            SLOWEST,
            "-print_final_stats=1",
        ]);
        let on_line = |line: &crate::peer::Line| {
            // libFuzzer tells of every step; a line for each doubling is enough to see that it goes on.
            if line.text.contains("pulse") || line.text.contains("INITED") {
                step::say(&format!("    {}", line.text));
            }
        };
        let mut fuzzer = Peer::start(target, &mut command, Some(std::sync::Arc::new(on_line)))?;
        let status = fuzzer.wait_end(Duration::from_secs(self.seconds + BESIDE))?;
        if !status.success() {
            return Err(Failure::check(format!("{target}: an input breaks it\n{}", fuzzer.tail(40))));
        }
        let lines = fuzzer.lines();
        let stat = |name: &str| {
            let line = lines.iter().find(|line| line.text.contains(name));
            line.and_then(|line| line.text.split_whitespace().next_back().map(str::to_owned))
                .unwrap_or_default()
        };
        let cover = lines.iter().rev().find_map(|line| line.text.split("cov: ").nth(1)?.split(' ').next());
        step::say(&format!(
            "fuzz: {target}: {} inputs in {} s, {} a second, {} edges covered, {} inputs kept; nothing broke",
            stat("number_of_executed_units"),
            self.seconds,
            stat("average_exec_per_sec"),
            cover.unwrap_or("?"),
            std::fs::read_dir(&found).map(Iterator::count).unwrap_or_default()
        ));
        Ok(())
    }
}

fn target_dir() -> PathBuf {
    step::target().join("fuzz")
}

/// The names of all targets, sorted.
fn targets() -> Result<Vec<String>, Failure> {
    let files = step::files_below(&step::root().join("fuzz/fuzz_targets"))?;
    Ok(files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect())
}

/// Where the program is; built first, where there is none.
fn program() -> Result<PathBuf, Failure> {
    let tools = step::target().join("tools");
    let [installed, own] = [PathBuf::from("cargo-fuzz"), tools.join("bin/cargo-fuzz")];
    let is_there = |program: &PathBuf| step::read(Command::new(program).args(["fuzz", "--version"])).is_ok();
    if let Some(found) = [installed, own.clone()].into_iter().find(is_there) {
        return Ok(found);
    }
    println!("cargo-fuzz is not installed; building it once, which takes minutes");
    let mut build =
        step::cargo(&["install", "cargo-fuzz", "--version", VERSION, "--locked", "--debug", "--quiet"]);
    step::run(build.arg("--root").arg(&tools))?;
    Ok(own)
}
