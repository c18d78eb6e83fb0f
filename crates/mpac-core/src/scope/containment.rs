//! Whether one scope lies inside others (SCO-17, D-071).

use alloc::collections::BTreeSet;
use alloc::string::String;

use mpac_wire::Scope;
use mpac_wire::names::ScopeKind;

use super::overlap::{SetKind, entries};
use super::{Names, Overlap, glob, normalize, overlap};

/// How much of a scope lies inside a union of scopes and targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no fourth possibility")]
pub enum Cover {
    /// Nothing, as far as anybody can tell.
    None,
    /// Some of it.
    Partial,
    /// All of it, proven.
    Entire,
}

/// How much of `inner` lies inside the union of `outer` and of the operation targets in `targets`.
pub fn cover(names: &Names, inner: &Scope, outer: &[&Scope], targets: &BTreeSet<String>) -> Cover {
    if is_inside(names, inner, outer, targets) {
        return Cover::Entire;
    }
    let by_target = || {
        let files = Scope::files(targets.iter().cloned());
        !targets.is_empty() && matches!(overlap(names, inner, &files), Some(Overlap::Shared(_)))
    };
    if outer.iter().any(|outer| overlap(names, inner, outer).is_some()) || by_target() {
        Cover::Partial
    } else {
        Cover::None
    }
}

/// Whether all of `inner` provably lies inside the union: in doubt, it does not.
pub fn is_inside(names: &Names, inner: &Scope, outer: &[&Scope], targets: &BTreeSet<String>) -> bool {
    if let Some((kind, set)) = entries(inner) {
        let covered = |entry: &String| {
            kind == SetKind::Files && targets.contains(entry)
                || outer.iter().any(|outer| has_entry(outer, kind, entry))
        };
        // An empty scope covers nothing, so it lies nowhere.
        return !set.is_empty() && set.iter().all(covered) || resolved_inside(names, inner, outer);
    }
    if let (ScopeKind::ResourcePath, Some(pattern)) = (&inner.kind, &inner.pattern) {
        let pattern = normalize(pattern);
        let literal = !pattern.contains(['*', '?']);
        let covered = |outer: &&Scope| match (entries(outer), &outer.pattern) {
            (Some((SetKind::Files, set)), _) => literal && set.contains(&pattern),
            (None, Some(wider)) if outer.kind == ScopeKind::ResourcePath => {
                is_narrower(&pattern, &normalize(wider))
            }
            _ => false,
        };
        return outer.iter().any(covered)
            || literal && targets.contains(&pattern)
            || resolved_inside(names, inner, outer);
    }
    outer.contains(&inner) || resolved_inside(names, inner, outer)
}

fn has_entry(outer: &Scope, kind: SetKind, entry: &str) -> bool {
    match (entries(outer), &outer.pattern) {
        (Some((other, set)), _) => other == kind && set.contains(entry),
        (None, Some(pattern)) if outer.kind == ScopeKind::ResourcePath => {
            kind == SetKind::Files && glob::matches(&normalize(pattern), entry)
        }
        _ => false,
    }
}

/// Whether every path matched by `inner` is matched by `outer`, where that is easy to prove.
fn is_narrower(inner: &str, outer: &str) -> bool {
    if inner == outer || outer == "**" {
        return true;
    }
    if !inner.contains(['*', '?']) {
        return glob::matches(outer, inner);
    }
    // `a/**` covers whatever begins with the literal segments of `a`.
    outer.strip_suffix("/**").is_some_and(|prefix| {
        !prefix.contains(['*', '?']) && inner.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
    })
}

/// Across kinds: both sides are known by names for everything in them, and all of it is there.
fn resolved_inside(names: &Names, inner: &Scope, outer: &[&Scope]) -> bool {
    let known = names.resolve(inner);
    if !known.complete {
        return false;
    }
    let other_kinds = outer.iter().filter(|outer| outer.kind != inner.kind);
    let told: BTreeSet<String> = other_kinds
        .map(|outer| names.resolve(outer))
        .filter(|it| it.complete)
        .flat_map(|it| it.uris)
        .collect();
    known.uris.is_subset(&told)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn scope(json: &str) -> Scope {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn files_lie_in_files_patterns_and_targets() {
        let (a, ab) = (Scope::files(["a"]), Scope::files(["./a", "b"]));
        let none = BTreeSet::new();
        assert!(is_inside(&Names::default(), &a, &[&ab], &none));
        assert!(!is_inside(&Names::default(), &ab, &[&a], &none));
        assert!(is_inside(&Names::default(), &ab, &[&a], &BTreeSet::from(["b".into()])));
        assert!(is_inside(&Names::default(), &ab, &[&a, &Scope::files(["b"])], &none), "the union counts");
        let pattern = scope(r#"{"kind":"resource_path","pattern":"src/*"}"#);
        assert!(is_inside(&Names::default(), &Scope::files(["src/x"]), &[&pattern], &none));
        assert!(
            !is_inside(&Names::default(), &Scope::files(Vec::<String>::new()), &[&a], &none),
            "nothing lies nowhere"
        );
    }

    #[test]
    fn patterns_lie_in_wider_patterns() {
        let pattern = |text: &str| scope(&alloc::format!(r#"{{"kind":"resource_path","pattern":"{text}"}}"#));
        let inside = |inner: &str, outer: &str| {
            is_inside(&Names::default(), &pattern(inner), &[&pattern(outer)], &BTreeSet::new())
        };
        assert!(
            inside("src/*.rs", "src/**") && inside("a", "*") && inside("x/*", "**") && inside("a/*", "a/*")
        );
        assert!(!inside("src/**", "src/*") && !inside("*", "a") && !inside("srcs/*", "src/**"));
        assert!(is_inside(&Names::default(), &pattern("a"), &[&Scope::files(["a"])], &BTreeSet::new()));
        assert!(!is_inside(&Names::default(), &pattern("*"), &[&Scope::files(["a"])], &BTreeSet::new()));
    }

    #[test]
    fn what_cannot_be_compared_lies_only_in_itself() {
        let query = scope(r#"{"kind":"query","expression":"e","language":"sql"}"#);
        let none = BTreeSet::new();
        assert!(is_inside(&Names::default(), &query, &[&query.clone()], &none));
        assert!(!is_inside(&Names::default(), &Scope::files(["a"]), &[&query], &none));
        assert_eq!(cover(&Names::default(), &Scope::files(["a"]), &[&query], &none), Cover::Partial);
        assert_eq!(
            cover(&Names::default(), &Scope::files(["a", "b"]), &[&Scope::files(["b"])], &none),
            Cover::Partial
        );
        assert_eq!(
            cover(&Names::default(), &Scope::files(["a"]), &[&Scope::files(["b"])], &none),
            Cover::None
        );
    }
}
