//! Whose keys are good, and until when (SEC-31, SEC-32). No rules on messages.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::payload::ParticipantKey;
use mpac_wire::{Fingerprint, PrincipalId, PublicKey, Timestamp};

/// Keys of one principal that are good at one time: the one in use, and those that it has lately taken the place of.
pub(super) const MOST_GOOD: usize = 4;
/// Certified keys of one principal that are over and still remembered, so that none of them comes back.
const MOST_OVER: usize = 32;

/// A key of somebody. All are for Ed25519.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoundKey {
    pub(crate) key: PublicKey,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) from: Timestamp,
    /// From when on it is no good; the one in use has none.
    pub(crate) until: Option<Timestamp>,
    /// A credential named it, and could bring it back.
    pub(crate) certified: bool,
}

impl BoundKey {
    pub(crate) fn new(key: PublicKey, from: Timestamp, certified: bool) -> Self {
        Self { fingerprint: key.fingerprint(), key, from, until: None, certified }
    }

    /// Over at the moment it ends (D-012).
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    fn ends(&mut self, at: Timestamp) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }

    /// As others are told.
    pub(crate) fn told(&self, principal: &PrincipalId) -> ParticipantKey {
        let mut told = ParticipantKey::new(
            principal.clone(),
            SignatureAlgorithm::Ed25519,
            self.key.clone(),
            self.fingerprint,
            self.from,
        );
        told.valid_until = self.until;
        told
    }
}

/// The keys of everybody, each of one owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Keys {
    of: BTreeMap<PrincipalId, Vec<BoundKey>>,
    /// Derived.
    owners: BTreeMap<Fingerprint, PrincipalId>,
}

impl Keys {
    /// A key and its owner.
    pub(crate) fn get(&self, key: &Fingerprint) -> Option<(&PrincipalId, &BoundKey)> {
        let owner = self.owners.get(key)?;
        self.all_of(owner).iter().find(|bound| bound.fingerprint == *key).map(|bound| (owner, bound))
    }

    fn all_of(&self, principal: &PrincipalId) -> &[BoundKey] {
        self.of.get(principal).map_or(&[], Vec::as_slice)
    }

    /// The keys of `principal` that are good at `now`, in the order in which they came.
    pub(crate) fn good(&self, principal: &PrincipalId, now: Timestamp) -> impl Iterator<Item = &BoundKey> {
        self.all_of(principal).iter().filter(move |bound| !bound.is_over(now))
    }

    /// Everything, for snapshots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&PrincipalId, &BoundKey)> {
        self.of.iter().flat_map(|(owner, keys)| keys.iter().map(move |bound| (owner, bound)))
    }

    /// `principal` goes on with `bound`; its other keys end at `others_end`. Whoever else had the key has it no more.
    pub(crate) fn bind(
        &mut self,
        principal: &PrincipalId,
        bound: BoundKey,
        others_end: Timestamp,
        now: Timestamp,
    ) {
        if let Some(before) = self.owners.get(&bound.fingerprint).cloned()
            && let Some(keys) = self.of.get_mut(&before)
        {
            keys.retain(|it| it.fingerprint != bound.fingerprint);
        }
        self.all_of_mut(principal).iter_mut().for_each(|key| key.ends(others_end));
        self.put(principal, bound);
        self.forget_old(principal, now);
    }

    /// As it was stored.
    pub(crate) fn put(&mut self, principal: &PrincipalId, bound: BoundKey) {
        self.owners.insert(bound.fingerprint, principal.clone());
        self.all_of_mut(principal).push(bound);
    }

    fn all_of_mut(&mut self, principal: &PrincipalId) -> &mut Vec<BoundKey> {
        self.of.entry(principal.clone()).or_default()
    }

    /// Keys that no credential names cannot come back: the next owner of such a key is as good as the first.
    fn forget_old(&mut self, principal: &PrincipalId, now: Timestamp) {
        let Some(keys) = self.of.get_mut(principal) else { return };
        let mut too_many = keys.iter().filter(|key| key.is_over(now) && key.certified).count();
        too_many = too_many.saturating_sub(MOST_OVER);
        let owners = &mut self.owners;
        keys.retain(|key| {
            let over = key.is_over(now);
            let surplus = over && key.certified && too_many > 0;
            too_many -= usize::from(surplus);
            let forgotten = surplus || (over && !key.certified);
            if forgotten {
                owners.remove(&key.fingerprint);
            }
            !forgotten
        });
    }

    /// Nobody of this name is remembered any more.
    pub(crate) fn forget(&mut self, principal: &PrincipalId) {
        for key in self.of.remove(principal).unwrap_or_default() {
            self.owners.remove(&key.fingerprint);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn key(n: u8) -> PublicKey {
        PublicKey::new(&[n; 32])
    }

    fn good(keys: &Keys, who: &PrincipalId, now: i64) -> Vec<Fingerprint> {
        keys.good(who, at(now)).map(|bound| bound.fingerprint).collect()
    }

    #[test]
    fn a_key_has_one_owner_and_ends_when_another_takes_its_place() {
        let (a, b) = (PrincipalId::new("a").unwrap(), PrincipalId::new("b").unwrap());
        let mut keys = Keys::default();
        keys.bind(&a, BoundKey::new(key(1), at(0), true), at(0), at(0));
        keys.bind(&a, BoundKey::new(key(2), at(10), false), at(70), at(10));
        assert_eq!(good(&keys, &a, 69), [key(1).fingerprint(), key(2).fingerprint()]);
        assert_eq!(good(&keys, &a, 70), [key(2).fingerprint()], "over at the moment it ends");
        // A third does not make the first live longer.
        keys.bind(&a, BoundKey::new(key(3), at(20), false), at(80), at(20));
        assert_eq!(good(&keys, &a, 75), [key(2).fingerprint(), key(3).fingerprint()]);
        keys.bind(&b, BoundKey::new(key(3), at(30), true), at(30), at(30));
        assert_eq!(keys.get(&key(3).fingerprint()).unwrap().0, &b);
        assert_eq!(good(&keys, &a, 75), [key(2).fingerprint()]);
    }

    #[test]
    fn what_is_remembered_of_old_keys_has_a_bound() {
        let a = PrincipalId::new("a").unwrap();
        let mut keys = Keys::default();
        for n in 0..200 {
            let now = at(i64::from(n));
            keys.bind(&a, BoundKey::new(key(n), now, n % 2 == 0), now, now);
        }
        assert_eq!(keys.iter().count(), MOST_OVER + 1);
        assert_eq!(keys.owners.len(), MOST_OVER + 1);
        assert!(
            keys.get(&key(198).fingerprint()).unwrap().1.is_over(at(200)),
            "certified: it cannot come back"
        );
        assert!(keys.get(&key(197).fingerprint()).is_none());
        keys.forget(&a);
        assert_eq!(keys, Keys::default());
    }
}
