//! Scopes that we were told are frozen (PAR-23, FRZ-04): no work on them until a resolution of the conflict arrives.
//!
//! SCOPE_FROZEN names its conflicts in its text only. So a resolution thaws what its conflict is named for, and everything
//! of which the text names no conflict at all: a try too early is refused again and does no harm.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::ScopeKind;
use mpac_wire::payload::ProtocolError;
use mpac_wire::sideband::SummaryConflict;
use mpac_wire::{ConflictId, Message, Scope};

use super::Participant;
use super::bounded::Shelf;
use super::conflicts::KnownConflict;
use super::news::News;
use crate::scope::{Names, contains_target, is_inside};

/// How many frozen scopes are remembered.
const MOST: usize = 64;

#[derive(Clone, Debug, PartialEq)]
struct Frost {
    scope: Scope,
    text: String,
}

/// What is frozen, as far as we were told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frozen {
    frosts: Shelf<u64, Frost>,
    next: u64,
}

impl Default for Frozen {
    fn default() -> Self {
        Self { frosts: Shelf::new(MOST), next: 0 }
    }
}

impl Frozen {
    fn add(&mut self, scope: Scope, text: &str) {
        if self.frosts.values().any(|known| known.scope == scope && known.text == text) {
            return;
        }
        self.frosts.insert(self.next, Frost { scope, text: text.into() });
        self.next += 1;
    }

    /// Whether an operation's target lies in it.
    pub(super) fn holds_target(&self, names: &Names, target: &str) -> bool {
        self.frosts.values().any(|frost| contains_target(names, &frost.scope, target) == Some(true))
    }

    /// Whether all of a scope lies in it.
    pub(super) fn holds_scope(&self, names: &Names, scope: &Scope) -> bool {
        let all: Vec<&Scope> = self.frosts.values().map(|frost| &frost.scope).collect();
        !all.is_empty() && is_inside(names, scope, &all, &BTreeSet::new())
    }

    /// A conflict was resolved. True when that thaws something.
    fn thaw(&mut self, conflict: &ConflictId, known: impl Fn(&str) -> bool) -> bool {
        let mut thawed = false;
        self.frosts.retain(|_, frost| {
            let over = names(&frost.text, conflict.as_str()) || !known(&frost.text);
            thawed |= over;
            !over
        });
        thawed
    }

    pub(super) fn clear(&mut self) {
        self.frosts.clear();
    }
}

/// Whether a text names this id: it stands there, and not as a part of a longer word.
fn names(text: &str, id: &str) -> bool {
    let goes_on = |next: Option<char>| next.is_some_and(|it| it.is_alphanumeric() || it == '-' || it == '_');
    text.match_indices(id).any(|(at, found)| {
        let (before, after) = (text.get(..at), text.get(at + found.len()..));
        !goes_on(before.and_then(|it| it.chars().next_back()))
            && !goes_on(after.and_then(|it| it.chars().next()))
    })
}

impl Participant {
    /// SCOPE_FROZEN answers an own message. A refusal freezes what it was about; a warning only the scopes of those named
    /// conflicts that we know (D-119).
    pub(super) fn froze(&mut self, message: &Message, error: &ProtocolError, warning: bool) {
        let text = &error.description;
        if warning {
            for scope in self.scopes_named_in(text) {
                self.frozen.add(scope, text);
            }
            return;
        }
        let file = |target: &str| Scope::files([target]);
        match message {
            Message::IntentAnnounce(it) => self.frozen.add(it.scope.clone(), text),
            Message::IntentUpdate(it) => {
                let scope = it.scope.iter().cloned();
                scope.for_each(|scope| self.frozen.add(scope, text));
            }
            Message::OpPropose(it) => self.frozen.add(file(&it.target), text),
            Message::OpCommit(it) => self.frozen.add(file(&it.target), text),
            Message::OpSupersede(it) => self.frozen.add(file(&it.target), text),
            Message::OpBatchCommit(it) => {
                // The text names the target; the others may be free.
                let named = it.operations.iter().filter(|entry| text.contains(&entry.target));
                let mut scope = Scope::new(ScopeKind::FileSet);
                scope.resources = Some(named.map(|entry| entry.target.clone()).collect());
                self.frozen.add(scope, text);
            }
            _ => {}
        }
    }

    /// A resolution arrived.
    pub(super) fn thaw(&mut self, conflict: &ConflictId) {
        let conflicts = &self.conflicts;
        let names_one = |text: &str| {
            text.contains("conflict ") || conflicts.iter().any(|(id, _)| names(text, id.as_str()))
        };
        if self.frozen.thaw(conflict, names_one) {
            self.news.push(News::Thawed(conflict.clone()));
        }
    }

    /// A summary came: what is frozen for none of the conflicts that are open, is not any more. The resolution may have
    /// been missed.
    pub(super) fn thaw_all_but(&mut self, open: &[SummaryConflict], settled: &[ConflictId]) {
        for conflict in settled {
            self.thaw(conflict);
        }
        self.frozen
            .frosts
            .retain(|_, frost| open.iter().any(|it| names(&frost.text, it.conflict_id.as_str())));
    }

    fn scopes_named_in(&self, text: &str) -> Vec<Scope> {
        let named = self.conflicts.iter().filter(|(id, _)| names(text, id.as_str()));
        named.flat_map(|(_, conflict)| self.scopes_of(conflict)).collect()
    }

    /// The scopes of a conflict's intents, as far as they are known.
    fn scopes_of(&self, conflict: &KnownConflict) -> Vec<Scope> {
        let scope = |id| {
            let own = self.intents.get(id).map(|own| &own.announced.scope);
            own.or_else(|| self.others.get(id)?.scope.as_ref()).cloned()
        };
        conflict.intents.iter().filter_map(scope).collect()
    }

    /// SCOPE_FROZEN that answers nothing: in phase 2 of a freeze the conflict's scope is open for one intent, which the
    /// text names, and frozen for all others (FRZ-11). Where that one is ours nothing is held back here.
    pub(super) fn told_of_a_freeze(&mut self, error: &ProtocolError) {
        let Some(id) = &error.conflict_id else { return };
        let Some((_, conflict)) = self.conflicts.iter().find(|(known, _)| *known == id) else { return };
        let mut text = error.description.clone();
        if conflict.intents.iter().any(|it| self.intents.contains_key(it) && names(&text, it.as_str())) {
            return;
        }
        let scopes = self.scopes_of(conflict);
        if !names(&text, id.as_str()) {
            text = alloc::format!("conflict {id}: {text}");
        }
        scopes.into_iter().for_each(|scope| self.frozen.add(scope, &text));
    }
}
