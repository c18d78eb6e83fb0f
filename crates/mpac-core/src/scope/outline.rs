//! A scope with everything worked out that comparing it needs: made once, compared often.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;
use mpac_wire::names::ScopeKind;

use super::names::{Names, Resolved};
use super::normalize;

/// What a scope is, as far as comparing goes. The order is the index's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// `file_set`.
    Files,
    /// `entity_set`.
    Entities,
    /// `task_set`.
    Tasks,
    /// `resource_path`.
    Pattern,
    /// A kind that cannot be looked into.
    Opaque,
}

impl Class {
    pub(super) const ALL: [Self; 5] = [Self::Files, Self::Entities, Self::Tasks, Self::Pattern, Self::Opaque];

    /// Whether its scopes are lists of names.
    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::Files | Self::Entities | Self::Tasks)
    }
}

/// What a scope is, and what it lists if it is a set: normalised for files, as they are for tasks and entities.
pub(super) fn entries(scope: &Scope) -> (Class, BTreeSet<String>) {
    let (class, list) = match scope.kind {
        ScopeKind::FileSet => (Class::Files, &scope.resources),
        ScopeKind::EntitySet => (Class::Entities, &scope.entities),
        ScopeKind::TaskSet => (Class::Tasks, &scope.task_ids),
        ScopeKind::ResourcePath if scope.pattern.is_some() => (Class::Pattern, &None),
        _ => (Class::Opaque, &None),
    };
    let list = list.iter().flatten();
    // Sorted first: a set is built from a sorted list in one go.
    let mut names: Vec<String> = match class {
        Class::Files => list.map(|path| normalize(path)).collect(),
        _ => list.cloned().collect(),
    };
    names.sort_unstable();
    (class, names.into_iter().collect())
}

/// A scope, worked out.
#[derive(Clone, Debug)]
pub(super) struct Outline<'a> {
    pub(super) scope: &'a Scope,
    pub(super) class: Class,
    /// What a set lists.
    pub(super) entries: BTreeSet<String>,
    /// Normalised; of patterns only.
    pub(super) pattern: Option<String>,
    /// What it covers in words that all kinds share.
    pub(super) known: Resolved,
}

impl<'a> Outline<'a> {
    pub(super) fn of(names: &Names, scope: &'a Scope) -> Self {
        let (class, entries) = entries(scope);
        let known = names.resolve(scope, &entries);
        let pattern = scope.pattern.as_deref().filter(|_| class == Class::Pattern).map(normalize);
        Self { scope, class, entries, pattern, known }
    }
}
