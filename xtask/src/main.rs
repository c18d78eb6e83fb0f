//! Developer commands: `cargo xtask ci` is what the continuous integration runs, every other command is one part of it.
//!
//! | module | command |
//! |---|---|
//! | `attack` | what strangers and members may try against a server, each with the answer that has to come |
//! | `ci` | all steps in order, or some with `--only` |
//! | `walls` | what each crate must not depend on |
//! | `tidy` | file sizes, module pages, forbidden words and paths |
//! | `requirements` | requirement and decision IDs: cited, covered by a test, or unknown |
//! | `conformance` | whether a coordinator conforms: stories, wire checks, golden messages |
//! | `model` | a small world explored in every order |
//! | `drive` | the examples of `mpac-ws drive` in Python and Node |
//! | `evidence` | signatures and evidence, by Python programs that share no code with ours |
//! | `crash` | a server under load is killed over and over and loses nothing |
//! | `survive` | three agents at work while their server is killed over and over: all finish |
//! | `fuzz` | the fuzz targets of `fuzz/`, some time each |
//! | `handover` | a standby takes over from a server that is stopped, paused, or told to |
//! | `bench` | figures beside what they are a ratio of; the programs that are measured are the crate `measure` |
//! | `deny` | licences, sources and unwanted crates in the tree of dependencies |
//! | `demo` | two scripted agents on one file, shown live |
//! | `interop` | unmodified Python agents and servers against ours |
//!
//! `step` holds what they share (failures, running a command), `peer` a child process that is always stopped by its id,
//! `random` numbers that a seed decides.
//! Nothing here is async. Only `conformance` links the product's crates, to play its stories in this process; the other
//! commands see what a user sees.

mod attack;
mod bench;
mod ci;
mod conformance;
mod crash;
mod demo;
mod deny;
mod drive;
mod evidence;
mod fuzz;
mod handover;
mod interop;
mod model;
mod peer;
mod random;
mod requirements;
mod step;
mod survive;
mod tidy;
mod walls;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of mpac-rs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check in order and stop at the first that fails.
    Ci {
        /// Run only these steps (may be repeated); an unknown name lists them all.
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
        /// Feed each fuzz target for a minute as well, at the end.
        #[arg(long)]
        fuzz: bool,
    },
    /// Try what strangers and members may try against a server, and see that each gets the answer it has to get.
    Attack(attack::Options),
    /// Prove that crates do not depend on what they must not.
    Walls,
    /// Check file sizes, module pages, forbidden words and machine paths.
    Tidy,
    /// Check requirement and decision IDs, and count what tests cover.
    Requirements(requirements::Options),
    /// Tell whether a coordinator conforms: stories, wire checks and golden messages.
    Conformance(conformance::Options),
    /// Kill a server under load, over and over, and look for everything that it acknowledged.
    Crash(crash::Options),
    /// Kill the server of three agents in the middle of their work, over and over, and watch them finish.
    Survive(survive::Options),
    /// Take a session from server to server, with one of them paused, and look for everything that was acknowledged.
    Handover,
    /// Explore a small world in every order and check what must hold in each state.
    Model(model::Options),
    /// Measure, each figure beside the one that it is a ratio of.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Check licences, sources and unwanted crates of the tree of dependencies.
    Deny,
    /// Feed the fuzz targets for some time.
    Fuzz(fuzz::Options),
    /// Show two scripted agents of two people working on the same file.
    Demo,
    /// Run the Python and Node examples of `mpac-ws drive`.
    Drive,
    /// Verify signatures and evidence with Python programs that share no code with ours.
    Evidence,
    /// Prove that unmodified Python agents and servers work with ours.
    Interop {
        /// Run only cases whose name contains this text.
        #[arg(long, value_name = "TEXT")]
        case: Option<String>,
        /// How many cases run at a time.
        #[arg(long, default_value_t = 4)]
        jobs: usize,
    },
}

fn main() -> std::process::ExitCode {
    let done = match Cli::parse().command {
        Command::Ci { only, fuzz } => ci::run(&only, fuzz),
        Command::Attack(options) => attack::run(&options),
        Command::Walls => walls::run(),
        Command::Tidy => tidy::run(),
        Command::Requirements(options) => requirements::run(&options),
        Command::Conformance(options) => conformance::run(&options),
        Command::Crash(options) => crash::run(&options),
        Command::Survive(options) => survive::run(&options),
        Command::Handover => handover::run(),
        Command::Model(options) => model::run(&options),
        Command::Bench(bench) => bench::run(&bench),
        Command::Deny => deny::run(),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Demo => demo::run(),
        Command::Drive => drive::run(),
        Command::Evidence => evidence::run(),
        Command::Interop { case, jobs } => interop::run(case.as_deref(), jobs),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            std::process::ExitCode::FAILURE
        }
    }
}
