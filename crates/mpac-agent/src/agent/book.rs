//! What is kept of the session beside what the core's participant knows: who has been heard of, the words of conflicts and
//! intents, and the states of files.

use std::collections::BTreeMap;

use mpac_wire::names::{ErrorCode, Role, Severity};
use mpac_wire::sideband::{FileUpdated, SessionSummary};
use mpac_wire::{ConflictId, Envelope, IntentId, Message, PrincipalId, StateRef};

use super::event::Event;
use super::view::{KnownFile, Person};
use crate::arrival::Answer;

/// How many intents' words are kept: that one expired is told to nobody.
const MOST_OBJECTIVES: usize = 4_096;

/// It grows with the people, the open conflicts and the files of the session, not with its messages.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) people: BTreeMap<PrincipalId, Person>,
    pub(super) words: BTreeMap<ConflictId, Words>,
    pub(super) files: BTreeMap<String, KnownFile>,
    pub(super) objectives: BTreeMap<IntentId, String>,
    /// A summary has told of what was before we came.
    pub(super) is_complete: bool,
}

/// What a conflict was reported with.
#[derive(Debug, Clone)]
pub(super) struct Words {
    pub(super) severity: Severity,
    pub(super) description: Option<String>,
}

impl Book {
    /// Somebody spoke; the event, when it is for the first time.
    pub(super) fn heard_of(
        &mut self,
        envelope: &Envelope,
        message: &Message,
        me: &PrincipalId,
    ) -> Option<Event> {
        let who = &envelope.sender.principal_id;
        let is_participant = envelope.coordinator_epoch.is_none() && who != me;
        if !is_participant || self.people.contains_key(who) || matches!(message, Message::Goodbye(_)) {
            return None;
        }
        self.people.insert(who.clone(), Person::of(who.clone()));
        Some(Event::Joined { principal_id: who.clone() })
    }

    pub(super) fn observe(&mut self, envelope: &Envelope, message: &Message, coordinator: bool) {
        match message {
            Message::IntentAnnounce(it) => self.objective(&it.intent_id, &it.objective),
            // The coordinator writes what became of an intent into its objective.
            Message::IntentUpdate(it) if !coordinator => {
                it.objective.iter().for_each(|objective| self.objective(&it.intent_id, objective));
            }
            Message::IntentWithdraw(it) => {
                self.objectives.remove(&it.intent_id);
            }
            Message::ConflictReport(it) => {
                let words = Words { severity: it.severity.clone(), description: it.description.clone() };
                self.words.insert(it.conflict_id.clone(), words);
            }
            Message::Resolution(it) => {
                self.words.remove(&it.conflict_id);
            }
            Message::Goodbye(_) => {
                self.people.remove(&envelope.sender.principal_id);
            }
            Message::ProtocolError(it)
                if coordinator && it.error_code == ErrorCode::ParticipantUnavailable =>
            {
                let named = it.affected_principal.clone();
                // Python coordinators put the principal into `refers_to`.
                let named = named.or_else(|| PrincipalId::new(it.refers_to.as_deref()?).ok());
                if let Some(person) = named.and_then(|who| self.people.get_mut(&who)) {
                    person.available = Some(false);
                }
            }
            _ => {}
        }
    }

    pub(super) fn listed(&mut self, summary: &SessionSummary) {
        self.is_complete = true;
        self.people.clear();
        for it in &summary.participants {
            let person = Person {
                principal_id: it.principal_id.clone(),
                display_name: Some(it.display_name.clone()),
                roles: it.roles.iter().map(Role::to_string).collect(),
                status: Some(it.status.to_string()),
                available: Some(it.is_available),
            };
            self.people.insert(it.principal_id.clone(), person);
        }
        self.objectives.clear();
        for it in &summary.active_intents {
            self.objective(&it.intent_id, &it.objective);
        }
        for it in &summary.open_conflicts {
            let words = || Words { severity: it.severity.clone(), description: None };
            self.words.entry(it.conflict_id.clone()).or_insert_with(words);
        }
    }

    pub(super) fn answered(&mut self, answer: &Answer) {
        match answer {
            Answer::Files(files) => {
                self.files.retain(|path, _| files.iter().any(|file| file.path == *path));
                for file in files {
                    self.state(&file.path, &file.state_ref, None);
                }
            }
            Answer::Content(file) => self.state(&file.path, &file.state_ref, None),
            Answer::Error(_) | Answer::Unreadable { .. } => {}
        }
    }

    pub(super) fn updated(&mut self, update: &FileUpdated) {
        self.state(&update.path, &update.state_ref, Some(&update.updated_by));
    }

    fn objective(&mut self, intent: &IntentId, objective: &str) {
        if self.objectives.len() >= MOST_OBJECTIVES {
            self.objectives.pop_first();
        }
        self.objectives.insert(intent.clone(), objective.to_owned());
    }

    fn state(&mut self, path: &str, state_ref: &StateRef, by: Option<&PrincipalId>) {
        let before = self.files.get(path).filter(|known| known.state_ref == *state_ref);
        let updated_by = by.cloned().or_else(|| before.and_then(|known| known.updated_by.clone()));
        self.files.insert(path.to_owned(), KnownFile { state_ref: state_ref.clone(), updated_by });
    }
}
