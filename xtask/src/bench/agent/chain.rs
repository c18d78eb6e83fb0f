//! The model's critical path, from the stand-in's log of calls.

use serde::{Deserialize, Serialize};

/// One call that was answered; times in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Call {
    /// `plan`, `decide` or `write`.
    #[serde(rename = "answered")]
    pub(super) kind: String,
    /// Who asked.
    pub(super) agent: String,
    /// When the whole question was there.
    pub(super) began: f64,
    /// When the last byte of the answer was out.
    pub(super) ended: f64,
}

/// Calls one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Chain {
    /// How many.
    pub(super) calls: usize,
    /// How long they took together.
    pub(super) seconds: f64,
}

impl Chain {
    fn and(self, call: &Call) -> Self {
        Self { calls: self.calls + 1, seconds: self.seconds + call.ended - call.began }
    }
}

/// The longest chain of calls each of which began after the one before had ended, whoever made them.
pub(super) fn longest(calls: &[Call]) -> Chain {
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by(|a, b| a.ended.total_cmp(&b.ended));
    // The longest chain of the first so many calls.
    let mut best = vec![Chain::default()];
    for (at, call) in calls.iter().enumerate() {
        let before = calls[..at].partition_point(|earlier| earlier.ended <= call.began);
        let with = best[before].and(call);
        let without = best[at];
        best.push(if with.seconds > without.seconds { with } else { without });
    }
    best.pop().unwrap_or_default()
}

/// The longest of the agents' own paths: of each, the union of its own calls.
pub(super) fn own(calls: &[Call]) -> Chain {
    let mut agents: Vec<&str> = calls.iter().map(|call| call.agent.as_str()).collect();
    agents.sort_unstable();
    agents.dedup();
    let path = |agent: &str| {
        let mut its: Vec<&Call> = calls.iter().filter(|call| call.agent == agent).collect();
        its.sort_by(|a, b| a.began.total_cmp(&b.began));
        let (mut path, mut covered) = (Chain::default(), f64::NEG_INFINITY);
        for call in its {
            if call.began >= covered {
                path.calls += 1;
            }
            path.seconds += (call.ended - call.began.max(covered)).max(0.0);
            covered = covered.max(call.ended);
        }
        path
    };
    agents.into_iter().map(path).max_by(|a, b| a.seconds.total_cmp(&b.seconds)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(agent: &str, began: f64, ended: f64) -> Call {
        Call { kind: "write".to_owned(), agent: agent.to_owned(), began, ended }
    }

    fn is(chain: Chain, calls: usize, seconds: f64) {
        assert!(chain.calls == calls && (chain.seconds - seconds).abs() < 1e-9, "{chain:?}");
    }

    #[test]
    fn calls_at_the_same_time_count_once() {
        let both = [call("A", 0.0, 2.0), call("B", 0.1, 2.1)];
        is(longest(&both), 1, 2.0);
        is(own(&both), 1, 2.0);
        is(longest(&[]), 0, 0.0);
        is(own(&[]), 0, 0.0);
    }

    #[test]
    fn who_waits_for_another_s_text_goes_on_with_its_chain() {
        // B plans beside A, waits for A's text, and writes.
        let calls = [call("A", 0.0, 2.0), call("B", 0.1, 2.1), call("A", 2.0, 4.0), call("B", 4.5, 6.5)];
        is(longest(&calls), 3, 6.0);
        is(own(&calls), 2, 4.0);
    }

    #[test]
    fn of_two_ways_the_longer_one_counts() {
        let calls = [call("A", 0.0, 5.0), call("B", 0.0, 1.0), call("B", 1.0, 2.0), call("B", 5.5, 6.0)];
        is(longest(&calls), 2, 5.5);
    }

    #[test]
    fn calls_of_one_agent_that_overlap_are_its_path_once() {
        is(own(&[call("A", 0.0, 2.0), call("A", 1.0, 3.0), call("A", 4.0, 5.0)]), 2, 4.0);
    }
}
