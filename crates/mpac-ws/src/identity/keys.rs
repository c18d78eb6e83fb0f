//! The keys and tokens that this server issued (SEC-09, SEC-11): whose each is, where it is good, what it grants, until when.

use mpac_wire::names::{CredentialType, Role};
use mpac_wire::{InstanceId, PrincipalId, Seconds, Secret, SessionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::certificates::{Barred, Trusted};
use super::secret::{self, Hash, NoRandomness};
use super::signers::Signer;
use super::{Shown, Standing};

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    #[serde(default, rename = "key", skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<Key>,
    /// Certificates that are trusted by their fingerprints.
    #[serde(default, rename = "certificate", skip_serializing_if = "Vec::is_empty")]
    pub(super) certificates: Vec<Trusted>,
    /// Certificates that are no good, whoever issued them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) barred: Vec<Barred>,
    /// Keys that participants sign with.
    #[serde(default, rename = "signer", skip_serializing_if = "Vec::is_empty")]
    pub(super) signers: Vec<Signer>,
}

/// One key. Its secret is not here, only a hash of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// The name in the secret.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) principal: PrincipalId,
    /// As what it is shown: `api_key` or `bearer_token`.
    pub(crate) method: CredentialType,
    hash: Hash,
    /// Where it is good; absent is every session of this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sessions: Option<Vec<SessionId>>,
    /// What it grants; absent is whatever the role policy says (ROL-10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roles: Option<Vec<Role>>,
    pub(crate) created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_at: Option<Timestamp>,
    /// The secret before the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Before>,
    /// Of an invitation: who has taken it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) invite: Option<Invite>,
}

/// A secret that was replaced, and how long it is still good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    hash: Hash,
    until: Timestamp,
}

/// A key for one use: whoever is the first to join with it has it, and comes back with it after a break.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invite {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) taken_by: Option<InstanceId>,
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) principal: PrincipalId,
    pub(crate) method: CredentialType,
    pub(crate) sessions: Option<Vec<SessionId>>,
    pub(crate) roles: Option<Vec<Role>>,
    /// How long it is good; absent is until it is revoked.
    pub(crate) lifetime: Option<Seconds>,
    pub(crate) invite: bool,
}

