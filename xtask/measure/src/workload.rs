//! The workloads, and the files that they lie in.
//!
//! | name | content |
//! |---|---|
//! | `w1` | 50 participants, in random order; each announces 3 of 7,400 files, commits them, beats and withdraws |
//! | `w2_nN` | N disjoint intents of 3 files, then pairs of announce and withdraw on other files |
//! | `w3` | 200 participants announce scopes that share one file, then all withdraw |
//! | `w4` | 50 participants with one intent each; heartbeats and commits in turn |
//!
//! `w1_mN` and `w4_mN` have N messages, `w2_nN_pP` has P pairs, `w3_nN` has N participants.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Failure;
use crate::stream::{SESSION, Stream, file};

/// Sums of the streams of the usual sizes, as the Python program that first wrote them gave them.
const SUMS: &str = include_str!("../SHA256SUMS");
/// The first of the seeds; every workload has the next.
const SEED: u32 = 20_260_101;
/// Files that W1 works on.
const POOL: u32 = 7400;
/// Files that each participant of W4 works on.
const FILES_EACH: u32 = 10;

/// A workload and its size.
#[derive(Clone, Copy)]
pub(crate) enum Workload {
    Busy { messages: u32 },
    Growth { live: u32, pairs: u32 },
    Storm { people: u32 },
    Long { messages: u32 },
}

/// A part of a stream, in lines.
type Phase = (&'static str, u32);

impl Workload {
    /// By the name of its file.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let size = |prefix: &str| name.strip_prefix(prefix)?.parse().ok().filter(|size| *size > 0);
        match name {
            "w1" => return Some(Self::Busy { messages: 100_000 }),
            "w3" => return Some(Self::Storm { people: 200 }),
            "w4" => return Some(Self::Long { messages: 1_000_000 }),
            _ => {}
        }
        let busy = size("w1_m").map(|messages| Self::Busy { messages });
        let growth = || {
            let sizes = name.strip_prefix("w2_n")?;
            let (live, pairs) =
                sizes.split_once("_p").map_or((sizes, None), |(live, pairs)| (live, Some(pairs)));
            let live = live.parse().ok()?;
            let pairs = pairs.map_or_else(|| Some(usual_pairs(live)), |pairs| pairs.parse().ok())?;
            Some(Self::Growth { live, pairs })
        };
        let storm = || size("w3_n").map(|people| Self::Storm { people });
        let long = || size("w4_m").map(|messages| Self::Long { messages });
        busy.or_else(growth).or_else(storm).or_else(long)
    }

    const fn family(self) -> &'static str {
        match self {
            Self::Busy { .. } => "w1",
            Self::Growth { .. } => "w2",
            Self::Storm { .. } => "w3",
            Self::Long { .. } => "w4",
        }
    }

    fn phases(self) -> Vec<Phase> {
        match self {
            Self::Busy { messages } => vec![("hello", 50), ("stream", messages)],
            Self::Growth { live, pairs } => vec![("hello", 100), ("setup", live), ("pairs", 2 * pairs)],
            Self::Storm { people } => vec![("hello", people), ("announce", people), ("withdraw", people)],
            Self::Long { messages } => vec![("hello", 50), ("setup", 50), ("stream", messages)],
        }
    }

    fn write<W: Write>(self, out: W) -> io::Result<(u64, W)> {
        match self {
            Self::Busy { messages } => busy(Stream::new(out, SEED + 1), messages),
            Self::Growth { live, pairs } => growth(Stream::new(out, SEED + 2), live, pairs),
            Self::Storm { people } => storm(Stream::new(out, SEED + 3), people),
            Self::Long { messages } => long(Stream::new(out, SEED + 4), messages),
        }
    }
}

/// Pairs that are measured beside so many live intents.
const fn usual_pairs(live: u32) -> u32 {
    match live {
        100 => 1000,
        1000 => 500,
        100_000 => 20,
        _ => 100,
    }
}

/// Writes `NAME.jsonl` and `NAME.meta.json` into `dir`, unless they are there.
///
/// # Errors
/// No workload is called so, a file cannot be written, or the stream is not the one whose sum is known.
pub(crate) fn generate(dir: &Path, name: &str) -> Result<PathBuf, Failure> {
    let workload = Workload::named(name).ok_or_else(|| Failure::Name(name.to_owned()))?;
    let (path, meta) = (dir.join(format!("{name}.jsonl")), dir.join(format!("{name}.meta.json")));
    if path.exists() && meta.exists() {
        return Ok(path);
    }
    fs::create_dir_all(dir).map_err(Failure::io("create", dir))?;
    let unfinished = dir.join(format!("{name}.unfinished"));
    let file = File::create(&unfinished).map_err(Failure::io("create", &unfinished))?;
    let out = Summed { out: BufWriter::new(file), sum: Sha256::new() };
    let written = workload.write(out).and_then(|(lines, mut out)| out.flush().map(|()| (lines, out.sum)));
    let (lines, sum) = written.map_err(Failure::io("write", &unfinished))?;
    let sum = hex(&sum.finalize());
    if let Some(known) = known_sum(name)
        && known != sum
    {
        return Err(Failure::Sum { name: name.to_owned(), known: known.to_owned(), sum });
    }
    let about = json!({
        "workload": workload.family(), "phases": workload.phases(), "lines": lines, "session_id": SESSION,
        "file": format!("{name}.jsonl"), "sha256": sum,
    });
    fs::write(&meta, format!("{about:#}\n")).map_err(Failure::io("write", &meta))?;
    fs::rename(&unfinished, &path).map_err(Failure::io("write", &path))?;
    Ok(path)
}

