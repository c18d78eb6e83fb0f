//! A session that goes on and on: heartbeats, commits, batches, intents that come and end, conflicts that are dismissed
//! or resolved, people who leave and return, some as other processes; and what it holds of each kind of thing.

use mpac_core::{Output, SessionConfig};
use mpac_wire::Message;

use crate::session::{Session, announce, commit, config, files_scope, withdraw};

/// Contributors; one more is an owner.
const MEMBERS: usize = 50;
/// Files that are worked on, over and over.
const FILES: u64 = 5_000;

/// Live bytes, as the binary's allocator counts them.
pub(crate) type Live = fn() -> usize;

/// Feeds about so many messages and says what was live after each tenth of them.
pub(crate) fn feed(messages: u64, retained: usize, live: Live) -> Vec<usize> {
    let before = live();
    let mut config = config();
    config.retained_records = retained;
    let mut long = Long::new(config);
    let mut tenths = Vec::new();
    while tenths.len() < 10 {
        long.round();
        if long.session.sent() >= messages * (tenths.len() as u64 + 1) / 10 {
            tenths.push(live() - before);
        }
    }
    tenths
}

/// Whether nothing grew from the fourth tenth on, but for what falls to where in a round the samples are taken.
pub(crate) fn is_flat(tenths: &[usize]) -> bool {
    let warm = tenths.get(3..).unwrap_or_default();
    let (least, most) = (warm.iter().min(), warm.iter().max());
    least.zip(most).is_some_and(|(least, most)| most - least <= least / 20)
}

/// The id of the conflict that an output reports.
fn reported(output: &Output) -> Option<String> {
    let Output::Send { envelope, .. } = output else { return None };
    match envelope.message() {
        Ok(Message::ConflictReport(report)) => Some(report.conflict_id.to_string()),
        _ => None,
    }
}

struct Long {
    session: Session,
    round: u64,
    /// How often each file was changed.
    changes: Vec<u64>,
}

impl Long {
    fn new(config: SessionConfig) -> Self {
        let mut session = Session::new(config, MEMBERS);
        session.join_as_owner();
        session.tick = 1_000;
        Self { session, round: 0, changes: vec![0; FILES as usize] }
    }

    fn change(&mut self, op: &str, intent: &str, file: u64) -> String {
        let before = self.changes[file as usize];
        self.changes[file as usize] += 1;
        commit(op, intent, &format!("src/{file}"), before, before + 1)
    }

    /// Somebody does a piece of work; now and then it is in somebody's way, or somebody goes and returns.
    fn round(&mut self) {
        let n = self.round;
        self.round += 1;
        let who = (n % MEMBERS as u64) as usize;
        let (id, first) = (format!("i{n}"), n * 3 % FILES);
        let scope = files_scope(&[0, 1, 2].map(|file| format!("src/{}", (first + file) % FILES)));
        self.session.say(who, "INTENT_ANNOUNCE", &announce(&id, &scope));
        match n % 10 {
            0 => self.quarrel(n, who, &scope, "rejected"),
            1 => self.quarrel(n, who, &scope, "dismissed"),
            2 => self.batch(n, who, &id, first),
            3 => self.leave(who),
            _ => {
                for op in 0..3 {
                    let payload = self.change(&format!("o{n}-{op}"), &id, (first + op) % FILES);
                    self.session.say(who, "OP_COMMIT", &payload);
                }
            }
        }
        self.session.say(who, "HEARTBEAT", r#"{"status":"working"}"#);
        self.session.say(who, "INTENT_WITHDRAW", &withdraw(&id));
    }

    /// Another one wants the same, and gives up, or the owner decides.
    fn quarrel(&mut self, n: u64, who: usize, scope: &str, decision: &str) {
        let (other, theirs) = ((who + 1) % MEMBERS, format!("j{n}"));
        let outputs = self.session.say(other, "INTENT_ANNOUNCE", &announce(&theirs, scope));
        if decision == "rejected" {
            for conflict in outputs.iter().filter_map(reported) {
                let payload = format!(
                    r#"{{"resolution_id":"r{n}-{conflict}","conflict_id":"{conflict}","decision":"rejected","rationale":"r","outcome":{{"rejected":["{theirs}"]}}}}"#
                );
                self.session.say(MEMBERS, "RESOLUTION", &payload);
            }
        }
        self.session.say(other, "INTENT_WITHDRAW", &withdraw(&theirs));
    }

    fn batch(&mut self, n: u64, who: usize, id: &str, first: u64) {
        let entry = |op: u64, long: &mut Self| {
            let mut entry = long.change(&format!("b{n}-{op}"), id, (first + op) % FILES);
            entry = entry.replace(&format!(r#""intent_id":"{id}","#), "");
            entry
        };
        let entries = [entry(0, self), entry(1, self)].join(",");
        let payload = format!(
            r#"{{"batch_id":"b{n}","atomicity":"all_or_nothing","intent_id":"{id}","operations":[{entries}]}}"#
        );
        self.session.say(who, "OP_BATCH_COMMIT", &payload);
    }

    fn leave(&mut self, who: usize) {
        self.session.say(who, "GOODBYE", r#"{"reason":"session_complete"}"#);
        self.session.hello(who);
        (0..5).for_each(|_| self.session.restart(who));
    }
}