impl Keys {
    /// Makes a key; its secret is told this once.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn issue(&mut self, grant: Grant, now: Timestamp) -> Result<(Key, Secret), NoRandomness> {
        let (id, secret) = secret::make()?;
        let key = Key {
            id,
            principal: grant.principal,
            method: grant.method,
            hash: Hash::of(secret.reveal()),
            sessions: grant.sessions,
            roles: grant.roles,
            created_at: now,
            expires_at: grant.lifetime.map(|lifetime| now.after(&lifetime)),
            revoked_at: None,
            before: None,
            invite: grant.invite.then(Invite::default),
        };
        self.keys.push(key.clone());
        Ok((key, secret))
    }

    /// Gives a key another secret; the old one is good for `grace` longer. `None` when there is no such key, or it is revoked.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn rotate(
        &mut self,
        id: &str,
        grace: &Seconds,
        now: Timestamp,
    ) -> Result<Option<Secret>, NoRandomness> {
        let Some(key) = self.keys.iter_mut().find(|key| key.id == id && key.revoked_at.is_none()) else {
            return Ok(None);
        };
        let secret = secret::of(id)?;
        let hash = std::mem::replace(&mut key.hash, Hash::of(secret.reveal()));
        key.before = (grace.micros() > 0).then(|| Before { hash, until: now.after(grace) });
        Ok(Some(secret))
    }

    /// Whether there was such a key to revoke.
    pub(crate) fn revoke(&mut self, id: &str, now: Timestamp) -> bool {
        let key = self.keys.iter_mut().find(|key| key.id == id);
        key.is_some_and(|key| key.revoked_at.replace(key.revoked_at.unwrap_or(now)).is_none())
    }

    /// Gives an invitation to `instance`; false when another has it.
    pub(super) fn claim(&mut self, id: &str, instance: &InstanceId) -> bool {
        let invite = self.keys.iter_mut().find(|key| key.id == id).and_then(|key| key.invite.as_mut());
        invite.is_some_and(|invite| invite.taken_by.get_or_insert_with(|| instance.clone()) == instance)
    }

    /// Takes an invitation from `instance`, if it has it.
    pub(super) fn give_back(&mut self, id: &str, instance: &InstanceId) {
        let invite = self.keys.iter_mut().find(|key| key.id == id).and_then(|key| key.invite.as_mut());
        if let Some(invite) = invite.filter(|invite| invite.taken_by.as_ref() == Some(instance)) {
            invite.taken_by = None;
        }
    }

    /// The key whose secret was shown, where and as what it is good.
    ///
    /// # Errors
    /// Why there is none, for the operator: its end is told only of a key whose secret was shown.
    pub(super) fn good(&self, shown: Shown<'_>, now: Timestamp) -> Result<&Key, String> {
        let secret = shown.credential.value.reveal();
        let name = secret::id(secret).ok_or("it has not the form of a key that `mpac-ws token add` makes")?;
        let known = self.keys.iter().find(|key| key.id == name);
        let key = known.ok_or("the key file has no key of its name; is it a key of another server?")?;
        let here = key.sessions.as_ref().is_none_or(|sessions| sessions.contains(shown.at.session));
        let taken = key.invite.as_ref().and_then(|invite| invite.taken_by.as_ref());
        let theirs = taken.is_none_or(|by| *by == shown.sender.sender_instance_id);
        let why = if !key.is_secret(secret, now) {
            "was shown with another secret, or with one that was rotated away".to_owned()
        } else if key.method != shown.credential.kind {
            format!("is a {}", key.method)
        } else if key.revoked_at.is_some() {
            "is revoked".to_owned()
        } else if !key.is_current(now) {
            "has expired".to_owned()
        } else if !here {
            "is not for this session".to_owned()
        } else if !theirs {
            "is an invitation that is taken up already; `mpac-ws token add` makes a key that can be used again".to_owned()
        } else {
            return Ok(key);
        };
        Err(format!("key {} {why}", key.id))
    }

    /// Trusts a certificate, in place of what was said of it before: that it is barred, too.
    pub(crate) fn trust(&mut self, trusted: Trusted) {
        self.barred.retain(|it| it.fingerprint != trusted.fingerprint);
        self.certificates.retain(|it| it.fingerprint != trusted.fingerprint);
        self.certificates.push(trusted);
    }

    /// Whether there was such a certificate to revoke. It may be an authority's, so nothing below it is good any more either.
    pub(crate) fn distrust(&mut self, fingerprint: &str, now: Timestamp) -> bool {
        let mut was_good = false;
        // Whoever writes into the file may say more than one thing of it.
        for it in self.certificates.iter_mut().filter(|it| it.fingerprint == fingerprint) {
            was_good |= it.revoked_at.replace(it.revoked_at.unwrap_or(now)).is_none();
        }
        if was_good {
            self.bar(fingerprint.to_owned(), now);
        }
        was_good
    }

    /// Every certificate.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Trusted> {
        self.certificates.iter()
    }

    /// Whether this secret of the key of this name is good. That a key ends by itself is the session's business.
    pub(super) fn standing(&self, id: &str, secret: &Hash, now: Timestamp) -> Standing {
        let key = self.keys.iter().find(|key| key.id == id && key.revoked_at.is_none());
        match key.map(|key| (key.hash == *secret, &key.before)) {
            Some((true, _)) => Standing::Good,
            Some((false, Some(before))) if before.hash == *secret && now < before.until => {
                Standing::Until(before.until)
            }
            _ => Standing::Over,
        }
    }

    /// Whether there is a certificate of this fingerprint, and it is good.
    pub(super) fn trusts(&self, fingerprint: &str, now: Timestamp) -> bool {
        self.certificates.iter().any(|it| it.fingerprint == fingerprint && it.is_current(now))
    }

    /// Every key, in the order in which they were made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }
}

impl Key {
    /// Neither revoked nor over: like every time limit it is over at its moment (D-012).
    pub(crate) fn is_current(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    pub(super) fn is_unclaimed_invite(&self) -> bool {
        self.invite.as_ref().is_some_and(|invite| invite.taken_by.is_none())
    }

    /// When `secret`, which is this key's, ends.
    pub(super) fn good_until(&self, secret: &str) -> Option<Timestamp> {
        if self.hash.matches(secret) {
            return self.expires_at;
        }
        let before = self.before.as_ref().map(|before| before.until);
        self.expires_at.into_iter().chain(before).min()
    }

    fn is_secret(&self, secret: &str, now: Timestamp) -> bool {
        let before =
            self.before.as_ref().is_some_and(|before| before.hash.matches(secret) && now < before.until);
        self.hash.matches(secret) || before
    }
}

#[cfg(test)]
mod tests {
    use mpac_wire::names::PrincipalType;
    use mpac_wire::{Credential, Sender};

    use super::*;
    use crate::identity::At;

    fn at(sec: i64) -> Timestamp {
        Timestamp::from_micros(sec * 1_000_000)
    }

    fn grant() -> Grant {
        let principal = PrincipalId::new("agent:bob").unwrap();
        let (sessions, roles, lifetime) = (None, None, None);
        Grant { principal, method: CredentialType::ApiKey, sessions, roles, lifetime, invite: false }
    }

