//! Client certificates that are trusted by their fingerprints (SEC-10).

use mpac_core::Identity;
use mpac_wire::names::{CredentialType, Role};
use mpac_wire::{PrincipalId, SessionId, Timestamp};
use rustls::pki_types::CertificateDer;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::Shown;
use super::keys::Keys;
use super::twin::twins;
use crate::listen::tls::fingerprint;

/// A certificate, and whose it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trusted {
    /// SHA-256 of the whole certificate, as [`normal`] writes it, however the file spells it.
    #[serde(deserialize_with = "in_normal_form")]
    pub(crate) fingerprint: String,
    pub(crate) principal: PrincipalId,
    /// Where it is good; absent is every session of this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sessions: Option<Vec<SessionId>>,
    /// What it grants; absent is whatever the role policy says (ROL-10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roles: Option<Vec<Role>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_at: Option<Timestamp>,
}

/// A certificate that is no good here, whoever issued it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Barred {
    /// As [`Trusted::fingerprint`].
    #[serde(deserialize_with = "in_normal_form")]
    pub(crate) fingerprint: String,
    pub(crate) revoked_at: Timestamp,
}

impl Trusted {
    pub(super) fn identity(&self) -> Identity {
        Identity::Proven {
            principal: self.principal.clone(),
            method: CredentialType::MtlsFingerprint,
            issuer: None,
            roles: self.roles.clone(),
            expires_at: self.expires_at,
        }
    }

    pub(super) fn is_good(&self, shown: Shown<'_>, now: Timestamp) -> bool {
        let here = self.sessions.as_ref().is_none_or(|sessions| sessions.contains(shown.at.session));
        here && self.is_current(now)
    }

    /// Neither revoked nor over.
    pub(super) fn is_current(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

impl Keys {
    /// Bars a certificate of which nothing was said, an authority's too: nothing below it is good from now on.
    pub(crate) fn bar(&mut self, fingerprint: String, now: Timestamp) {
        if self.barred.iter().all(|it| it.fingerprint != fingerprint) {
            self.barred.push(Barred { fingerprint, revoked_at: now });
        }
    }

    /// Every certificate that is barred.
    pub(crate) fn barred(&self) -> impl Iterator<Item = &Barred> {
        self.barred.iter()
    }

    pub(super) fn is_barred(&self, certificate: &CertificateDer<'_>) -> bool {
        let seen = fingerprints(certificate);
        self.barred.iter().any(|it| seen.contains(&it.fingerprint))
    }

    /// Everything that is said of a certificate.
    pub(super) fn said_of(&self, certificate: &CertificateDer<'_>) -> Vec<&Trusted> {
        let seen = fingerprints(certificate);
        self.certificates.iter().filter(|it| seen.contains(&it.fingerprint)).collect()
    }

    /// The entry of the certificate of this very connection, when the credential names it: a fingerprint is no secret, so
    /// naming somebody's proves nothing. That it is barred was said before there was an entry, which stands over that.
    pub(super) fn trusted(&self, shown: Shown<'_>, now: Timestamp) -> Option<&Trusted> {
        let seen = fingerprint(shown.at.certificate?);
        if normal(shown.credential.value.reveal())? != seen {
            return None;
        }
        self.certificates.iter().find(|it| it.fingerprint == seen && it.is_good(shown, now))
    }
}

/// That of a certificate, and those of its other forms, which whoever has it can make.
fn fingerprints(certificate: &CertificateDer<'_>) -> Vec<String> {
    let others = twins(certificate);
    std::iter::once(fingerprint(certificate)).chain(others.iter().map(fingerprint)).collect()
}

/// `sha256:` and 64 lower-case digits; case, colons and the prefix may differ in what people write.
pub(crate) fn normal(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.strip_prefix("sha256:").unwrap_or(&text).replace(':', "");
    let is_one = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| format!("sha256:{digits}"))
}

/// Whoever writes into the file by hand spells it as other programs print it.
fn in_normal_form<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    normal(&text).ok_or_else(|| D::Error::custom("this is no fingerprint: give the 64 digits of a SHA-256"))
}

#[cfg(test)]
mod tests {
    use mpac_wire::names::PrincipalType;
    use mpac_wire::{Credential, InstanceId, Secret, Sender};
    use rustls::pki_types::CertificateDer;

    use super::*;
    use crate::identity::At;

    #[test]
    fn a_fingerprint_may_be_spelled_in_every_usual_way() {
        let digits = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        for text in [&digits, &colons, &format!("sha256:{digits}"), &format!(" SHA256:{colons}\n")] {
            assert_eq!(normal(text).unwrap(), format!("sha256:{digits}"), "{text}");
        }
        for text in ["", "sha256:", &digits[1..], &format!("{digits}ab"), &digits.replace('a', "g")] {
            assert_eq!(normal(text), None, "{text}");
        }
    }

