//! Whether something costs the same however much there is. Instructions tell it without the caches, which are smaller than what
//! many records take up.

use super::callgrind::Callgrind;
use crate::bench::table::{Row, Target};
use crate::step::Failure;

/// Live intents beside a pair of announce and withdraw (W2), and how many pairs the two streams of each have.
const LIVE: [u64; 2] = [100, 10_000];
const PAIRS: [u64; 2] = [500, 1_500];
const MOST_OF_PAIR: f64 = 1.1;
/// Participants who are all in each other's way (W3), and their stream: linear in the conflicts means that each of them costs the
/// same. Start and end of the program are a hundredth of the smaller one.
const STORM: [(u32, &str); 2] = [(100, "w3_n100"), (200, "w3")];
const MOST_OF_CONFLICT: f64 = 1.05;

/// Counts both.
///
/// # Errors
/// Something cannot be run, or is not the workload; valgrind is missing.
pub(super) fn rows(callgrind: &Callgrind) -> Result<[Row; 2], Failure> {
    let [few, many] = LIVE.map(|live| pair(callgrind, live));
    let pair = Row::new("W2 instructions, 10000 live intents", "", many?, few?).beside("the same beside 100");
    let [few, many] = STORM.map(|(people, stream)| conflict(callgrind, people, stream));
    let conflict = Row::new("W3 instructions, 19900 conflicts", "", many?, few?).beside("the same of 4950");
    Ok([pair.target(Target::AtMost(MOST_OF_PAIR)), conflict.target(Target::AtMost(MOST_OF_CONFLICT))])
}

fn pair(callgrind: &Callgrind, live: u64) -> Result<f64, Failure> {
    let [few, many] = PAIRS.map(|pairs| format!("w2_n{live}_p{pairs}"));
    Ok(callgrind.each([&few, &many], PAIRS[1] - PAIRS[0])? as f64)
}

fn conflict(callgrind: &Callgrind, people: u32, stream: &str) -> Result<f64, Failure> {
    let (all, core) = callgrind.all(stream)?;
    Ok((all as f64 / core.conflicts(people)?).round())
}
