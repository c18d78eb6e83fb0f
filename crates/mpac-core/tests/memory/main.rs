//! A session stays within a bound, however long it runs (SES-27). A binary of its own: it counts every allocation.

#[path = "../../benches/load/long.rs"]
mod long;
#[path = "../../benches/load/session.rs"]
mod session;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Names the requirements a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}

fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// One test only: another one beside it would be counted with it.
#[test]
fn a_session_that_goes_on_does_not_grow() {
    covers!("SES-27");
    let messages = std::env::var("MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let tenths = long::feed(messages, 1_000, live);
    assert!(long::is_flat(&tenths), "live bytes after each tenth of {messages} messages: {tenths:?}");
}
