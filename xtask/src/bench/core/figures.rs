//! What a round gives, and the rows of the table that rounds become.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::programs::{BUSY, GROWTH, GROWTH_OF_PYTHON, LONG, Programs, STORM};
use crate::bench::median;
use crate::bench::table::{Row, Target};
use crate::step::{Failure, say};

/// Messages of each stream that Python is given.
const PYTHON_BUSY: u32 = 20_000;
const PYTHON_GROWTH: u32 = 400;
const PYTHON_LONG: u32 = 50_000;

/// What `measure limit` prints.
#[derive(Deserialize)]
struct Limit {
    read_and_write_per_cpu_s: f64,
}

/// What `measure core` prints.
#[derive(Deserialize)]
pub(in super::super) struct Core {
    phases: BTreeMap<String, Phase>,
    /// The coordinator's own messages, by type.
    said: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Phase {
    cpu_s: f64,
    msg_per_cpu_s: f64,
    slices: Vec<Slice>,
    each_us: Vec<f64>,
}

#[derive(Deserialize)]
struct Slice {
    messages: f64,
    msg_per_cpu_s: f64,
    resident_kib: f64,
}

/// What the driver of the Python reference prints.
#[derive(Deserialize)]
struct Python {
    phases: BTreeMap<String, PythonPhase>,
}

#[derive(Deserialize)]
struct PythonPhase {
    messages: f64,
    cpu_share: f64,
    core_s: f64,
    parse_s: f64,
    ser_s: f64,
    pair_us: Option<PythonPair>,
}

#[derive(Deserialize)]
struct PythonPair {
    pair_median: f64,
}

impl PythonPhase {
    /// Seconds of a processor, reading and writing included.
    fn seconds(&self) -> f64 {
        (self.parse_s + self.core_s + self.ser_s) * self.cpu_share
    }
}

/// The figures of one round.
#[derive(Serialize)]
pub(super) struct Round {
    limit: f64,
    busy: f64,
    /// Last quarter over first quarter.
    busy_pace: f64,
    /// Microseconds a pair, by live intents.
    growth: BTreeMap<u32, f64>,
    /// Microseconds a conflict, from its report to its resolution, by participants.
    storm: BTreeMap<u32, f64>,
    long: f64,
    /// Last quarter over second quarter.
    long_pace: f64,
    /// Bytes that resident memory grew by with each message, after the first quarter.
    long_growth: f64,
    python: Option<OfPython>,
}

#[derive(Serialize)]
struct OfPython {
    busy: f64,
    growth: f64,
    storm: f64,
    long: f64,
}

impl Round {
    /// Runs everything once.
    pub(super) fn take(programs: &Programs) -> Result<Self, Failure> {
        let limit: Limit = programs.measure("limit", BUSY)?;
        let busy: Core = programs.measure("core", BUSY)?;
        let busy = busy.phase("stream")?;
        let growth = GROWTH.into_iter().map(|(live, stream)| {
            let core: Core = programs.measure("core", stream)?;
            Ok((live, median(core.phase("pairs")?.each_us.chunks(2).map(|pair| pair.iter().sum()).collect())))
        });
        let growth = growth.collect::<Result<_, Failure>>()?;
        let storm = STORM.into_iter().map(|(people, stream)| {
            let core: Core = programs.measure("core", stream)?;
            let conflicts = core.conflicts(people)?;
            let seconds = core.phase("announce")?.cpu_s + core.phase("withdraw")?.cpu_s;
            Ok((people, seconds * 1e6 / conflicts))
        });
        let storm = storm.collect::<Result<_, Failure>>()?;
        let long: Core = programs.measure("core", LONG)?;
        let long = long.phase("stream")?;
        Ok(Self {
            limit: limit.read_and_write_per_cpu_s,
            busy: busy.msg_per_cpu_s,
            busy_pace: busy.pace(3) / busy.pace(0),
            growth,
            storm,
            long: long.msg_per_cpu_s,
            long_pace: long.pace(3) / long.pace(1),
            long_growth: long.growth(),
            python: if programs.with_python { Some(OfPython::take(programs)?) } else { None },
        })
    }

    /// For who waits.
    pub(super) fn summary(&self) -> String {
        format!(
            "W1 {:.0} messages/s, {:.2} of the limit; W4 {:.0} messages/s",
            self.busy,
            self.busy / self.limit,
            self.long
        )
    }
}

impl OfPython {
    fn take(programs: &Programs) -> Result<Self, Failure> {
        say("the Python reference: some 20 seconds");
        let busy: Python = programs.python(BUSY, PYTHON_BUSY)?;
        let growth: Python = programs.python(GROWTH_OF_PYTHON, PYTHON_GROWTH)?;
        let (people, storm_stream) = STORM[1];
        let storm: Python = programs.python(storm_stream, people)?;
        let long: Python = programs.python(LONG, PYTHON_LONG)?;
        let rate = |phase: &PythonPhase| phase.messages / phase.seconds();
        let pair = python_phase(&growth, "pairs")?.pair_us.as_ref();
        Ok(Self {
            busy: rate(python_phase(&busy, "stream")?),
            growth: pair.map(|pair| pair.pair_median).ok_or_else(|| lacks("pair_us"))?,
            storm: (python_phase(&storm, "announce")?.seconds()
                + python_phase(&storm, "withdraw")?.seconds())
                * 1e6
                / pairs_of(people),
            long: rate(python_phase(&long, "stream")?),
        })
    }
}

impl Core {
    fn phase(&self, name: &str) -> Result<&Phase, Failure> {
        self.phases.get(name).ok_or_else(|| lacks(name))
    }