fn known_sum(name: &str) -> Option<&'static str> {
    SUMS.lines().find_map(|line| line.strip_suffix(".jsonl")?.strip_suffix(name)?.strip_suffix("  "))
}

/// Hands on what is written, and sums it.
struct Summed<W> {
    out: W,
    sum: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The state of a file that nobody has changed.
fn untouched(target: &str) -> String {
    format!("sha256:{}", &hex(&Sha256::digest(target))[..16])
}

/// One participant of W1: how far it is in its turn, and what it holds.
#[derive(Default)]
struct Worker {
    step: usize,
    turn: u32,
    intent: String,
    files: [u32; 3],
}

fn busy<W: Write>(mut stream: Stream<W>, messages: u32) -> io::Result<(u64, W)> {
    const PEOPLE: u32 = 50;
    (0..PEOPLE).try_for_each(|who| stream.hello(who))?;
    let mut states: Vec<Option<String>> = vec![None; POOL as usize];
    let mut workers: Vec<Worker> = (0..PEOPLE).map(|_| Worker::default()).collect();
    let mut ops = 0;
    for _ in 0..messages {
        let who = stream.random.below(PEOPLE);
        let worker = &mut workers[who as usize];
        match worker.step {
            0 => {
                worker.files = stream.random.three_of(POOL);
                worker.intent = format!("intent-{who:02}-{:05}", worker.turn);
                stream.announce(who, &worker.intent, &worker.files.map(file))?;
            }
            step @ 1..=3 => {
                let number = worker.files[step - 1];
                let target = file(number);
                let state = &mut states[number as usize];
                let before = state.take().unwrap_or_else(|| untouched(&target));
                let after = stream.state_ref();
                ops += 1;
                stream.commit(who, &format!("op-{ops:06}"), &worker.intent, &target, [&before, &after])?;
                *state = Some(after);
            }
            4 => stream.heartbeat(who, &worker.intent)?,
            _ => {
                stream.withdraw(who, &worker.intent)?;
                worker.turn += 1;
            }
        }
        worker.step = (worker.step + 1) % 6;
    }
    Ok(stream.end())
}

fn growth<W: Write>(mut stream: Stream<W>, live: u32, pairs: u32) -> io::Result<(u64, W)> {
    const PEOPLE: u32 = 100;
    let files = |number: u32| [0, 1, 2].map(|more| file(3 * number + more));
    (0..PEOPLE).try_for_each(|who| stream.hello(who))?;
    (0..live).try_for_each(|n| stream.announce(n % PEOPLE, &format!("held-{n:06}"), &files(n)))?;
    for n in 0..pairs {
        let who = stream.random.below(PEOPLE);
        let intent = format!("probe-{n:06}");
        stream.announce(who, &intent, &files(live + n))?;
        stream.withdraw(who, &intent)?;
    }
    Ok(stream.end())
}

fn storm<W: Write>(mut stream: Stream<W>, people: u32) -> io::Result<(u64, W)> {
    let intent = |who: u32| format!("storm-{who:04}");
    (0..people).try_for_each(|who| stream.hello(who))?;
    for who in 0..people {
        let files = ["src/shared.rs".to_owned(), file(2 * who), file(2 * who + 1)];
        stream.announce(who, &intent(who), &files)?;
    }
    (0..people).try_for_each(|who| stream.withdraw(who, &intent(who)))?;
    Ok(stream.end())
}

fn long<W: Write>(mut stream: Stream<W>, messages: u32) -> io::Result<(u64, W)> {
    const PEOPLE: u32 = 50;
    let intent = |who: u32| format!("long-{who:02}");
    (0..PEOPLE).try_for_each(|who| stream.hello(who))?;
    let mut states = Vec::new();
    for who in 0..PEOPLE {
        let files: Vec<String> = (0..FILES_EACH).map(|n| file(who * FILES_EACH + n)).collect();
        states.extend(files.iter().map(|file| untouched(file)));
        stream.announce(who, &intent(who), &files)?;
    }
    let mut ops = 0;
    for n in 0..messages {
        let who = stream.random.below(PEOPLE);
        if n % 2 == 0 {
            stream.heartbeat(who, &intent(who))?;
            continue;
        }
        let number = who * FILES_EACH + stream.random.below(FILES_EACH);
        let after = stream.state_ref();
        let state = &mut states[number as usize];
        ops += 1;
        stream.commit(who, &format!("op-{ops:07}"), &intent(who), &file(number), [state, &after])?;
        *state = after;
    }
    Ok(stream.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The larger ones are compared when they are generated.
    #[test]
    fn the_streams_are_those_whose_sums_are_known() {
        for name in ["w2_n100", "w2_n1000", "w3"] {
            let out = Summed { out: io::sink(), sum: Sha256::new() };
            let (_, out) = Workload::named(name).unwrap().write(out).unwrap();
            assert_eq!(Some(&*hex(&out.sum.finalize())), known_sum(name), "{name}");
        }
    }

    #[test]
    fn phases_add_up_to_the_lines() {
        for name in ["w1_m500", "w2_n7", "w3_n9", "w4_m70"] {
            let workload = Workload::named(name).unwrap();
            let (lines, _) = workload.write(io::sink()).unwrap();
            let phases: u32 = workload.phases().iter().map(|(_, lines)| lines).sum();
            assert_eq!(u64::from(phases), lines, "{name}");
        }
        assert!(["w5", "w1_m", "w1_m0", "w2_nx"].map(Workload::named).iter().all(Option::is_none));
    }
}
