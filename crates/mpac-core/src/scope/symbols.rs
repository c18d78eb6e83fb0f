//! Which symbols are the same for dependencies (SCO-19, D-070).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

/// What two symbols may have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trait<'a> {
    /// The last dotted segment of one is that of the other.
    Last(&'a str),
    /// They are of one owner.
    Owner(&'a str),
    /// The owner of the affected one ends as the used one does.
    AffectedOwner(&'a str),
    /// The owner of the used one ends as the affected one does.
    UsedOwner(&'a str),
}

/// The symbols that somebody affects, by what others may have in common with them: made once, compared with many lists.
///
/// Two are the same when they are equal, equal in the last dotted segment, or of one owner. Comparing with a list costs what
/// that and the answer are long, not what these are.
pub(super) struct Affected<'a>(BTreeMap<Trait<'a>, Vec<&'a str>>);

impl<'a> Affected<'a> {
    pub(super) fn of(symbols: &'a [String]) -> Self {
        let mut by_trait: BTreeMap<Trait<'a>, Vec<&'a str>> = BTreeMap::new();
        for symbol in symbols {
            for it in traits_of_affected(symbol).into_iter().flatten() {
                by_trait.entry(it).or_default().push(symbol);
            }
        }
        for list in by_trait.values_mut() {
            list.sort_unstable_by_key(|symbol| (Reverse(symbol.len()), *symbol));
            list.dedup();
        }
        Self(by_trait)
    }

    /// Whether one of these is the same as one that is used.
    pub(super) fn meet(&self, used: &[String]) -> bool {
        let traits = used.iter().flat_map(|symbol| traits_of_used(symbol)).flatten();
        traits.into_iter().any(|it| self.0.contains_key(&it))
    }

    /// The symbols that are affected and used, each pair by its longer form; some more than once.
    pub(super) fn shared<'b>(&'b self, used: &'b [String]) -> impl Iterator<Item = &'b str> {
        // Of a pair the used one is named if it is longer, else the affected one. So each symbol needs to know only the
        // shortest of those it is the same as.
        let affected = shortest(used).into_iter().flat_map(|(it, len)| {
            let same = self.0.get(&it).into_iter().flatten().copied();
            same.take_while(move |symbol| symbol.len() >= len)
        });
        let used = used.iter().map(String::as_str).filter(|symbol| {
            let mut traits = traits_of_used(symbol).into_iter().flatten();
            traits.any(|it| {
                let shortest = self.0.get(&it).and_then(|same| same.last());
                shortest.is_some_and(|affected| affected.len() < symbol.len())
            })
        });
        affected.chain(used)
    }
}

fn shortest(used: &[String]) -> BTreeMap<Trait<'_>, usize> {
    let mut shortest = BTreeMap::new();
    for symbol in used {
        for it in traits_of_used(symbol).into_iter().flatten() {
            let len = shortest.entry(it).or_insert(usize::MAX);
            *len = symbol.len().min(*len);
        }
    }
    shortest
}

fn traits_of_affected(symbol: &str) -> [Option<Trait<'_>>; 4] {
    let owner = owner(symbol);
    [
        Some(Trait::Last(last(symbol))),
        owner.map(Trait::Owner),
        owner.map(|owner| Trait::AffectedOwner(last(owner))),
        Some(Trait::UsedOwner(last(symbol))),
    ]
}

fn traits_of_used(symbol: &str) -> [Option<Trait<'_>>; 4] {
    let owner = owner(symbol);
    [
        Some(Trait::Last(last(symbol))),
        owner.map(Trait::Owner),
        Some(Trait::AffectedOwner(last(symbol))),
        owner.map(|owner| Trait::UsedOwner(last(owner))),
    ]
}

fn last(symbol: &str) -> &str {
    symbol.rsplit('.').next().unwrap_or_default()
}

/// What stands before the last dot, if that is a type: its own last segment begins with an upper-case letter.
fn owner(symbol: &str) -> Option<&str> {
    let (owner, _) = symbol.rsplit_once('.')?;
    last(owner).starts_with(char::is_uppercase).then_some(owner)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|symbol| String::from(*symbol)).collect()
    }

    fn shared(affected: &[String], used: &[String]) -> Vec<String> {
        let found: BTreeSet<String> = Affected::of(affected).shared(used).map(String::from).collect();
        assert_eq!(Affected::of(affected).meet(used), !found.is_empty());
        found.into_iter().collect()
    }

    fn is_same(a: &str, b: &str) -> bool {
        !shared(&strings(&[a]), &strings(&[b])).is_empty()
    }

    #[test]
    fn symbols_of_one_owner_match() {
        for (a, b) in [
            ("m.Cart.total", "m.Cart"),
            ("Cart.total", "m.Cart.add"),
            ("Cart.total", "Cart"),
            ("x.Cart.total", "y.Cart"),
        ] {
            assert_eq!(is_same(a, b), is_same(b, a), "{a} {b}");
        }
        assert!(is_same("m.Cart.total", "m.Cart.add") && is_same("m.Cart.total", "x.Cart"));
        assert!(!is_same("m.cart.total", "m.cart.add"));
    }

    #[test]
    fn of_two_that_match_the_longer_is_named() {
        let shared = |affected: &[&str], used: &[&str]| shared(&strings(affected), &strings(used));
        assert_eq!(shared(&["f", "z"], &["m.f", "g"]), ["m.f"]);
        assert_eq!(shared(&["m.f"], &["f"]), ["m.f"]);
        // Of equal length: the affected one.
        assert_eq!(shared(&["a.f"], &["b.f"]), ["a.f"]);
        assert_eq!(shared(&["a.f", "xx.f"], &["b.f", "yyy.f"]), ["a.f", "xx.f", "yyy.f"]);
    }

    /// Pair by pair, as the rule is written.
    fn by_the_book(affected: &[String], used: &[String]) -> Vec<String> {
        let one_way = |a: &str, b: &str| {
            owner(a).is_some_and(|of_a| of_a == b || owner(b) == Some(of_a) || last(of_a) == last(b))
        };
        let mut found = BTreeSet::new();
        for a in affected {
            for b in used {
                if a == b || last(a) == last(b) || one_way(a, b) || one_way(b, a) {
                    found.insert(if b.len() > a.len() { b.clone() } else { a.clone() });
                }
            }
        }
        found.into_iter().collect()
    }

    proptest::proptest! {
        #[test]
        fn lists_are_compared_as_pair_by_pair(
            affected in proptest::collection::vec("([abA]{1,2}[.]){0,2}[abB]", 0..6),
            used in proptest::collection::vec("([abA]{1,2}[.]){0,2}[abB]", 0..6),
        ) {
            proptest::prop_assert_eq!(shared(&affected, &used), by_the_book(&affected, &used));
        }
    }
}
