//! A stream through a coordinator: each frame from its text to the texts of everything that it led to.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use mpac_core::{ConnId, Coordinator, IdSource, Output, SessionConfig, Step};
use mpac_wire::{MessageType, SessionId, Timestamp};
use serde::Serialize;
use serde_json::json;

use crate::input::{Input, Part};
use crate::{Failure, clock};

/// 2026-01-01, in microseconds.
const START: i64 = 1_767_225_600_000_000;
/// Microseconds that pass with each frame. By their `ts` the frames are a millisecond apart; at that pace the intents of a
/// long stream would expire within it.
const TICK: i64 = 10;
/// Parts that a long phase is measured in.
const SLICES: usize = 20;
/// A phase of no more frames than this has each of them timed, too.
const SHORT: usize = 5_000;

/// Runs the whole stream and prints what each phase of it took.
///
/// # Errors
/// The stream cannot be read, or a message in it was refused: then it is not the workload that was measured.
pub(crate) fn run(path: &Path) -> Result<(), Failure> {
    let mut input = Input::open(path)?;
    let wrong = |problem: String| Failure::Stream { path: path.into(), problem };
    let id = SessionId::new(input.meta.session_id.as_str()).map_err(|error| wrong(error.to_string()))?;
    let coordinator = Coordinator::new(config(id), IdSource::new(7), Timestamp::from_micros(START));
    let coordinator = coordinator.map_err(|error| wrong(error.to_string()))?;
    let mut run = Run { coordinator, now: START, said: BTreeMap::new(), bytes: 0 };
    let mut phases = BTreeMap::new();
    for (name, lines) in input.meta.phases.clone() {
        phases.insert(name, run.phase(&mut input, lines)?);
    }
    if let Some(refused) = run.said.get(MessageType::ProtocolError.as_str()) {
        return Err(wrong(format!("{refused} of its messages were refused")));
    }
    let about =
        json!({ "driver": "mpac-rs", "workload": input.meta.workload, "phases": phases, "said": run.said });
    println!("{about}");
    Ok(())
}

/// The defaults, but for limits on how much one participant may hold: how much there can be is what is measured.
fn config(id: SessionId) -> SessionConfig {
    let mut config = SessionConfig::new(id);
    let open = &mut config.max_open_each;
    (open.intents, open.conflicts) = (usize::MAX, usize::MAX);
    config
}

/// What a phase took.
#[derive(Serialize)]
struct Taken {
    messages: usize,
    cpu_s: f64,
    msg_per_cpu_s: f64,
    /// Messages that the coordinator wrote and that it passed on.
    outputs: u64,
    /// Of its own.
    written: u64,
    slices: Vec<Slice>,
    /// Microseconds of wall time of each message, in order; of short phases only.
    each_us: Vec<f64>,
}

#[derive(Serialize)]
struct Slice {
    messages: usize,
    msg_per_cpu_s: f64,
    resident_kib: u64,
}

struct Run {
    coordinator: Coordinator,
    now: i64,
    /// The coordinator's own messages, by type.
    said: BTreeMap<String, u64>,
    bytes: usize,
}

impl Run {
    fn phase(&mut self, input: &mut Input, lines: usize) -> Result<Taken, Failure> {
        let mut part = Part::default();
        let mut taken = Taken {
            messages: lines,
            cpu_s: 0.0,
            msg_per_cpu_s: 0.0,
            outputs: 0,
            written: 0,
            slices: Vec::new(),
            each_us: Vec::new(),
        };
        let mut left = lines;
        while left > 0 {
            let now = left.min(lines.div_ceil(SLICES));
            left -= now;
            input.next(now, &mut part)?;
            let senders = part.lines().map(sender).collect::<Option<Vec<_>>>().ok_or_else(|| {
                let problem = "a line has no principal_id agent:aN".to_owned();
                Failure::Stream { path: input.path.clone(), problem }
            })?;
            let cpu = if lines > SHORT {
                self.slice(&part, &senders, &mut taken)?
            } else {
                self.one_by_one(&part, &senders, &mut taken)?
            };
            taken.cpu_s += cpu.as_secs_f64();
            let rate = now as f64 / cpu.as_secs_f64();
            let resident_kib = clock::resident_kib();
            taken.slices.push(Slice { messages: now, msg_per_cpu_s: rate, resident_kib });
        }
        taken.msg_per_cpu_s = lines as f64 / taken.cpu_s;
        Ok(taken)
    }

    #[inline(never)] // callgrind counts in it
    fn slice(&mut self, part: &Part, senders: &[ConnId], taken: &mut Taken) -> Result<Duration, Failure> {
        let begin = clock::cpu()?;
        for (text, conn) in part.lines().zip(senders) {
            let step = self.take(*conn, text);
            self.carry_out(step, taken);
        }
        Ok(clock::cpu()? - begin)
    }

    #[inline(never)] // as above
    fn one_by_one(
        &mut self,
        part: &Part,
        senders: &[ConnId],
        taken: &mut Taken,
    ) -> Result<Duration, Failure> {
        let begin = clock::cpu()?;
        for (text, conn) in part.lines().zip(senders) {
            let begin = Instant::now();
            let step = self.take(*conn, text);
            self.carry_out(step, taken);
            taken.each_us.push(begin.elapsed().as_secs_f64() * 1e6);
        }
        Ok(clock::cpu()? - begin)
    }

    fn take(&mut self, conn: ConnId, text: &str) -> Step {
        self.now += TICK;
        self.coordinator.handle_frame(Timestamp::from_micros(self.now), conn, text)
    }

    /// As a host does: the coordinator's own messages become text; what is passed on is text.
    fn carry_out(&mut self, step: Step, taken: &mut Taken) {
        for output in step.outputs {
            match output {
                Output::Send { envelope, .. } => {
                    let text = black_box(envelope.to_json());
                    self.bytes += text.len();
                    taken.outputs += 1;
                    taken.written += 1;
                    match self.said.get_mut(envelope.message_type.as_str()) {
                        Some(count) => *count += 1,
                        None => drop(self.said.insert(envelope.message_type.as_str().to_owned(), 1)),
                    }
                }
                Output::Relay { text, .. } => {
                    self.bytes += black_box(text).len();
                    taken.outputs += 1;
                }
                Output::Workspace { .. }
                | Output::Answer { .. }
                | Output::HangUp { .. }
                | Output::Notice(_) => {}
            }
        }
    }
}

/// Every participant has a connection of its own.
fn sender(line: &str) -> Option<ConnId> {
    let (_, behind) = line.split_once(r#""principal_id":"agent:a"#)?;
    behind.get(..4)?.parse().ok().map(ConnId)
}
