//! What a message costs with 100 and with 100,000 live intents that it does not touch, and what an announce costs beside
//! deferrals and claims of others.
//!
//! `cargo bench -p mpac-core --bench live_intents`; the ratios come last, from rounds taken in turn, and the bench fails
//! when one is not below the limit.

#[path = "load/session.rs"]
mod session;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use mpac_core::ProtocolLevel;
use mpac_wire::names::ComplianceProfile;
use session::{Session, announce, commit, config, files_scope, withdraw};

/// Participants who speak, sharing the live intents; as many again only wait.
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
    fn beside_intents(live: usize) -> Self {
        let mut session = Session::new(config(), MEMBERS);
        for n in 0..live {
            let files = [0, 1, 2].map(|file| format!("src/live/{n}/file{file}.py"));
            session.announce(n % MEMBERS, &format!("live-{n}"), &files);
        }
        assert!(session.is_active(&format!("live-{}", live - 1)), "the set-up did not take");
        Self { session, next: 0 }
    }

    /// Each waits for two live intents.
    fn beside_deferrals(count: usize) -> Self {
        let mut config = config();
        config.level = ProtocolLevel::V0_1_14;
        (config.max_deferrals, config.max_deferrals_each) = (count, count);
        let mut session = Session::new(config, 2 * MEMBERS);
        for n in 0..MEMBERS {
            session.announce(n, &format!("live-{n}"), &[format!("src/live/{n}")]);
        }
        for n in 0..count {
            let (a, b) = (n % MEMBERS, (n + 1) % MEMBERS);
            let payload = format!(
                r#"{{"deferral_id":"d-{n}","scope":{{"kind":"file_set","resources":["src/live/{a}"]}},"observed_intent_ids":["live-{a}","live-{b}"],"ttl_sec":1000000}}"#
            );
            session.say(MEMBERS + n % MEMBERS, "INTENT_DEFERRED", &payload);
        }
        let stand = session.coordinator.snapshot().deferrals.map_or(0, |it| it.len());
        assert_eq!(stand, count, "the set-up did not take");
        Self { session, next: 0 }
    }

    /// Each for an intent that its owner left behind, in a session in which somebody must decide.
    fn beside_claims(count: usize) -> Self {
        let mut config = config();
        config.compliance_profile = ComplianceProfile::Governance;
        let mut session = Session::new(config, 2 * MEMBERS + 1);
        let owner = 2 * MEMBERS;
        for n in 0..count {
            session.announce(owner, &format!("left-{n}"), &[format!("src/left/{n}")]);
        }
        session.say(owner, "GOODBYE", r#"{"reason":"user_exit","intent_disposition":"transfer"}"#);
        for n in 0..count {
            let payload = format!(
                r#"{{"claim_id":"c-{n}","original_intent_id":"left-{n}","original_principal_id":"agent:p{owner}","new_intent_id":"heir-{n}","objective":"o","scope":{{"kind":"file_set","resources":["src/left/{n}"]}}}}"#
            );
            session.say(MEMBERS + n % MEMBERS, "INTENT_CLAIM", &payload);
        }
        let wait = session.coordinator.snapshot().pending_claims.map_or(0, |it| it.len());
        assert_eq!(wait, count, "the set-up did not take");
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

const ANNOUNCE: What = What { name: "announce+withdraw", write: announce_and_withdraw };

/// What there is in a session beside what is said in it.
struct Setting {
    beside: &'static str,
    counts: [usize; 2],
    busy: fn(usize) -> Busy,
    said: &'static [What],
}

const SETTINGS: [Setting; 3] = [
    Setting {
        beside: "live intents",
        counts: [100, 100_000],
        busy: Busy::beside_intents,
        said: &[
            ANNOUNCE,
            What { name: "commit", write: one_commit },
            What { name: "commit without intent", write: uncoordinated },
            What { name: "heartbeat", write: heartbeat },
        ],
    },
    Setting {
        beside: "deferrals of others",
        counts: [100, 20_000],
        busy: Busy::beside_deferrals,
        said: &[ANNOUNCE],
    },
    Setting {
        beside: "claims of others",
        counts: [100, 20_000],
        busy: Busy::beside_claims,
        said: &[ANNOUNCE, What { name: "announce for no time", write: announce_for_no_time }],
    },
];

fn announce_and_withdraw(busy: &mut Busy, frames: &mut Vec<(usize, String)>) {
    let (n, who) = (busy.next, busy.next as usize % MEMBERS);
    let files = [0, 1, 2].map(|file| format!("src/new/{n}/file{file}.py"));
    let id = format!("new-{n}");
    frames.push((who, busy.session.frame(who, "INTENT_ANNOUNCE", &announce(&id, &files_scope(&files)))));
    frames.push((who, busy.session.frame(who, "INTENT_WITHDRAW", &withdraw(&id))));
}

/// Due at once, and swept with the next message: meanwhile a deadline is due that is no claim's.
fn announce_for_no_time(busy: &mut Busy, frames: &mut Vec<(usize, String)>) {
    let (n, who) = (busy.next, busy.next as usize % MEMBERS);
    let mut payload = announce(&format!("brief-{n}"), &files_scope(&[format!("src/brief/{n}.py")]));
    payload.truncate(payload.len() - 1);
    payload.push_str(r#","ttl_sec":0}"#);
    frames.push((who, busy.session.frame(who, "INTENT_ANNOUNCE", &payload)));
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
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    for setting in &SETTINGS {
        let mut sessions = setting.counts.map(setting.busy);
        for what in setting.said {
            let mut group = criterion.benchmark_group(format!("{} beside {}", what.name, setting.beside));
            group.throughput(Throughput::Elements(1));
            for (count, busy) in setting.counts.iter().zip(&mut sessions) {
                group.bench_function(count.to_string(), |bencher| {
                    bencher.iter_custom(|count| busy.run(what, count));
                });
            }
            group.finish();
        }
    }
    criterion.final_summary();
    let mut met = true;
    for setting in &SETTINGS {
        // What was measured so far has left its finished records behind; ratios are those of fresh sessions.
        let mut sessions = setting.counts.map(setting.busy);
        let [few, many] = setting.counts;
        println!("\nmicroseconds each, beside {}", setting.beside);
        println!("{:<24} {few:>12} {many:>12} {:>7}", "", "ratio");
        for what in setting.said {
            let [few, many] = medians(what, &mut sessions);
            let ratio = many / few;
            met &= ratio < LIMIT;
            println!("{:<24} {few:>12.2} {many:>12.2} {ratio:>7.2}", what.name);
        }
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
