//! What a session holds of each kind of thing.

use crate::long::Live;
use crate::session::{Session, commit, config, withdraw};

/// Bytes for each live thing of a kind, beyond what an empty session holds.
pub(crate) fn each(live: Live) -> Vec<(&'static str, usize)> {
    const COUNT: usize = 10_000;
    let roomy = || {
        let mut config = config();
        config.retained_records = 10 * COUNT;
        config
    };
    let measure = |members: usize, fill: &dyn Fn(&mut Session)| {
        let mut session = Session::new(roomy(), members);
        let before = live();
        fill(&mut session);
        (live() - before) / COUNT
    };
    let mut rows = Vec::new();
    let before = live();
    let session = Session::new(roomy(), COUNT);
    rows.push(("participant, connected", (live() - before) / COUNT));
    drop(session);
    rows.push((
        "intent on three files",
        measure(1, &|session| {
            for n in 0..COUNT {
                let files = [0, 1, 2].map(|file| format!("src/{n}/{file}.py"));
                session.announce(0, &format!("intent-{n}"), &files);
            }
        }),
    ));
    rows.push((
        "finished intent on three files",
        measure(1, &|session| {
            for n in 0..COUNT {
                let files = [0, 1, 2].map(|file| format!("src/{n}/{file}.py"));
                session.announce(0, &format!("intent-{n}"), &files);
                session.say(0, "INTENT_WITHDRAW", &withdraw(&format!("intent-{n}")));
            }
        }),
    ));
    rows.push((
        "operation, committed, on one of few files",
        measure(1, &|session| {
            session.announce(0, "intent", &["a".into()]);
            for n in 0..COUNT as u64 {
                session.say(0, "OP_COMMIT", &commit(&format!("operation-{n}"), "intent", "a", n, n + 1));
            }
        }),
    ));
    rows.push((
        "operation, committed, on a file of its own",
        measure(1, &|session| {
            for n in 0..COUNT as u64 {
                let target = format!("src/{n}/main.py");
                session.say(0, "OP_COMMIT", &commit(&format!("operation-{n}"), "none", &target, 0, 1));
            }
        }),
    ));
    rows.push((
        "conflict of two intents, open",
        // 142 on one file are 10,011 pairs.
        measure(1, &|session| {
            for n in 0..142 {
                session.announce(0, &format!("intent-{n}"), &["a".into()]);
            }
        }),
    ));
    rows
}
