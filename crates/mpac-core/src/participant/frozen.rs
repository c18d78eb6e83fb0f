//! Scopes that we were told are frozen (PAR-23, FRZ-04): no work on them until a resolution of the conflict arrives.
//!
//! SCOPE_FROZEN names its conflicts in its text only. So a resolution thaws what its conflict is named for, and everything
//! of which the text names no conflict at all: a try too early is refused again and does no harm.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::ScopeKind;
use mpac_wire::payload::{IntentUpdate, ProtocolError};
use mpac_wire::sideband::SummaryConflict;
use mpac_wire::{ConflictId, Message, Scope};

use super::Participant;
use super::answers::Sent;
use super::bounded::Shelf;
use super::conflicts::KnownConflict;
use super::news::News;
use crate::scope::overlap::growth;
use crate::scope::{Names, contains_target, is_inside, normalize};

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
    let goes_on = |next: Option<char>| next.is_some_and(goes_on_with);
    occurrences(text, id)
        .any(|(before, after)| !goes_on(before.chars().next_back()) && !goes_on(after.chars().next()))
}

/// Whether a text names this path as it was said or in its one spelling, and not as a part of a longer path. A full stop
/// belongs to a path only where something follows it.
fn names_path(text: &str, path: &str) -> bool {
    let goes_on = |next: Option<char>| next.is_some_and(|it| goes_on_with(it) || it == '/');
    let named = |path: &str| {
        occurrences(text, path).any(|(before, after)| {
            let (last, next) = (before.chars().next_back(), after.trim_start_matches('.').chars().next());
            !goes_on(last) && last != Some('.') && !goes_on(next)
        })
    };
    named(path) || named(&normalize(path))
}

/// What the refusal of one operation is about: those that its text names of the target and the files that came with it
/// (FRZ-02), else the target.
pub(super) fn meant<'a>(text: &str, target: &'a str, brought: &'a [String]) -> Vec<&'a str> {
    let beside = brought.iter().map(String::as_str).filter(|path| *path != target);
    let named = core::iter::once(target).chain(beside).filter(|path| names_path(text, path));
    let named: Vec<&str> = named.collect();
    if named.is_empty() { [target].into() } else { named }
}

fn goes_on_with(next: char) -> bool {
    next.is_alphanumeric() || next == '-' || next == '_'
}

/// What stands before and after each place of a word in a text.
fn occurrences<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.match_indices(word).filter_map(|(at, found)| Some((text.get(..at)?, text.get(at + found.len()..)?)))
}

impl Participant {
    /// SCOPE_FROZEN answers an own message. A refusal freezes what it was about, of a commit the files that it names, of an update
    /// what it would have added (FRZ-06); a warning only the scopes of those named conflicts that we know (D-119).
    pub(super) fn froze(&mut self, sent: &Sent, error: &ProtocolError, warning: bool) {
        let text = &error.description;
        if warning {
            for scope in self.scopes_named_in(text) {
                self.frozen.add(scope, text);
            }
            return;
        }
        let file = |target: &str| Scope::files([target]);
        let meant = |target: &str| Scope::files(meant(text, target, &sent.brought));
        match &sent.message {
            Message::IntentAnnounce(it) => self.frozen.add(it.scope.clone(), text),
            Message::IntentUpdate(it) => {
                if let Some(scope) = &it.scope {
                    // One that adds nothing is refused by servers that judge all of a scope.
                    let frozen = self.added_by(it).unwrap_or_else(|| scope.clone());
                    self.frozen.add(frozen, text);
                }
            }
            Message::OpPropose(it) => self.frozen.add(file(&it.target), text),
            Message::OpCommit(it) => self.frozen.add(meant(&it.target), text),
            Message::OpSupersede(it) => self.frozen.add(meant(&it.target), text),
            Message::OpBatchCommit(it) => {
                // The text names the target; the others may be free.
                let named = it.operations.iter().filter(|entry| names_path(text, &entry.target));
                let mut scope = Scope::new(ScopeKind::FileSet);
                scope.resources = Some(named.map(|entry| entry.target.clone()).collect());
                self.frozen.add(scope, text);
            }
            _ => {}
        }
    }

    /// Whether an operation on this target would be held back for a freeze (PAR-23).
    #[must_use]
    pub fn is_frozen(&self, target: &str) -> bool {
        self.frozen.holds_target(&self.names, target)
    }

    /// What an update adds to the scope of its intent, as far as that is known: a freeze is in the way of no more (INT-14).
    pub(super) fn added_by(&self, update: &IntentUpdate) -> Option<Scope> {
        let scope = update.scope.as_ref()?;
        match self.intents.get(&update.intent_id) {
            Some(own) => growth(&self.names, scope, &own.announced.scope),
            None => Some(scope.clone()),
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
