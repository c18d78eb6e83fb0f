//! Whether something costs the same however much there is. Instructions tell it without the caches, which are smaller than what
//! many records take up.

use super::callgrind::Callgrind;
use crate::bench::table::{Row, Target};
use crate::step::Failure;

/// Live intents beside a pair of announce and withdraw (W2), and how many pairs the two streams of each have.
const LIVE: [u64; 2] = [100, 10_000];
const PAIRS: [u64; 2] = [500, 1_500];
const MOST_OF_PAIR: f64 = 1.3;
/// Participants who are all in each other's way (W3): linear in the conflicts means that each of them costs the same.
const STORM: [u64; 2] = [100, 200];
const MOST_OF_CONFLICT: f64 = 1.05;

/// Counts both.
///
/// # Errors
/// Something cannot be run; valgrind is missing.
pub(super) fn rows(callgrind: &Callgrind) -> Result<[Row; 2], Failure> {
    let [few, many] = LIVE.map(|live| pair(callgrind, live));
    let what = format!("W2 instructions, {} live intents", LIVE[1]);
    let beside_few = Row::new(what, "", many?, few?).beside("the same beside 100");
    let [few, many] = STORM.map(|people| conflict(callgrind, people));
    let what = format!("W3 instructions, {} conflicts", conflicts(STORM[1]));
    let of_few = Row::new(what, "", many?, few?).beside("the same of 4950");
    Ok([beside_few.target(Target::AtMost(MOST_OF_PAIR)), of_few.target(Target::AtMost(MOST_OF_CONFLICT))])
}

fn pair(callgrind: &Callgrind, live: u64) -> Result<f64, Failure> {
    let [few, many] = PAIRS.map(|pairs| format!("w2_n{live}_p{pairs}"));
    Ok(callgrind.each([&few, &many], PAIRS[1] - PAIRS[0])? as f64)
}

fn conflict(callgrind: &Callgrind, people: u64) -> Result<f64, Failure> {
    Ok((callgrind.all(&format!("w3_n{people}"))? / conflicts(people)) as f64)
}

/// One between any two.
const fn conflicts(people: u64) -> u64 {
    people * (people - 1) / 2
}
