//! When somebody's silence falls due. All have the same time for it, so whoever is heard goes to the end of a list, and
//! nobody has to be searched for: every message moves one.

use alloc::vec::Vec;

use mpac_wire::{PrincipalId, Timestamp};

use crate::by_id::ById;

/// Those who are watched, by when their silence falls due.
#[derive(Clone, Debug)]
pub(super) struct Silence {
    places: ById<PrincipalId, usize>,
    /// A ring in the order of time, which never gets shorter: whatever number of a place is kept anywhere stays one. The place
    /// at 0 is nobody's: it is where the ring begins and ends.
    ring: Vec<Place>,
    /// Other places that are nobody's.
    free: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Place {
    who: Option<PrincipalId>,
    at: Timestamp,
    before: usize,
    after: usize,
}

impl Place {
    /// The only one of its ring, or not in one yet.
    const fn at(here: usize) -> Self {
        Self { who: None, at: Timestamp::from_micros(0), before: here, after: here }
    }
}

/// Whoever falls due at one time: in which order they came there does not matter.
impl PartialEq for Silence {
    fn eq(&self, other: &Self) -> bool {
        self.places.len() == other.places.len() && self.iter().all(|(at, who)| other.get(who) == Some(at))
    }
}

impl Silence {
    /// Nobody yet. `seed` is the session's.
    pub(super) fn new(seed: u64) -> Self {
        Self { places: ById::new(seed), ring: [Place::at(0)].into(), free: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.ring = [Place::at(0)].into();
        self.free.clear();
    }

    pub(super) fn get(&self, who: &PrincipalId) -> Option<Timestamp> {
        self.places.get(who).map(|place| self.ring[*place].at)
    }

    /// The earliest.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.iter().next().map(|(at, _)| at)
    }

    /// In the order of time, and in none among those of one time.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Timestamp, &PrincipalId)> {
        let places = core::iter::successors(self.ring.first(), |place| self.ring.get(place.after));
        places.skip(1).map_while(|place| Some((place.at, place.who.as_ref()?)))
    }

    /// Watches somebody from now on until `at`.
    pub(super) fn set(&mut self, who: &PrincipalId, at: Timestamp) {
        let place = match self.places.get(who) {
            Some(place) => *place,
            None => self.make_place(who),
        };
        self.unlink(place);
        // Nearly always nobody is later.
        let mut before = self.ring[0].before;
        while before != 0 && self.ring[before].at > at {
            before = self.ring[before].before;
        }
        let after = self.ring[before].after;
        let here = &mut self.ring[place];
        (here.at, here.before, here.after) = (at, before, after);
        self.ring[before].after = place;
        self.ring[after].before = place;
    }

    /// Watches somebody no more.
    pub(super) fn remove(&mut self, who: &PrincipalId) {
        if let Some(place) = self.places.remove(who) {
            self.unlink(place);
            self.ring[place] = Place::at(place);
            self.free.push(place);
        }
    }

    fn make_place(&mut self, who: &PrincipalId) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.ring.push(Place::at(self.ring.len()));
            self.ring.len() - 1
        });
        self.ring[place].who = Some(who.clone());
        self.places.insert(who.clone(), place);
        place
    }

    fn unlink(&mut self, place: usize) {
        let Place { before, after, .. } = self.ring[place];
        self.ring[before].after = after;
        self.ring[after].before = before;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes and goes, in whatever order of time: what is there is what a map and a sort have.
        #[test]
        fn it_is_a_sorted_list(steps in proptest::collection::vec((0..6_u8, proptest::option::of(0..9_i64)), 0..60)) {
            let (mut silence, mut known) = (Silence::new(0), BTreeMap::new());
            for (who, at) in steps {
                let who = PrincipalId::new(format!("p{who}")).unwrap();
                match at.map(Timestamp::from_micros) {
                    Some(at) => {
                        silence.set(&who, at);
                        known.insert(who, at);
                    }
                    None => {
                        silence.remove(&who);
                        known.remove(&who);
                    }
                }
                let (mut found, mut expected): (Vec<_>, Vec<_>) =
                    (silence.iter().collect(), known.iter().map(|(who, at)| (*at, who)).collect());
                prop_assert!(found.is_sorted_by_key(|(at, _)| *at));
                found.sort();
                expected.sort();
                prop_assert_eq!(&found, &expected);
                prop_assert_eq!(silence.first(), expected.first().map(|(at, _)| *at));
                let mut again = Silence::new(1);
                known.iter().for_each(|(who, at)| again.set(who, *at));
                prop_assert!(silence == again);
                prop_assert!(silence.ring.len() <= 7, "places are used again");
            }
        }
    }
}
