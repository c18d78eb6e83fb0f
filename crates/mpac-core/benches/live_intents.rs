//! What a message costs with 100 and with 100,000 live intents that it does not touch.
//!
//! `cargo bench -p mpac-core --bench live_intents`; the ratios come last, from rounds taken in turn, and the bench fails
//! when one is not below the limit.

#[path = "load/session.rs"]
mod session;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use session::{Session, announce, commit, config, files_scope, withdraw};

/// How many intents live beside what is measured.
const LIVE: [usize; 2] = [100, 100_000];
/// Participants, sharing the live intents.
const MEMBERS: usize = 100;
/// A cost may grow by less than this.
const LIMIT: f64 = 1.5;
/// Rounds for each ratio, and messages or pairs in a round.
const ROUNDS: usize = 101;
const IN_A_ROUND: u64 = 40;

/// A session that is never used up: it counts what it made.
struct Busy {
    session: Session,
    next: u64,
}

impl Busy {
    fn new(live: usize) -> Self {
        let mut session = Session::new(config(), MEMBERS);
        for n in 0..live {
            let files = [0, 1, 2].map(|file| format!("src/live/{n}/file{file}.py"));
            session.announce(n % MEMBERS, &format!("live-{n}"), &files);
        }
        assert!(session.is_active(&format!("live-{}", live - 1)), "the set-up did not take");
        Self { session, next: 0 }
    }

    /// Time for so many messages, or pairs of them, without writing them.
    fn run(&mut self, what: &What, count: u64) -> Duration {
        let mut frames = Vec::new();
        for _ in 0..count {
            self.next += 1;
            (what.write)(self, &mut frames);
        }
        let begin = Instant::now();
        for (who, text) in &frames {
            let _ = black_box(self.session.take(*who, text));
        }
        begin.elapsed()
    }
}

/// One kind of message, or a pair.
struct What {
    name: &'static str,
    write: fn(&mut Busy, &mut Vec<(usize, String)>),
}

const ALL: [What; 4] = [
    What { name: "announce+withdraw", write: announce_and_withdraw },
    What { name: "commit", write: one_commit },
    What { name: "commit without intent", write: uncoordinated },
    What { name: "heartbeat", write: heartbeat },
];

fn announce_and_withdraw(busy: &mut Busy, frames: &mut Vec<(usize, String)>) {
    let (n, who) = (busy.next, busy.next as usize % MEMBERS);
    let files = [0, 1, 2].map(|file| format!("src/new/{n}/file{file}.py"));
    let id = format!("new-{n}");
    frames.push((who, busy.session.frame(who, "INTENT_ANNOUNCE", &announce(&id, &files_scope(&files)))));
    frames.push((who, busy.session.frame(who, "INTENT_WITHDRAW", &withdraw(&id))));
}

fn one_commit(busy: &mut Busy, frames: &mut Vec<(usize, String)>) {
    let n = busy.next;
    let payload = commit(&format!("op-{n}"), "live-7", &format!("src/live/7/{n}.py"), 0, n);
    frames.push((7, busy.session.frame(7, "OP_COMMIT", &payload)));
}

fn uncoordinated(busy: &mut Busy, frames: &mut Vec<(usize, String)>) {
    let n = busy.next;
    let payload = commit(&format!("op-{n}"), "none", &format!("src/other/{n}.py"), 0, n);
    frames.push((7, busy.session.frame(7, "OP_COMMIT", &payload)));
}

fn heartbeat(busy: &mut Busy, frames: &mut Vec<(usize, String)>) {
    let who = busy.next as usize % MEMBERS;
    frames.push((who, busy.session.frame(who, "HEARTBEAT", r#"{"status":"working"}"#)));
}

fn main() {
    let mut sessions = LIVE.map(Busy::new);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    for what in &ALL {
        let mut group = criterion.benchmark_group(what.name);
        group.throughput(Throughput::Elements(1));
        for (live, busy) in LIVE.iter().zip(&mut sessions) {
            group.bench_function(live.to_string(), |bencher| {
                bencher.iter_custom(|count| busy.run(what, count));
            });
        }
        group.finish();
    }
    criterion.final_summary();
    // What was measured so far has left its finished records behind; ratios are those of fresh sessions.
    let mut sessions = LIVE.map(Busy::new);
    println!("{:<24} {:>12} {:>12} {:>7}", "microseconds each, with", "100 live", "100,000", "ratio");
    let mut met = true;
    for what in &ALL {
        let [few, many] = medians(what, &mut sessions);
        let ratio = many / few;
        met &= ratio < LIMIT;
        println!("{:<24} {few:>12.2} {many:>12.2} {ratio:>7.2}", what.name);
    }
    assert!(met, "a ratio is not below {LIMIT}");
}

/// Medians of rounds taken in turn, so that whatever else the machine does falls on both.
fn medians(what: &What, sessions: &mut [Busy; 2]) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (busy, times) in sessions.iter_mut().zip(&mut times) {
            times.push(busy.run(what, IN_A_ROUND).as_secs_f64() * 1e6 / IN_A_ROUND as f64);
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    })
}