    /// How many conflicts there were: one for every two participants, or the workload is not what it says.
    pub(in super::super) fn conflicts(&self, people: u32) -> Result<f64, Failure> {
        let conflicts = pairs_of(people);
        for kind in ["CONFLICT_REPORT", "RESOLUTION"] {
            let found = self.said.get(kind).copied().unwrap_or_default();
            if (found as f64 - conflicts).abs() > 0.5 {
                let problem =
                    format!("{people} participants on one file led to {found} {kind}, not {conflicts}");
                return Err(Failure::check(problem));
            }
        }
        Ok(conflicts)
    }
}

impl Phase {
    /// Messages a second in a quarter, counted from 0.
    fn pace(&self, quarter: usize) -> f64 {
        let length = self.slices.len() / 4;
        let slices = self.slices.iter().skip(quarter * length).take(length);
        median(slices.map(|slice| slice.msg_per_cpu_s).collect())
    }

    fn growth(&self) -> f64 {
        let warm = self.slices.get(self.slices.len() / 4..).unwrap_or_default();
        let (Some(first), Some(last)) = (warm.first(), warm.last()) else { return 0.0 };
        let messages: f64 = warm.iter().skip(1).map(|slice| slice.messages).sum();
        (last.resident_kib - first.resident_kib) * 1024.0 / messages.max(1.0)
    }
}

fn python_phase<'a>(python: &'a Python, name: &str) -> Result<&'a PythonPhase, Failure> {
    python.phases.get(name).ok_or_else(|| lacks(name))
}

fn lacks(name: &str) -> Failure {
    Failure::check(format!("the figures of a measured program lack `{name}`"))
}

fn pairs_of(people: u32) -> f64 {
    f64::from(people) * f64::from(people - 1) / 2.0
}

/// The table, from the medians of all rounds.
pub(super) fn rows(rounds: &[Round]) -> Vec<Row> {
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let by = |map: fn(&Round) -> &BTreeMap<u32, f64>, key: u32| {
        median(rounds.iter().filter_map(|round| map(round).get(&key).copied()).collect())
    };
    let (limit, busy) = (of(|it| it.limit), of(|it| it.busy));
    let mut rows = vec![
        Row::new("W1 busy team", "messages/s", busy, limit)
            .beside("serde_json, typed")
            .target(Target::AtLeast(0.6)),
        // Told and not judged: in the first quarter the records that are kept of what is over are still few.
        Row::new("W1 last quarter / first", "", of(|it| it.busy_pace), 1.0),
    ];
    let few = by(|it| &it.growth, GROWTH[0].0);
    for (live, _) in GROWTH {
        let row =
            Row::new(format!("W2 pair beside {live} live intents"), "µs", by(|it| &it.growth, live), few);
        let row = row.beside("the same beside 100");
        rows.push(if live == 100_000 { row.target(Target::AtMost(1.3)) } else { row });
    }
    let small = by(|it| &it.storm, STORM[0].0);
    for (people, _) in STORM {
        let what = format!("W3 conflict, {} of them", pairs_of(people));
        let row = Row::new(what, "µs", by(|it| &it.storm, people), small).beside("the same among 4950");
        rows.push(if people == 400 { row.target(Target::AtMost(1.3)) } else { row });
    }
    let long = of(|it| it.long);
    rows.extend([
        Row::new("W4 long session", "messages/s", long, limit).beside("serde_json, typed, of W1"),
        Row::new("W4 last quarter / second", "", of(|it| it.long_pace), 1.0).target(Target::AtLeast(0.9)),
        Row::new("W4 memory growth", "bytes/message", of(|it| it.long_growth), 1.0)
            .target(Target::AtMost(1.0)),
    ]);
    rows.extend(beside_python(rounds, busy, few, by(|it| &it.storm, STORM[1].0), long));
    rows
}

/// How many times as fast as the reference, each on the beginning of the stream.
fn beside_python(rounds: &[Round], busy: f64, pair: f64, conflict: f64, long: f64) -> Vec<Row> {
    const NAME: &str = "Python 0.1.0";
    let python: Vec<&OfPython> = rounds.iter().filter_map(|round| round.python.as_ref()).collect();
    if python.is_empty() {
        return Vec::new();
    }
    let of = |figure: fn(&OfPython) -> f64| median(python.iter().map(|round| figure(round)).collect());
    vec![
        Row::new("W1 busy team", "messages/s", busy, of(|it| it.busy))
            .beside(NAME)
            .target(Target::AtLeast(50.0)),
        Row::new("W2 pair beside 100 live intents", "µs", pair, of(|it| it.growth)).beside(NAME),
        Row::new("W3 conflict, 19900 of them", "µs", conflict, of(|it| it.storm)).beside(NAME),
        Row::new("W4 long session", "messages/s", long, of(|it| it.long)).beside(NAME),
    ]
}
