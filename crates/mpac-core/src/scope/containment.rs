//! Whether one scope lies inside others (SCO-17, D-071).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;

use super::outline::{Class, Outline};
use super::{Names, glob};

/// Whether all of `inner` provably lies inside the union: in doubt, it does not.
pub fn is_inside(names: &Names, inner: &Scope, outer: &[&Scope], targets: &BTreeSet<String>) -> bool {
    let outer: Vec<Outline<'_>> = outer.iter().map(|scope| Outline::of(names, scope)).collect();
    lies_inside(&Outline::of(names, inner), &outer, targets)
}

fn lies_inside(inner: &Outline<'_>, outer: &[Outline<'_>], targets: &BTreeSet<String>) -> bool {
    match &inner.pattern {
        _ if inner.class.is_set() => {
            // An empty scope covers nothing, so it lies nowhere.
            let all = || inner.entries.iter().all(|entry| is_covered(inner.class, entry, outer, targets));
            !inner.entries.is_empty() && all() || resolved_inside(inner, outer)
        }
        Some(pattern) => {
            let literal = !pattern.contains(['*', '?']);
            let covered = |outer: &Outline<'_>| match &outer.pattern {
                Some(wider) => is_narrower(pattern, wider),
                None => literal && outer.class == Class::Files && outer.entries.contains(pattern),
            };
            outer.iter().any(covered) || literal && targets.contains(pattern) || resolved_inside(inner, outer)
        }
        None => outer.iter().any(|outer| outer.scope == inner.scope) || resolved_inside(inner, outer),
    }
}

/// Whether one entry of a set lies in a target, in a set of its kind, or is a file that a pattern matches.
fn is_covered(class: Class, entry: &str, outer: &[Outline<'_>], targets: &BTreeSet<String>) -> bool {
    let is_file = class == Class::Files;
    is_file && targets.contains(entry)
        || outer.iter().any(|outer| match &outer.pattern {
            Some(pattern) => is_file && glob::matches(pattern, entry),
            None => outer.class == class && outer.entries.contains(entry),
        })
}

/// Whether every path matched by `inner` is matched by `outer`, where that is easy to prove.
pub(super) fn is_narrower(inner: &str, outer: &str) -> bool {
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
fn resolved_inside(inner: &Outline<'_>, outer: &[Outline<'_>]) -> bool {
    let told = || outer.iter().filter(|outer| outer.scope.kind != inner.scope.kind && outer.known.complete);
    inner.known.complete
        && inner.known.uris.iter().all(|uri| told().any(|outer| outer.known.uris.contains(uri)))
}

#[cfg(test)]
mod tests {
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
    }
}
