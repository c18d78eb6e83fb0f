//! When two scopes overlap (SCO-02 to SCO-12).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;
use mpac_wire::names::ScopeKind;

use super::{Names, glob, is_inside, normalize, same_path};

/// How two scopes overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an overlap is known or assumed")]
pub enum Overlap {
    /// By a rule; names what they share, sorted, in words of the first scope.
    Shared(Vec<String>),
    /// Nothing proves that they are disjoint (SCO-08, SCO-10).
    Assumed,
}

/// The entries of a scope of a set kind: normalised for files, as they are for tasks and entities.
pub(super) fn entries(scope: &Scope) -> Option<(SetKind, BTreeSet<String>)> {
    let (kind, list) = match scope.kind {
        ScopeKind::FileSet => (SetKind::Files, &scope.resources),
        ScopeKind::EntitySet => (SetKind::Entities, &scope.entities),
        ScopeKind::TaskSet => (SetKind::Tasks, &scope.task_ids),
        _ => return None,
    };
    let list = list.iter().flatten();
    let set = match kind {
        SetKind::Files => list.map(|path| normalize(path)).collect(),
        SetKind::Entities | SetKind::Tasks => list.cloned().collect(),
    };
    Some((kind, set))
}

/// The kinds whose scopes are sets of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SetKind {
    /// `file_set`.
    Files,
    /// `entity_set`.
    Entities,
    /// `task_set`.
    Tasks,
}

fn pattern(scope: &Scope) -> Option<String> {
    match scope.kind {
        ScopeKind::ResourcePath => scope.pattern.as_deref().map(normalize),
        _ => None,
    }
}

/// Whether `a` and `b` overlap, and in what; `names` is what the session knows of things' names.
pub fn overlap(names: &Names, a: &Scope, b: &Scope) -> Option<Overlap> {
    if let (Some((kind_a, set_a)), Some((kind_b, set_b))) = (entries(a), entries(b))
        && kind_a == kind_b
    {
        // The set kinds go by their own rule alone, whatever URIs say (D-067).
        return shared(set_a.intersection(&set_b).cloned().collect());
    }
    let (known_a, known_b) = (names.resolve(a), names.resolve(b));
    let common: Vec<String> = known_a.uris.intersection(&known_b.uris).cloned().collect();
    if !common.is_empty() {
        return shared(common); // SCO-11
    }
    let both_told = known_a.complete && known_b.complete;
    if both_told && a.kind != b.kind {
        return None; // D-066 (1)
    }
    match (pattern(a), pattern(b)) {
        (Some(pattern_a), Some(pattern_b)) => {
            return glob::intersects(&pattern_a, &pattern_b).then(|| Overlap::Shared([pattern_a].into())); // SCO-07
        }
        (Some(pattern), None) => {
            if let Some((SetKind::Files, files)) = entries(b) {
                return shared(files.into_iter().filter(|file| glob::matches(&pattern, file)).collect());
            }
        }
        (None, Some(pattern)) => {
            if let Some((SetKind::Files, files)) = entries(a) {
                return shared(files.into_iter().filter(|file| glob::matches(&pattern, file)).collect());
            }
        }
        (None, None) => {}
    }
    // Both say what they are, and nothing is common: disjoint (D-068). Otherwise assumed (SCO-09, SCO-10).
    (!both_told).then_some(Overlap::Assumed)
}

fn shared(common: Vec<String>) -> Option<Overlap> {
    (!common.is_empty()).then_some(Overlap::Shared(common))
}

/// Whether an operation's target lies in a scope; `None` where its kind does not say (SCO-16, D-069).
pub fn contains_target(names: &Names, scope: &Scope, target: &str) -> Option<bool> {
    let listed = match scope.kind {
        ScopeKind::FileSet => {
            let target = normalize(target);
            scope.resources.iter().flatten().any(|path| same_path(path, &target))
        }
        ScopeKind::EntitySet => scope.entities.iter().flatten().any(|entity| entity == target),
        ScopeKind::TaskSet => scope.task_ids.iter().flatten().any(|task| task == target),
        _ => match pattern(scope) {
            Some(pattern) => glob::matches(&pattern, &normalize(target)),
            None => return names.is_named(scope, target).then_some(true),
        },
    };
    Some(listed || names.is_named(scope, target))
}

