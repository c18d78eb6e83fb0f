//! `cargo xtask crash`: a server under load is killed at random moments, over and over, and loses nothing.
//!
//! Real processes, real sockets, SIGKILL: while it works, while it starts, while it compresses and deletes old parts of its
//! log, and while a log that was damaged on purpose is repaired; in between it is stopped in good order. Every round the same
//! people come back, look for what they were told was committed, send again what they do not know about, and go on working
//! until the next end. The seed decides when that is; what the people have sent by then differs from run to run.

mod damage;
pub(crate) mod person;
mod server;

use std::path::Path;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use clap::Args;

use self::person::Person;
use self::server::Server;
use crate::peer::Peer;
use crate::random::Random;
use crate::step::Failure;

/// For a server to replay its log and listen, and to stop.
const START: Duration = Duration::from_secs(120);
/// A life lasts this long, in milliseconds, at least and at most.
const LIFE: (u64, u64) = (30, 900);
/// A start that is interrupted lasts so many milliseconds at the most.
const START_CUT: u64 = 150;

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// How often the server is killed or stopped under load.
    #[arg(long, default_value_t = 10)]
    rounds: u64,
    /// Decides when, and how.
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
    /// As many as every change has to pass.
    pub(crate) fn of_ci() -> Self {
        Self { rounds: 50, seed: 7, people: 3, durability: "fsync".to_owned(), release: false }
    }
}

/// What was done, for the last line.
#[derive(Default)]
struct Done {
    kills: u64,
    stops: u64,
    /// Starts that were killed before the server listened.
    starts: u64,
    repairs: u64,
    /// Repairs that were killed before they were done.
    killed_repairs: u64,
    verified: u64,
    /// Kills that left a compression or a snapshot half written.
    half: u64,
}

/// Kills, restarts, compares.
///
/// # Errors
/// The first thing that was acknowledged and is not there, is there twice, or went backwards; a log that does not verify.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let server = Server::build(&options.durability, options.release)?;
    let mut people: Vec<Person> = (0..options.people).map(Person::new).collect();
    let mut random = Random::new(options.seed);
    let mut done = Done::default();
    let began = Instant::now();
    for round in 1..=options.rounds {
        let before = committed(&people);
        let how = one(&server, round, &mut people, &mut random, &mut done)?;
        // Every start compares what it replays; the whole log is verified now and then.
        if server.is_durable() && round.is_multiple_of(options.rounds.div_ceil(10)) {
            server.verify()?;
            done.verified += 1;
        }
        let all = committed(&people);
        println!("round {round}: {how}, {} commits acknowledged, {all} so far", all - before);
    }
    live(&server, 0, &mut people, None)?;
    if committed(&people) == 0 {
        return Err(Failure::check("nothing was ever committed: nothing is proven"));
    }
    if server.is_durable() {
        server.verify()?;
        server.verify_archive()?;
    }
    println!(
        "crash: {} kills and {} stops under load, {} starts killed, {} repairs ({} killed), {} half-written files left behind, \
         {} verified in {:.1} s",
        done.kills,
        done.stops,
        done.starts,
        done.repairs,
        done.killed_repairs,
        done.half,
        done.verified,
        began.elapsed().as_secs_f64()
    );
    println!("crash: of the log {}", server.kept()?);
    println!(
        "crash: {} commits acknowledged, each there once; epoch {}; seed {}",
        committed(&people),
        people.iter().map(Person::epoch).max().unwrap_or_default(),
        options.seed
    );
    Ok(())
}

/// One round: perhaps a repair, perhaps a start that is killed, then a life; gives how it ended.
fn one(
    server: &Server,
    round: u64,
    people: &mut [Person],
    random: &mut Random,
    done: &mut Done,
) -> Result<String, Failure> {
    if server.is_durable() && round > 1 && random.one_in(6) && damage::damage(&server.session(), random)? {
        done.repairs += 1;
        done.killed_repairs += u64::from(server.repair(random.below(100))?);
    }
    if random.one_in(4) {
        done.starts += u64::from(server.interrupted_start(round, random.below(START_CUT))?);
    }
    let life = random.between(LIFE);
    let end = if random.one_in(8) { End::Stop } else { End::Kill };
    live(server, round, people, Some((round, life, end)))?;
    let (how, count) = match end {
        End::Stop => ("stopped", &mut done.stops),
        End::Kill => ("killed", &mut done.kills),
    };
    *count += 1;
    done.half += server.half_written()?;
    Ok(format!("{how} after {} ms", life.as_millis()))
}

fn committed(people: &[Person]) -> usize {
    people.iter().map(Person::committed).sum()
}

#[derive(Clone, Copy)]
enum End {
    Stop,
    Kill,
}

/// One life of the server: everybody comes back and looks, then works until its end; without an end all just look, at
/// everything there ever was.
fn live(
    server: &Server,
    round: u64,
    people: &mut [Person],
    until: Option<(u64, Duration, End)>,
) -> Result<(), Failure> {
    let mut running: Peer = server.start(round)?;
    let url = running.wait_for("its address", START, crate::interop::url_in);
    let url = url.map_err(|failure| Failure::check(format!("{failure}\n{}", running.tail(20))))?;
    let all: Vec<(String, String)> = people.iter().flat_map(Person::acknowledged).collect();
    let (outcome, stopped) = thread::scope(|scope| {
        let work: Vec<_> = people
            .iter_mut()
            .map(|person| scope.spawn(|| person.live(&url, until.map(|(round, ..)| round), &all)))
            .collect();
        let mut stopped = Ok(());
        if let Some((_, life, _)) = until {
            thread::sleep(life);
            // Who finds the server gone takes that for its end: nobody may have found it so before.
            if let Some(status) = running.ended() {
                let told = format!("it ended by itself, with {status}\n{}", running.tail(20));
                stopped = Err(Failure::check(told));
            } else if work.iter().any(ScopedJoinHandle::is_finished) {
                let told = format!("somebody was hung up on by a server at work\n{}", running.tail(20));
                stopped = Err(Failure::check(told));
            }
        }
        match until {
            Some((.., End::Stop)) if stopped.is_ok() => {
                stopped = running.interrupt(START).and_then(|status| {
                    let failed = || Failure::check(format!("it stopped with {status}\n{}", running.tail(20)));
                    if status.success() { Ok(()) } else { Err(failed()) }
                });
            }
            // Its end kills it, and nothing else tells it to end.
            Some(_) => drop(running),
            None => {}
        }
        let ended =
            work.into_iter().map(|it| it.join().unwrap_or_else(|_| Err("a client panicked".to_owned())));
        (ended.collect::<Result<(), String>>(), stopped)
    });
    outcome.map_err(Failure::check)?;
    stopped
}

/// Files of which only a half was written, by what their names begin with.
fn is_half(name: &str) -> bool {
    [".packing-", ".snapshot-", ".head-", ".begins-"].iter().any(|begin| name.starts_with(begin))
}

/// The names in a directory, sorted; none where there is none.
fn names(dir: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    if dir.is_dir() {
        for entry in std::fs::read_dir(dir).map_err(Failure::io("list a directory"))? {
            let entry = entry.map_err(Failure::io("list a directory"))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
