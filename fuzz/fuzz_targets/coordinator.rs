//! Any frames, from two connections, some time apart: the coordinator goes on, and what it is can be written down and read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mpac_core::{ConnId, Coordinator, IdSource, Input, Peer, SessionConfig};
use mpac_wire::{SessionId, Timestamp};

/// 2026-01-02T03:04:05Z in microseconds.
const BEGIN: i64 = 1_767_323_045_000_000;

fuzz_target!(|text: &str| {
    let config = SessionConfig::new(SessionId::new("default").expect("a name"));
    let mut now = Timestamp::from_micros(BEGIN);
    let mut coordinator = Coordinator::new(config.clone(), IdSource::new(7), now).expect("a configuration");
    for (count, line) in (0..).zip(text.lines().take(50)) {
        // A line that begins with a digit comes so many minutes later.
        let minutes = i64::from(line.chars().next().and_then(|first| first.to_digit(10)).unwrap_or_default());
        let frame = line.trim_start_matches(|first: char| first.is_ascii_digit());
        now = Timestamp::from_micros(now.micros() + 1_000 + minutes * 60_000_000);
        let from = Peer::unproven(ConnId(count % 2));
        for input in [Input::Timeout, Input::Frame { from, text: frame.into() }] {
            let record = coordinator.stamp(now, input);
            let step = coordinator.apply(&record).expect("in its order");
            for output in &step.outputs {
                // What is told to people has to be writable.
                let _ = format!("{output:?}");
            }
        }
    }
    assert!(coordinator.indexes_are_sound(), "what is derived is what would be derived");
    let again = Coordinator::load(config, &coordinator.snapshot()).expect("what was written can be read");
    assert_eq!(again.essence(), coordinator.essence());
});