    /// Whether it is good in `session`, shown by `instance` as `kind` at `sec`.
    fn good(keys: &Keys, secret: &Secret, (session, instance, kind, sec): (&str, &str, &str, i64)) -> bool {
        let session = SessionId::new(session).unwrap();
        let principal = PrincipalId::new("agent:bob").unwrap();
        let sender = Sender::new(principal, PrincipalType::Agent, InstanceId::new(instance).unwrap());
        let credential = Credential::new(CredentialType::from(kind), secret.clone());
        let at = At { session: &session, certificate: None, stranger: true };
        let shown = Shown { at, sender: &sender, credential: &credential };
        keys.good(shown, self::at(sec)).is_ok()
    }

    #[test]
    fn a_key_is_good_as_what_it_is_where_it_is_and_as_long_as_it_is() {
        let mut keys = Keys::default();
        let sessions = Some(vec![SessionId::new("s").unwrap()]);
        let grant = Grant { sessions, lifetime: Some(Seconds::whole(10)), ..grant() };
        let (key, secret) = keys.issue(grant, at(0)).unwrap();
        assert!(good(&keys, &secret, ("s", "i", "api_key", 9)));
        assert!(!good(&keys, &secret, ("s", "i", "api_key", 10)), "it is over at its moment");
        assert!(!good(&keys, &secret, ("t", "i", "api_key", 9)), "another session");
        assert!(!good(&keys, &secret, ("s", "i", "bearer_token", 9)), "another type");
        let forged = Secret::new(&format!("mpac_{}_{}", key.id, "0".repeat(64)));
        assert!(!good(&keys, &forged, ("s", "i", "api_key", 9)), "the name alone");
        assert!(keys.revoke(&key.id, at(5)) && !keys.revoke(&key.id, at(6)) && !keys.revoke("x", at(6)));
        assert!(!good(&keys, &secret, ("s", "i", "api_key", 6)));
        assert_eq!(keys.keys[0].revoked_at, Some(at(5)), "the first time counts");
    }

    #[test]
    fn the_old_secret_is_good_for_its_grace_after_a_rotation() {
        let mut keys = Keys::default();
        let (key, old) = keys.issue(grant(), at(0)).unwrap();
        let new = keys.rotate(&key.id, &Seconds::whole(60), at(100)).unwrap().unwrap();
        let of = |keys: &Keys, secret: &Secret, sec| good(keys, secret, ("s", "i", "api_key", sec));
        assert!(of(&keys, &old, 159) && !of(&keys, &old, 160) && of(&keys, &new, 1000));
        assert_eq!(keys.keys[0].good_until(old.reveal()), Some(at(160)));
        assert_eq!(keys.keys[0].good_until(new.reveal()), None);
        let standing =
            |keys: &Keys, secret: &Secret, sec| keys.standing(&key.id, &Hash::of(secret.reveal()), at(sec));
        assert_eq!(standing(&keys, &old, 159), Standing::Until(at(160)));
        assert_eq!(standing(&keys, &old, 160), Standing::Over);
        assert_eq!(standing(&keys, &new, 1000), Standing::Good);
        let newer = keys.rotate(&key.id, &Seconds::whole(0), at(200)).unwrap().unwrap();
        assert!(!of(&keys, &new, 200) && of(&keys, &newer, 200), "without a grace at once");
        keys.revoke(&key.id, at(300));
        assert!(keys.rotate(&key.id, &Seconds::whole(0), at(301)).unwrap().is_none());
    }

    #[test]
    fn an_invitation_is_for_whoever_comes_first() {
        let mut keys = Keys::default();
        let (key, secret) = keys.issue(Grant { invite: true, ..grant() }, at(0)).unwrap();
        let [one, two] = ["one", "two"].map(|id| InstanceId::new(id).unwrap());
        assert!(good(&keys, &secret, ("s", "two", "api_key", 1)), "nobody has it yet");
        assert!(keys.claim(&key.id, &one) && !keys.claim(&key.id, &two) && keys.claim(&key.id, &one));
        assert!(good(&keys, &secret, ("s", "one", "api_key", 1)));
        assert!(!good(&keys, &secret, ("s", "two", "api_key", 1)));
    }

    #[test]
    fn what_is_written_is_read_and_holds_no_secret() {
        let mut keys = Keys::default();
        let (key, secret) = keys.issue(Grant { roles: Some(vec![Role::Owner]), ..grant() }, at(0)).unwrap();
        let rotated = keys.rotate(&key.id, &Seconds::whole(60), at(1)).unwrap().unwrap();
        let text = toml::to_string(&keys).unwrap();
        assert_eq!(toml::from_str::<Keys>(&text).unwrap(), keys);
        for secret in [secret, rotated] {
            let hidden = secret.reveal().rsplit('_').next().unwrap();
            assert!(!text.contains(hidden) && !format!("{keys:?}").contains(hidden));
        }
    }
}