/// The part of `new` that `old` does not cover, for a set kind that both have; else `new` as it is (INT-13, D-079).
pub fn growth(names: &Names, new: &Scope, old: &Scope) -> Option<Scope> {
    if let (Some((kind_new, set_new)), Some((kind_old, set_old))) = (entries(new), entries(old))
        && kind_new == kind_old
    {
        let added: Vec<String> = set_new.difference(&set_old).cloned().collect();
        if added.is_empty() {
            return None;
        }
        let mut part = new.clone();
        match kind_new {
            SetKind::Files => part.resources = Some(added),
            SetKind::Entities => part.entities = Some(added),
            SetKind::Tasks => part.task_ids = Some(added),
        }
        return Some(part);
    }
    (!is_inside(names, new, &[old], &BTreeSet::new())).then(|| new.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn scope(json: &str) -> Scope {
        serde_json::from_str(json).unwrap()
    }

    fn assert_overlap(a: &str, b: &str, expected: Option<Overlap>) {
        let names = Names::default();
        assert_eq!(overlap(&names, &scope(a), &scope(b)), expected, "{a} and {b}");
        assert_eq!(overlap(&names, &scope(b), &scope(a)).is_some(), expected.is_some(), "{b} and {a}");
    }

    #[test]
    fn sets_of_one_kind_overlap_in_what_they_share() {
        let one = r#"{"kind":"file_set","resources":["./a","b"],"canonical_uris":["u"]}"#;
        assert_overlap(one, r#"{"kind":"file_set","resources":["a//","c"]}"#, shared(vec!["a".into()]));
        // Different files, one URI in common: no overlap (D-067).
        assert_overlap(one, r#"{"kind":"file_set","resources":["c"],"canonical_uris":["u"]}"#, None);
        assert_overlap(
            r#"{"kind":"entity_set","entities":["./a"]}"#,
            r#"{"kind":"entity_set","entities":["a"]}"#,
            None,
        );
        assert_overlap(
            r#"{"kind":"file_set","resources":[]}"#,
            r#"{"kind":"file_set","resources":[]}"#,
            None,
        );
    }

    #[test]
    fn across_kinds_an_overlap_is_assumed_unless_disproved() {
        let files = r#"{"kind":"file_set","resources":["a.py"]}"#;
        assert_overlap(files, r#"{"kind":"entity_set","entities":["e"]}"#, Some(Overlap::Assumed));
        assert_overlap(files, r#"{"kind":"resource_path","pattern":"b/*"}"#, None);
        assert_overlap(files, r#"{"kind":"resource_path","pattern":"*.py"}"#, shared(vec!["a.py".into()]));
        assert_overlap(
            files,
            r#"{"kind":"query","expression":"e","language":"sql"}"#,
            Some(Overlap::Assumed),
        );
        let uri = |kind: &str, uri: &str| alloc::format!(r#"{{"kind":"{kind}","canonical_uris":["{uri}"]}}"#);
        assert_overlap(&uri("custom", "u"), &uri("query", "v"), None);
        assert_overlap(&uri("custom", "u"), &uri("query", "u"), shared(vec!["u".into()]));
        assert_overlap(r#"{"kind":"x.y"}"#, r#"{"kind":"x.y"}"#, Some(Overlap::Assumed));
    }

    #[test]
    fn growth_is_what_the_old_scope_did_not_cover() {
        let (old, new) = (Scope::files(["a"]), Scope::files(["./a", "b"]));
        assert_eq!(growth(&Names::default(), &new, &old), Some(Scope::files(["b"])));
        assert_eq!(growth(&Names::default(), &old, &new), None);
    }

    #[test]
    fn a_target_is_judged_by_the_kind_of_the_scope() {
        assert_eq!(contains_target(&Names::default(), &Scope::files(["a"]), "./a"), Some(true));
        assert_eq!(contains_target(&Names::default(), &Scope::entities(["e"]), "a"), Some(false));
        assert_eq!(
            contains_target(&Names::default(), &scope(r#"{"kind":"resource_path","pattern":"a/*"}"#), "a/b"),
            Some(true)
        );
        assert_eq!(contains_target(&Names::default(), &scope(r#"{"kind":"custom"}"#), "a"), None);
    }
}
