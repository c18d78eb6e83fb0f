//! The functions that nearly every message goes through, one by one: reading an envelope and a payload, writing an
//! envelope, comparing scopes, announcing, committing.
//!
//! `cargo bench -p mpac-core --bench hot`, or with a part of a name behind it. `cargo xtask bench core` measures whole workloads.

#[path = "load/session.rs"]
mod session;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use mpac_core::scope::{Names, ScopeIndex, overlap};
use mpac_wire::{Envelope, Frame, IntentId, Limits, Received, Scope};
use session::{Session, announce, commit, config, files_scope, withdraw};

/// Participants.
const MEMBERS: usize = 50;

/// Three files of a module.
fn files(n: u64) -> [String; 3] {
    [0, 1, 2].map(|file| format!("src/module_{:03}/file_{n:05}_{file}.rs", n % 200))
}

/// One frame of each common kind.
fn frames() -> [(&'static str, String); 4] {
    let mut session = Session::new(config(), 1);
    let mut frame = |kind: &'static str, payload: &str| (kind, session.frame(0, kind, payload));
    [
        frame("INTENT_ANNOUNCE", &announce("intent-00-00001", &files_scope(&files(1)))),
        frame("OP_COMMIT", &commit("op-000001", "intent-00-00001", &files(1)[0], 1, 2)),
        frame("HEARTBEAT", r#"{"status":"working","active_intent_id":"intent-00-00001"}"#),
        frame("INTENT_WITHDRAW", &withdraw("intent-00-00001")),
    ]
}

fn received(text: &str) -> Envelope {
    Received::parse(text, &Limits::default()).expect("the frames are messages").envelope().clone()
}

fn decode(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("decode");
    for (kind, text) in frames() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::new("envelope", kind), text.as_str(), |bencher, text| {
            bencher.iter(|| Frame::parse(black_box(text), &limits));
        });
        let envelope = received(&text);
        group.bench_with_input(BenchmarkId::new("payload", kind), &envelope, |bencher, envelope| {
            bencher.iter(|| black_box(envelope).message());
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (kind, text) in frames() {
        let envelope = received(&text);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(kind), &envelope, |bencher, envelope| {
            bencher.iter(|| black_box(envelope).to_json());
        });
    }
    group.finish();
}

fn scopes(criterion: &mut Criterion) {
    let names = Names::default();
    let (one, other) = (Scope::files(files(1)), Scope::files(files(2)));
    criterion.bench_function("scope/two compared", |bencher| {
        bencher.iter(|| overlap(&names, black_box(&one), black_box(&other)));
    });
    let mut group = criterion.benchmark_group("scope/one among");
    for live in [100, 10_000] {
        let mut index: ScopeIndex = ScopeIndex::default();
        for n in 0..live {
            let id = IntentId::new(format!("intent-{n}")).expect("neither empty nor too long");
            index.insert(&id, &Scope::files(files(n)));
        }
        group.bench_with_input(BenchmarkId::from_parameter(live), &one, |bencher, scope| {
            bencher.iter(|| index.overlaps(black_box(scope)));
        });
    }
    group.finish();
}

/// A session in which work goes on, and how much was done in it.
struct Work {
    session: Session,
    done: u64,
}

impl Work {
    fn new() -> Self {
        Self { session: Session::new(config(), MEMBERS), done: 0 }
    }

    /// Time for so many pieces of work, without writing the messages. Only the measured one of each piece counts.
    fn run(&mut self, count: u64, measured: &str) -> Duration {
        let mut time = Duration::ZERO;
        for _ in 0..count {
            let (n, who) = (self.done, self.done as usize % MEMBERS);
            self.done += 1;
            let id = format!("intent-{n}");
            let piece = [
                ("INTENT_ANNOUNCE", announce(&id, &files_scope(&files(n)))),
                ("OP_COMMIT", commit(&format!("op-{n}"), &id, &files(n)[0], 0, 1)),
                ("INTENT_WITHDRAW", withdraw(&id)),
            ];
            for (kind, payload) in piece {
                let text = self.session.frame(who, kind, &payload);
                let begin = Instant::now();
                let _ = black_box(self.session.take(who, &text));
                if kind == measured {
                    time += begin.elapsed();
                }
            }
        }
        time
    }
}

fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coordinator");
    for kind in ["INTENT_ANNOUNCE", "OP_COMMIT", "INTENT_WITHDRAW"] {
        let mut work = Work::new();
        group.bench_function(kind, |bencher| bencher.iter_custom(|count| work.run(count, kind)));
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for bench in [decode, encode, scopes, messages] {
        bench(&mut criterion);
    }
    criterion.final_summary();
}
