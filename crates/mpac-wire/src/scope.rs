//! What an intent covers (`spec/wire.md` §3.3).

use alloc::string::String;
use alloc::vec::Vec;

use crate::names::ScopeKind;
use crate::object::Raw;

object! {
    /// A set of things an intent will touch. Which member is needed depends on the kind (SCO-01).
    pub struct Scope: Plain {
        /// What it lists; other kinds are opaque but kept (SCO-15).
        req kind: ScopeKind,
        /// Paths, for kind `file_set`.
        opt resources: Vec<String>,
        /// Names, for kind `entity_set`.
        opt entities: Vec<String>,
        /// Tasks, for kind `task_set`.
        opt task_ids: Vec<String>,
        /// A glob, for kind `resource_path`.
        opt pattern: String,
        /// A query, for kind `query`.
        opt expression: String,
        /// The language of `expression`.
        opt language: String,
        /// Opaque names that are comparable across kinds (SCO-11, SCO-12).
        opt canonical_uris: Vec<String>,
        /// Namespaced additions; the whole content of kind `custom`.
        opt extensions: Raw,
    }
}

impl Scope {
    /// A scope of files.
    pub fn files<S: Into<String>>(paths: impl IntoIterator<Item = S>) -> Self {
        Self { resources: Some(paths.into_iter().map(Into::into).collect()), ..Self::new(ScopeKind::FileSet) }
    }

    /// A scope of tasks.
    pub fn tasks<S: Into<String>>(tasks: impl IntoIterator<Item = S>) -> Self {
        Self { task_ids: Some(tasks.into_iter().map(Into::into).collect()), ..Self::new(ScopeKind::TaskSet) }
    }

    /// A scope of named entities.
    pub fn entities<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self {
            entities: Some(names.into_iter().map(Into::into).collect()),
            ..Self::new(ScopeKind::EntitySet)
        }
    }

    /// A `resource_path`: everything that a pattern matches (D-065).
    pub fn pattern(pattern: impl Into<String>) -> Self {
        let mut scope = Self::new(ScopeKind::ResourcePath);
        scope.pattern = Some(pattern.into());
        scope
    }

    /// The member that this kind needs and that is not there (SCO-01, D-064).
    pub fn missing_member(&self) -> Option<&'static str> {
        let (present, member) = match self.kind {
            ScopeKind::FileSet => (self.resources.is_some(), "resources"),
            ScopeKind::EntitySet => (self.entities.is_some(), "entities"),
            ScopeKind::TaskSet => (self.task_ids.is_some(), "task_ids"),
            ScopeKind::ResourcePath => (self.pattern.is_some(), "pattern"),
            ScopeKind::Query if self.expression.is_none() => (false, "expression"),
            ScopeKind::Query => (self.language.is_some(), "language"),
            ScopeKind::Custom | ScopeKind::Other(_) => (true, ""),
        };
        (!present).then_some(member)
    }
}