    #[test]
    fn what_was_said_last_of_a_certificate_counts() {
        let certificate = CertificateDer::from(vec![1; 4]);
        let name = fingerprint(&certificate);
        let [early, late] = [1, 2].map(Timestamp::from_micros);
        let trusted = Trusted {
            fingerprint: name.clone(),
            principal: PrincipalId::new("agent:bob").unwrap(),
            sessions: None,
            roles: None,
            expires_at: None,
            revoked_at: None,
        };
        let mut keys = Keys::default();
        keys.bar(fingerprint(&CertificateDer::from(vec![2; 4])), early);
        keys.bar(name.clone(), early);
        keys.trust(trusted);
        assert!(!keys.is_barred(&certificate) && keys.said_of(&certificate)[0].is_current(late));
        assert_eq!(keys.barred().count(), 1, "the other one");
        assert!(keys.distrust(&name, late) && !keys.said_of(&certificate)[0].is_current(late));
        assert!(keys.is_barred(&certificate), "it may be an authority's");
    }

    #[test]
    fn however_the_file_spells_it_a_certificate_is_revoked_and_trusted_anew() {
        let certificate = CertificateDer::from(vec![1; 4]);
        let name = fingerprint(&certificate);
        let digits = name.trim_start_matches("sha256:").to_uppercase();
        let pairs: Vec<&str> = (0..32).map(|at| &digits[2 * at..2 * at + 2]).collect();
        let entry = |spelled: &str, session: &str| {
            format!(
                "[[certificate]]\nfingerprint = '{spelled}'\nprincipal = 'agent:bob'\nsessions = ['{session}']\n"
            )
        };
        let file = entry(&pairs.join(":"), "s") + &entry(&digits, "t");
        let [early, late] = [1, 2].map(Timestamp::from_micros);
        let mut keys: Keys = toml::from_str(&file).unwrap();
        let mut again = keys.certificates[0].clone();
        assert!(keys.trusts(&name, early));
        assert!(keys.distrust(&name, early), "one that is there");
        assert!(!keys.trusts(&name, late), "in every session");
        assert!(keys.is_barred(&certificate) && !keys.distrust(&name, late));
        again.sessions = None;
        keys.trust(again);
        assert_eq!(keys.certificates().count(), 1, "in place of what was said of it before");

        let barred = format!("[[barred]]\nfingerprint = '{digits}'\nrevoked_at = '2026-01-01T00:00:00Z'\n");
        let mut keys: Keys = toml::from_str(&barred).unwrap();
        assert!(keys.is_barred(&certificate));
        keys.bar(name, late);
        assert_eq!(keys.barred().count(), 1);
        let told = toml::from_str::<Keys>(&entry(&digits[1..], "s")).unwrap_err().to_string();
        assert!(told.contains("line 2") && told.contains("is no fingerprint"), "{told}");
    }

    #[test]
    fn only_the_certificate_of_this_connection_counts() {
        let [own, other] = [[1; 4], [2; 4]].map(|bytes| CertificateDer::from(bytes.to_vec()));
        let (session, principal) = (SessionId::new("s").unwrap(), PrincipalId::new("agent:bob").unwrap());
        let instance = InstanceId::new("i").unwrap();
        let sender = Sender::new(principal.clone(), PrincipalType::Agent, instance);
        let trust = |certificate: &CertificateDer<'_>, revoked| Trusted {
            fingerprint: fingerprint(certificate),
            principal: principal.clone(),
            sessions: None,
            roles: None,
            expires_at: Some(Timestamp::from_micros(10)),
            revoked_at: revoked,
        };
        let look = |keys: &Keys, seen: Option<&CertificateDer<'static>>, named: &CertificateDer<'_>, now| {
            let secret = Secret::new(&fingerprint(named));
            let credential = Credential::new(CredentialType::MtlsFingerprint, secret);
            let at = At { session: &session, certificate: seen, stranger: true };
            let shown = Shown { at, sender: &sender, credential: &credential };
            keys.trusted(shown, Timestamp::from_micros(now)).is_some()
        };
        let keys = Keys { certificates: vec![trust(&own, None)], ..Keys::default() };
        assert!(look(&keys, Some(&own), &own, 9));
        assert!(!look(&keys, None, &own, 9), "no certificate, only its name");
        assert!(!look(&keys, Some(&other), &own, 9), "somebody else's name");
        assert!(!look(&keys, Some(&own), &other, 9) && !look(&keys, Some(&other), &other, 9));
        assert!(!look(&keys, Some(&own), &own, 10), "over");
        let revoked = Keys { certificates: vec![trust(&own, Some(Timestamp::from_micros(5)))], ..keys };
        assert!(!look(&revoked, Some(&own), &own, 9));
    }
}
