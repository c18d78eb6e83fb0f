//! A scope with everything worked out that comparing it needs: made once, compared often.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;
use mpac_wire::names::ScopeKind;

use super::names::{Names, Resolved};
use super::{normalize, normalized};

/// What a scope is, as far as comparing goes. The order is the index's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// What a set lists: sorted, without repeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries<'a>(Vec<Cow<'a, str>>);

impl<'a> Entries<'a> {
    fn new(mut names: Vec<Cow<'a, str>>) -> Self {
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|known| (**known).cmp(name)).is_ok()
    }

    /// Those that are in `other`, too.
    pub(super) fn common(&self, other: &Self) -> impl Iterator<Item = &str> {
        self.iter().filter(|name| other.contains(name))
    }

    /// Those that are not in `other`.
    pub(super) fn beyond(&self, other: &Self) -> impl Iterator<Item = &str> {
        self.iter().filter(|name| !other.contains(name))
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a scope is, and what it lists if it is a set, as it stands there.
pub(super) fn listed(scope: &Scope) -> (Class, &[String]) {
    let (class, list) = match scope.kind {
        ScopeKind::FileSet => (Class::Files, &scope.resources),
        ScopeKind::EntitySet => (Class::Entities, &scope.entities),
        ScopeKind::TaskSet => (Class::Tasks, &scope.task_ids),
        ScopeKind::ResourcePath if scope.pattern.is_some() => (Class::Pattern, &None),
        _ => (Class::Opaque, &None),
    };
    (class, list.as_deref().unwrap_or_default())
}

/// Whether a scope cannot be looked into.
pub(crate) fn is_opaque(scope: &Scope) -> bool {
    listed(scope).0 == Class::Opaque
}

/// What a scope is and lists, normalised for files and as they are for tasks and entities.
pub(super) fn entries(scope: &Scope) -> (Class, Entries<'_>) {
    let (class, list) = listed(scope);
    let names = match class {
        Class::Files => list.iter().map(|path| normalized(path)).collect(),
        _ => list.iter().map(Cow::from).collect(),
    };
    (class, Entries::new(names))
}

/// A scope, worked out.
#[derive(Clone, Debug)]
pub(super) struct Outline<'a> {
    pub(super) scope: &'a Scope,
    pub(super) class: Class,
    /// What a set lists.
    pub(super) entries: Entries<'a>,
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
