//! How much memory a session holds: flat over a million messages, and bytes for each kind of thing.
//!
//! `cargo bench -p mpac-core --bench memory`; the shorter run of `tests/memory` is part of the tests.

#[path = "load/each.rs"]
mod each;
#[path = "load/long.rs"]
mod long;
#[path = "load/session.rs"]
mod session;

use std::alloc::System;
use std::time::Instant;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn main() {
    println!("{:<44} {:>7}", "bytes each, ids of 8 to 16 characters", "");
    for (what, bytes) in each::each(live) {
        println!("{what:<44} {bytes:>7}");
    }
    let begin = Instant::now();
    let tenths = long::feed(1_000_000, 10_000, live);
    println!(
        "\nlive bytes over a million messages, after each tenth ({:.1} s)",
        begin.elapsed().as_secs_f64()
    );
    for (tenth, bytes) in (1..).zip(&tenths) {
        println!("{:>8},000 {bytes:>12}", tenth * 100);
    }
    assert!(long::is_flat(&tenths), "it grows");
}
