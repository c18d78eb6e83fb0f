//! `cargo xtask crash`: a server under load is killed at random moments, over and over, and loses nothing.
//!
//! Real processes, real sockets, SIGKILL. Every round the same people come back, look for what they were told was committed,
//! send again what they do not know about, and go on working until the next kill. The seed decides when that is; what the
//! people have sent by then differs from run to run.

pub(crate) mod person;

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::person::Person;
use crate::peer::Peer;
use crate::step::{self, Failure};

/// For a server to replay its log and listen.
const START: Duration = Duration::from_secs(120);
/// A life lasts this long, in milliseconds, at least and at most.
const LIFE: (u64, u64) = (30, 900);

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How often the server is killed.
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// Decides when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// People who work at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100))]
    people: u64,
    /// What the server is told of durability; with `none` this command has to fail.
    #[arg(long, default_value = "fsync")]
    durability: String,
    /// With an optimised server, for many rounds.
    #[arg(long)]
    release: bool,
}

impl Options {
    /// Few rounds, for every day.
    pub(crate) fn of_ci() -> Self {
        Self { rounds: 6, seed: 7, people: 4, durability: "fsync".to_owned(), release: false }
    }
}

/// Kills, restarts, compares.
///
/// # Errors
/// The first thing that was acknowledged and is not there, is there twice, or went backwards; a log that does not verify.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut build = step::cargo(&["build", "--locked", "-p", "mpac-ws"]);
    if options.release {
        build.arg("--release");
    }
    step::run(&mut build)?;
    let program = step::target().join(if options.release { "release" } else { "debug" }).join("mpac-ws");
    let data = tempfile::tempdir().map_err(Failure::io("make a data directory"))?;
    let command = |round: u64| {
        let mut command = Command::new(&program);
        // Every other life is full of snapshots, each of which may be the last thing that is written.
        command.args(["--heartbeat-interval-sec", if round.is_multiple_of(2) { "0.1" } else { "30" }]);
        command.args(["--port", "0", "--rate-per-sec", "1000000", "--rate-burst", "1000000"]);
        command.args(["--durability", &options.durability, "--data-dir"]).arg(data.path());
        command
    };
    let mut people: Vec<Person> = (0..options.people).map(Person::new).collect();
    let mut random = Random(options.seed);
    let began = Instant::now();
    for round in 1..=options.rounds {
        let life = Duration::from_millis(LIFE.0 + random.next() % (LIFE.1 - LIFE.0));
        let before = committed(&people);
        live(&mut command(round), &mut people, Some((round, life)))?;
        // Every start compares what it replays; the whole log, which grows, is verified a few times.
        if options.durability != "none" && round.is_multiple_of(options.rounds.div_ceil(10)) {
            verify(&program, data.path())?;
        }
        println!(
            "round {round}: killed after {} ms, {} commits acknowledged, {} so far",
            life.as_millis(),
            committed(&people) - before,
            committed(&people)
        );
    }
    live(&mut command(0), &mut people, None)?;
    if committed(&people) == 0 {
        return Err(Failure::check("nothing was ever committed: nothing is proven"));
    }
    println!(
        "crash: {} kills in {:.1} s, {} commits acknowledged, each there once; epoch {}; seed {}",
        options.rounds,
        began.elapsed().as_secs_f64(),
        committed(&people),
        people.iter().map(Person::epoch).max().unwrap_or_default(),
        options.seed
    );
    Ok(())
}

fn committed(people: &[Person]) -> usize {
    people.iter().map(Person::committed).sum()
}

/// One life of the server: everybody comes back and looks, then works until the kill; without a kill all just look, at
/// everything there ever was.
fn live(command: &mut Command, people: &mut [Person], until: Option<(u64, Duration)>) -> Result<(), Failure> {
    let server = Peer::start("coordinator", command, None)?;
    let url = server.wait_for("its address", START, crate::interop::url_in);
    let url = url.map_err(|failure| Failure::check(format!("{failure}\n{}", server.tail(20))))?;
    let all: Vec<(String, String)> = people.iter().flat_map(Person::acknowledged).collect();
    let outcome: Result<(), String> = thread::scope(|scope| {
        let work: Vec<_> = people
            .iter_mut()
            .map(|person| scope.spawn(|| person.live(&url, until.map(|(round, _)| round), &all)))
            .collect();
        if let Some((_, life)) = until {
            thread::sleep(life);
            // Its end kills it, and nothing else tells it to end.
            drop(server);
        }
        let ended =
            work.into_iter().map(|it| it.join().unwrap_or_else(|_| Err("a client panicked".to_owned())));
        ended.collect()
    });
    outcome.map_err(Failure::check)
}

fn verify(program: &Path, data: &Path) -> Result<(), Failure> {
    step::read(Command::new(program).args(["audit", "verify", "--data-dir"]).arg(data)).map(drop)
}

/// SplitMix64: the same numbers from the same seed.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
