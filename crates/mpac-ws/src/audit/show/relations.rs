//! What belongs to what, as far as a log was read.

use std::collections::{BTreeMap, BTreeSet};

use super::mentions::Mentions;

/// Learned from the messages, in their order.
#[derive(Debug, Default)]
pub(super) struct Relations {
    op_intents: BTreeMap<String, BTreeSet<String>>,
    op_files: BTreeMap<String, BTreeSet<String>>,
    intent_files: BTreeMap<String, BTreeSet<String>>,
    conflict_intents: BTreeMap<String, BTreeSet<String>>,
    conflict_ops: BTreeMap<String, BTreeSet<String>>,
    objectives: BTreeMap<String, String>,
}

impl Relations {
    /// A message of this type that mentions these.
    pub(super) fn learn(&mut self, message_type: &str, mentions: &Mentions) {
        let relate = |to: &mut BTreeMap<String, BTreeSet<String>>, from: &BTreeSet<String>, these| {
            for id in from {
                to.entry(id.clone()).or_default().extend(Clone::clone(these));
            }
        };
        match message_type {
            "INTENT_ANNOUNCE" | "INTENT_UPDATE" | "INTENT_CLAIM" => {
                relate(&mut self.intent_files, &mentions.intents, &mentions.files);
            }
            "OP_PROPOSE" | "OP_COMMIT" | "OP_BATCH_COMMIT" | "OP_SUPERSEDE" => {
                relate(&mut self.op_intents, &mentions.ops, &mentions.intents);
                relate(&mut self.op_files, &mentions.ops, &mentions.files);
            }
            "CONFLICT_REPORT" => {
                relate(&mut self.conflict_intents, &mentions.conflicts, &mentions.intents);
                relate(&mut self.conflict_ops, &mentions.conflicts, &mentions.ops);
            }
            _ => {}
        }
    }

    /// What an intent is for.
    pub(super) fn announce(&mut self, intent: &str, objective: &str) {
        self.objectives.insert(intent.to_owned(), objective.to_owned());
    }

    pub(super) fn objective(&self, intent: &str) -> Option<&str> {
        self.objectives.get(intent).map(String::as_str)
    }

    /// These, and what they belong to: the operations of a conflict, the intents of operations and conflicts, and, where
    /// no file is named, the files of the operations, or, without any, of the intents.
    pub(super) fn concerned(&self, mentions: &Mentions) -> Mentions {
        let mut all = mentions.clone();
        all.ops.extend(related(&self.conflict_ops, &mentions.conflicts));
        all.intents.extend(related(&self.conflict_intents, &mentions.conflicts));
        all.intents.extend(related(&self.op_intents, &all.ops));
        if all.files.is_empty() {
            all.files.extend(related(&self.op_files, &all.ops));
        }
        if all.files.is_empty() {
            all.files.extend(related(&self.intent_files, &all.intents));
        }
        all
    }
}

fn related(map: &BTreeMap<String, BTreeSet<String>>, ids: &BTreeSet<String>) -> Vec<String> {
    ids.iter().filter_map(|id| map.get(id)).flatten().cloned().collect()
}
