//! What the open conflicts of two intents are about, so that no two are about the same (CON-22).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::scope::Overlap;

/// What the two scopes of a conflict overlap in, or what a participant knows and the coordinator does not (REC-30).
///
/// Of each name there is only a number: two scopes may share ten thousand names, and one participant can be in a thousand
/// such conflicts at once (SES-27). Everybody was told the first names in the report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// Nothing proves that they are disjoint (SCO-08, SCO-10).
    Assumed,
    /// The marks of the names that they share, in order.
    Named(Box<[u64]>),
}

impl Part {
    pub(crate) fn of(overlap: &Overlap) -> Self {
        match overlap {
            Overlap::Assumed => Self::Assumed,
            Overlap::Shared(names) => Self::named(names),
        }
    }

    pub(crate) fn named(names: &[String]) -> Self {
        Self::marked(names.iter().map(|name| mark(name)).collect())
    }

    /// With these marks, in any order.
    pub(crate) fn marked(mut marks: Vec<u64>) -> Self {
        marks.sort_unstable();
        marks.dedup();
        Self::Named(marks.into())
    }

    /// Whether all of these are among what it names.
    pub(crate) fn names_all(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.marks().binary_search(&mark(name)).is_ok())
    }

    fn marks(&self) -> &[u64] {
        match self {
            Self::Assumed => &[],
            Self::Named(marks) => marks,
        }
    }
}

/// What stands for a name. It is stored, so that it is the same everywhere and for ever. Should two names ever have the same, one
/// of them is not told of while a conflict about the other is open between the same two intents.
fn mark(name: &str) -> u64 {
    let mut hash = SipHasher13::new();
    hash.write(name.as_bytes());
    hash.finish()
}

/// What of an overlap none of these is about yet.
pub(super) fn news(known: &[&Part], found: Overlap) -> Option<Overlap> {
    match found {
        Overlap::Assumed => (!known.contains(&&Part::Assumed)).then_some(Overlap::Assumed),
        Overlap::Shared(mut names) => {
            let mut told: Vec<u64> = known.iter().flat_map(|part| part.marks()).copied().collect();
            told.sort_unstable();
            if !told.is_empty() {
                names.retain(|name| told.binary_search(&mark(name)).is_err());
            }
            (!names.is_empty()).then_some(Overlap::Shared(names))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(names: &[&str]) -> Overlap {
        Overlap::Shared(names.iter().copied().map(String::from).collect())
    }

    #[test]
    fn news_is_what_no_part_has() {
        let (ab, c) = (Part::of(&shared(&["b", "a"])), Part::of(&shared(&["c"])));
        assert_eq!(news(&[], shared(&["a"])), Some(shared(&["a"])));
        assert_eq!(
            news(&[&ab, &Part::Assumed, &c], shared(&["a", "d", "c", "e"])),
            Some(shared(&["d", "e"]))
        );
        assert_eq!(news(&[&c, &ab], shared(&["a", "b", "c"])), None);
        assert_eq!(news(&[&ab], Overlap::Assumed), Some(Overlap::Assumed));
        assert_eq!(news(&[&ab, &Part::Assumed], Overlap::Assumed), None);
    }

    /// One build stores them and another reads them. As an implementation of SipHash-1-3 of its own has them, in Python.
    #[test]
    fn the_marks_are_the_same_for_ever() {
        assert_eq!((mark(""), mark("src/a.py")), (0xd1fb_a762_150c_532c, 0x10e1_8d8b_57e2_dbdd));
    }
}
