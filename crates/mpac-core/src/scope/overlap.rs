//! When two scopes overlap (SCO-02 to SCO-12).

use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;
use mpac_wire::names::ScopeKind;

use super::normalize::is_normal;
use super::outline::{Class, Outline};
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

/// Whether `a` and `b` overlap, and in what; `names` is what the session knows of things' names.
pub fn overlap(names: &Names, a: &Scope, b: &Scope) -> Option<Overlap> {
    compare(&Outline::of(names, a), &Outline::of(names, b))
}

/// The same for scopes that are worked out.
pub(super) fn compare(a: &Outline<'_>, b: &Outline<'_>) -> Option<Overlap> {
    if a.class == b.class && a.class.is_set() {
        // The set kinds go by their own rule alone, whatever URIs say (D-067).
        return shared(a.entries.common(&b.entries).map(Into::into).collect());
    }
    let common: Vec<String> = a.known.uris.intersection(&b.known.uris).cloned().collect();
    if !common.is_empty() {
        return shared(common); // SCO-11
    }
    let both_told = a.known.complete && b.known.complete;
    if both_told && a.scope.kind != b.scope.kind {
        return None; // D-066 (1)
    }
    match (&a.pattern, &b.pattern) {
        (Some(pattern_a), Some(pattern_b)) => {
            glob::intersects(pattern_a, pattern_b).then(|| Overlap::Shared([pattern_a.clone()].into())) // SCO-07
        }
        (Some(pattern), None) if b.class == Class::Files => matched(pattern, b),
        (None, Some(pattern)) if a.class == Class::Files => matched(pattern, a),
        // Both say what they are, and nothing is common: disjoint (D-068). Otherwise assumed (SCO-09, SCO-10).
        _ => (!both_told).then_some(Overlap::Assumed),
    }
}

fn matched(pattern: &str, files: &Outline<'_>) -> Option<Overlap> {
    shared(files.entries.iter().filter(|file| glob::matches(pattern, file)).map(Into::into).collect())
}

fn shared(common: Vec<String>) -> Option<Overlap> {
    (!common.is_empty()).then_some(Overlap::Shared(common))
}

/// Whether an operation's target lies in a scope; `None` where its kind does not say (SCO-16, D-069).
pub fn contains_target(names: &Names, scope: &Scope, target: &str) -> Option<bool> {
    let listed = match scope.kind {
        ScopeKind::FileSet => {
            let listed = |target: &str| scope.resources.iter().flatten().any(|path| same_path(path, target));
            if is_normal(target) { listed(target) } else { listed(&normalize(target)) }
        }
        ScopeKind::EntitySet => scope.entities.iter().flatten().any(|entity| entity == target),
        ScopeKind::TaskSet => scope.task_ids.iter().flatten().any(|task| task == target),
        _ => match scope.pattern.as_deref().filter(|_| scope.kind == ScopeKind::ResourcePath) {
            Some(pattern) => glob::matches(&normalize(pattern), &normalize(target)),
            None => return names.is_named(scope, target).then_some(true),
        },
    };
    Some(listed || names.is_named(scope, target))
}

/// What of `new` may meet scopes that `old` did not meet (INT-13): what it covers more, and all of it under a URI that is new,
/// or because `old` had told what it is and `new` does not, or is of another kind and meets its like by another rule (D-066,
/// D-067).
pub fn met_anew(names: &Names, new: &Scope, old: &Scope) -> Option<Scope> {
    let (ours, theirs) = (Outline::of(names, new), Outline::of(names, old));
    let is_told = ours.known.complete && ours.class == theirs.class;
    if !ours.known.uris.is_subset(&theirs.known.uris) || theirs.known.complete && !is_told {
        return Some(new.clone());
    }
    growth(names, new, old)
}

/// The part of `new` that `old` does not cover, for a set kind that both have; else `new` as it is (D-079, SCO-17). All of a
/// set, too, under a URI that is new, or without those that said what it is (D-066).
pub fn growth(names: &Names, new: &Scope, old: &Scope) -> Option<Scope> {
    let (ours, theirs) = (Outline::of(names, new), Outline::of(names, old));
    if ours.class != theirs.class || !ours.class.is_set() {
        return (!is_inside(names, new, &[old], &<_>::default())).then(|| new.clone());
    }
    let meets_others =
        !ours.known.uris.is_subset(&theirs.known.uris) || (theirs.known.complete && !ours.known.complete);
    if meets_others {
        return Some(new.clone());
    }
    let added: Vec<String> = ours.entries.beyond(&theirs.entries).map(Into::into).collect();
    if added.is_empty() {
        return None;
    }
    let mut part = new.clone();
    match ours.class {
        Class::Entities => part.entities = Some(added),
        Class::Tasks => part.task_ids = Some(added),
        Class::Files | Class::Pattern | Class::Opaque => part.resources = Some(added),
    }
    Some(part)
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
