//! What of a damaged log can still be read and would be no part of the session any more.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::io;

use serde_json::Value;

use crate::store::entry::Entry;
use crate::store::input::Stored;
use crate::store::media::{Files, Media};
use crate::store::record::{self, Line};

/// Lines of commits, and of intents, at the most.
const LISTED: usize = 20;

/// The messages behind a place, as they were sent: which of them were accepted only the session could tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Entries that can be read, and the number of the last.
    pub(crate) readable: u64,
    last: u64,
    /// Whether there is more that cannot.
    pub(crate) unreadable: bool,
    /// How often the session was taken up.
    starts: u64,
    /// Entries that cannot be read, as far as later ones show how many there were.
    missing: u64,
    /// Who sent them, to which files, and how often.
    commits: BTreeMap<String, u64>,
    intents: BTreeMap<String, u64>,
    /// By who sent it and its type.
    others: BTreeMap<(String, String), u64>,
}

impl Lost {
    /// What is behind entry `n` in all segments.
    pub(super) fn behind(n: u64, files: &Files, unreadable: bool) -> io::Result<Self> {
        let mut lost = Self { unreadable, ..Self::default() };
        for first in files.segments()? {
            // A segment that cannot be read at all has nothing that is readable.
            let Ok(bytes) = files.read(first) else { continue };
            for (_, json, _) in record::scan(&bytes) {
                if let Ok(line) = Line::parse(json)
                    && line.n > n
                {
                    lost.readable += 1;
                    lost.last = lost.last.max(line.n);
                    lost.entry(&line.entry);
                }
            }
        }
        lost.missing = lost.last.saturating_sub(n + lost.readable);
        lost.unreadable |= lost.missing > 0;
        Ok(lost)
    }

    /// How many epochs may have begun in it, at the most where it is known how much that is.
    pub(super) fn epochs(&self) -> u64 {
        self.starts + if self.unreadable { self.missing.max(1) } else { 0 }
    }

    pub(crate) const fn is_nothing(&self) -> bool {
        self.readable == 0 && !self.unreadable
    }

    fn entry(&mut self, entry: &Entry) {
        let input = match entry {
            Entry::TakeUp(_) => {
                self.starts += 1;
                return;
            }
            Entry::Input(happened) => happened.input(),
            Entry::Open(_) | Entry::Fork(_) | Entry::Repaired(_) | Entry::Seal(_) => return,
        };
        let Stored::Frame { text, .. } = input else { return };
        let Ok(frame) = serde_json::from_str::<Value>(text) else { return };
        let (kind, payload) = (text_of(&frame["message_type"]), &frame["payload"]);
        let who = text_of(&frame["sender"]["principal_id"]);
        match kind.as_str() {
            "OP_COMMIT" | "OP_SUPERSEDE" => {
                count(&mut self.commits, format!("{who}: {}", text_of(&payload["target"])));
            }
            "OP_BATCH_COMMIT" => {
                let operations = payload["operations"].as_array().into_iter().flatten();
                let targets: Vec<String> = operations.map(|it| text_of(&it["target"])).collect();
                count(&mut self.commits, format!("{who}: {}", targets.join(", ")));
            }
            "INTENT_ANNOUNCE" => {
                let (id, what) = (text_of(&payload["intent_id"]), text_of(&payload["objective"]));
                count(&mut self.intents, format!("{who}: {id} ({what}), {}", covered(&payload["scope"])));
            }
            _ => *self.others.entry((who, kind)).or_default() += 1,
        }
    }
}

fn count(of: &mut BTreeMap<String, u64>, what: String) {
    *of.entry(what).or_default() += 1;
}

fn covered(scope: &Value) -> String {
    let lists = ["resources", "entities", "task_ids"].map(|key| scope[key].as_array());
    let names = lists.into_iter().flatten().flatten().map(text_of).collect::<Vec<_>>();
    if names.is_empty() { text_of(&scope["pattern"]) } else { names.join(", ") }
}

/// What peers wrote may be anything; it is shown on one line.
fn text_of(value: &Value) -> String {
    let text = value.as_str().unwrap_or("?");
    text.chars().take(100).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Display for Lost {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_nothing() {
            return writeln!(f, "      nothing");
        }
        if self.unreadable {
            writeln!(f, "      whatever cannot be read there")?;
        }
        for (what, all) in [("commits", &self.commits), ("intents", &self.intents)] {
            if !all.is_empty() {
                writeln!(f, "      {what} as they were sent, {} in all:", all.values().sum::<u64>())?;
            }
            for (one, times) in all.iter().take(LISTED) {
                let times = if *times > 1 { format!(", {times} times") } else { String::new() };
                writeln!(f, "        {one}{times}")?;
            }
            if all.len() > LISTED {
                writeln!(f, "        and others")?;
            }
        }
        for ((who, kind), count) in &self.others {
            writeln!(f, "      {kind} of {who}: {count}")?;
        }
        if self.starts > 0 {
            writeln!(f, "      starts of the server: {}", self.starts)?;
        }
        Ok(())
    }
}
