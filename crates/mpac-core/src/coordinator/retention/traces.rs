//! What a session still knows of the operations it has forgotten: that it had them, or that it never did; and of states that
//! were replaced without an operation on their target (D-041).

use alloc::string::String;
use alloc::vec::Vec;
use core::hash::Hasher as _;

use mpac_wire::StateRef;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::super::words;

/// Words at the most: 128 KiB. An operation sets eight bits: its own four, and those of the state that it left. At 10,000
/// records kept, one in a hundred questions about what never was is answered wrongly after 50,000 forgotten operations,
/// one in twelve after 100,000, two in three after 300,000.
const MOST_WORDS: usize = 1 << 14;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trace<'a> {
    /// An operation, by its id.
    Operation(&'a str),
    /// That this target, normalised, had this state once.
    State(&'a str, &'a StateRef),
}

impl Trace<'_> {
    /// The bits that stand for it, of so many words. They are stored, so that the hash is one that is the same everywhere and for
    /// ever; under a secret key ids could be invented that fill the filter, too.
    fn bits(self, words: usize) -> impl Iterator<Item = (usize, u64)> {
        let mut hash = SipHasher13::new();
        match self {
            Self::Operation(id) => hash.write(id.as_bytes()),
            // A target holds no line break that could be mistaken: its length goes before it.
            Self::State(target, state) => {
                hash.write(&(target.len() as u64).to_le_bytes());
                hash.write(target.as_bytes());
                hash.write(state.as_str().as_bytes());
            }
        }
        hash.write(&[matches!(self, Self::State(..)).into()]);
        let digest = hash.finish128().as_bytes();
        let mut places = [0; 4];
        for (place, part) in places.iter_mut().zip(digest.as_chunks().0) {
            *place = u32::from_le_bytes(*part);
        }
        // A remainder takes as long as a look into memory; ours is always a power of two, a stored one need not be.
        let word = move |place: u32| {
            let place = (place >> 6) as usize;
            if words.is_power_of_two() { place & (words - 1) } else { place % words }
        };
        places.into_iter().map(move |place| (word(place), 1 << (place & 63)))
    }
}

/// A Bloom filter: never denies what was, and ever more rarely denies what was not, so that in doubt nobody is blocked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Traces(Vec<u64>);

impl Traces {
    /// Of a session that has forgotten operations and did not keep their traces: any may have been among them.
    pub(crate) fn of_anything() -> Self {
        Self([u64::MAX].into())
    }

    /// Keeps a trace, in a room that goes by how many records are kept.
    pub(crate) fn insert(&mut self, what: Trace<'_>, records: usize) {
        if self.0.is_empty() {
            self.0.resize(records.clamp(16, MOST_WORDS).next_power_of_two(), 0);
        }
        for (word, bit) in what.bits(self.0.len()) {
            if let Some(word) = self.0.get_mut(word) {
                *word |= bit;
            }
        }
    }

    /// Whether it may be among what was forgotten; `false` is certain.
    pub(crate) fn may_contain(&self, what: Trace<'_>) -> bool {
        !self.0.is_empty()
            && what.bits(self.0.len()).all(|(word, bit)| self.0.get(word).is_some_and(|word| word & bit != 0))
    }

    /// Sixteen hexadecimal digits a word; nothing where nothing was forgotten.
    pub(crate) fn to_text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| words::to_text(&self.0))
    }

    /// The opposite of [`to_text`](Self::to_text); `None` for what that does not write.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        words::parse(text).filter(|words| !words.is_empty()).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn what_was_is_never_denied_and_what_was_not_nearly_always() {
        let mut traces = Traces::default();
        assert!(!traces.may_contain(Trace::Operation("o")), "nothing was");
        (0..5_000).for_each(|n| traces.insert(Trace::Operation(&format!("o{n}")), 1_000));
        assert!((0..5_000).all(|n| traces.may_contain(Trace::Operation(&format!("o{n}")))));
        let wrong = (0..5_000).filter(|n| traces.may_contain(Trace::Operation(&format!("x{n}")))).count();
        assert!(wrong < 100, "{wrong} of 5000");
        let state = StateRef::of("one");
        traces.insert(Trace::State("a", &state), 1_000);
        assert!(
            traces.may_contain(Trace::State("a", &state)) && !traces.may_contain(Trace::State("b", &state))
        );
    }

    /// One build stores them and another reads them. As an implementation of SipHash-1-3-128 of its own has them, in Python.
    #[test]
    fn the_bits_are_the_same_for_ever() {
        let mut traces = Traces::default();
        traces.insert(Trace::Operation("o"), 16);
        traces.insert(Trace::State("src/a.py", &StateRef::of("one")), 16);
        let bits = concat!(
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000010000000000000004000000000000008800000000000000000000000",
            "0000000000808080000000000000000000000000000000000080000000000000",
            "0000000000000000000000000000000000000000000000000000000000000000",
        );
        assert_eq!(traces.to_text().as_deref(), Some(bits));
    }

    #[test]
    fn the_text_of_traces_is_read_back_and_no_other() {
        let mut traces = Traces::default();
        assert_eq!(traces.to_text(), None);
        traces.insert(Trace::Operation("o"), 20);
        assert_eq!(Traces::parse(&traces.to_text().unwrap()), Some(traces));
        for bad in ["", "0", "00000000000000000", "+000000000000001", "000000000000000g", "ä00000000000000"]
        {
            assert_eq!(Traces::parse(bad), None, "{bad}");
        }
        assert!(Traces::of_anything().may_contain(Trace::Operation("whatever")));
    }
}
