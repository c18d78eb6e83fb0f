//! What an auditor trusts: the file of `audit verify --keys`.
//!
//! ```json
//! {
//!   "coordinator": ["sha256:8a88…be0f"],
//!   "principals": {"agent:alice": ["sha256:1f3c…77a2"]},
//!   "trust_anchors": ["ca.pem"]
//! }
//! ```
//!
//! A key is named by its fingerprint or given itself, in base64url. Anchors are PEM files, found from where this file lies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mpac_wire::{Fingerprint, PrincipalId, PublicKey, Timestamp};
use serde::Deserialize;

use crate::audit::problem::Problem;
use crate::identity::certificate::Read;
use crate::identity::chain::{Anchors, Chain};

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    coordinator: Vec<String>,
    #[serde(default)]
    principals: BTreeMap<PrincipalId, Vec<String>>,
    #[serde(default)]
    trust_anchors: Vec<String>,
}

/// Whose keys are believed to be whose, without the coordinator's word.
#[derive(Debug, Default)]
pub(super) struct Trust {
    coordinator: BTreeSet<Fingerprint>,
    principals: BTreeMap<PrincipalId, BTreeSet<Fingerprint>>,
    anchors: Vec<Anchors>,
    /// Keys that were given and not only named.
    given: Vec<PublicKey>,
}

/// Why a key is believed to be somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Why {
    /// The auditor's file names it.
    Named,
    /// Its certificate leads to an anchor of the file.
    Certified,
    /// A key that was believed has signed that this one takes its place.
    Rotated,
}

impl Trust {
    /// What the file at `path` says.
    ///
    /// # Errors
    /// What is wrong with it, and how it should look.
    pub(super) fn read(path: &Path) -> Result<Self, Problem> {
        let text =
            fs::read_to_string(path).map_err(|source| Problem::File { path: path.to_owned(), source })?;
        let wrong = |reason: String| Problem::Trust { path: path.to_owned(), reason };
        let written: Written = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if written.coordinator.is_empty() {
            return Err(wrong("it names no key of the coordinator".to_owned()));
        }
        let mut trust = Self::default();
        for text in &written.coordinator {
            let key = trust.key(text).map_err(|reason| wrong(format!("coordinator: {text:?}: {reason}")))?;
            trust.coordinator.insert(key);
        }
        for (principal, keys) in &written.principals {
            for text in keys {
                let key =
                    trust.key(text).map_err(|reason| wrong(format!("{principal}: {text:?}: {reason}")))?;
                trust.principals.entry(principal.clone()).or_default().insert(key);
            }
        }
        let dir = path.parent().unwrap_or_else(|| Path::new(""));
        for name in &written.trust_anchors {
            let anchors = Anchors::at(dir.join(name)).map_err(|error| wrong(error.to_string()))?;
            trust.anchors.push(anchors);
        }
        Ok(trust)
    }

    fn key(&mut self, text: &str) -> Result<Fingerprint, String> {
        if let Ok(fingerprint) = text.parse::<Fingerprint>() {
            return Ok(fingerprint);
        }
        match text.parse::<PublicKey>() {
            Ok(key) if key.as_bytes().len() == mpac_wire::signature::ED25519_KEY_BYTES => {
                let fingerprint = key.fingerprint();
                self.given.push(key);
                Ok(fingerprint)
            }
            _ => {
                Err("give sha256: and 64 hexadecimal digits, or the 32 bytes of the key in base64url"
                    .to_owned())
            }
        }
    }

    /// The coordinator's keys.
    pub(super) const fn coordinator(&self) -> &BTreeSet<Fingerprint> {
        &self.coordinator
    }

    /// Keys that came with the file.
    pub(super) fn given(&self) -> &[PublicKey] {
        &self.given
    }

    /// Whether `key` is that of `principal`: the file names it, or the certificates that were shown with it lead to one of
    /// the anchors at that time, and name the principal and the key.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub(super) fn owner(
        &self,
        principal: &PrincipalId,
        key: &PublicKey,
        shown: Option<&str>,
        at: Timestamp,
    ) -> Result<Why, String> {
        if self.principals.get(principal).is_some_and(|keys| keys.contains(&key.fingerprint())) {
            return Ok(Why::Named);
        }
        let Some(shown) = shown else {
            return Err("its HELLO has no certificate, and the keys file does not name the key".to_owned());
        };
        if self.anchors.is_empty() {
            return Err("the keys file neither names the key nor has trust anchors".to_owned());
        }
        let (certified, _) = self.certified(principal, shown, at)?;
        if certified.as_ref() != Some(key) {
            return Err("its certificate is of another key".to_owned());
        }
        Ok(Why::Certified)
    }

    /// Until when a principal may speak by the certificates that it showed at this time; `None` where they do not count, because
    /// the file names its keys.
    ///
    /// # Errors
    /// Why they prove nothing.
    pub(super) fn until(
        &self,
        principal: &PrincipalId,
        shown: &str,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, String> {
        if self.principals.contains_key(principal) {
            return Ok(None);
        }
        self.certified(principal, shown, at).map(|(_, until)| Some(until))
    }

    /// The key that certificates vouch for, and until when.
    fn certified(
        &self,
        principal: &PrincipalId,
        shown: &str,
        at: Timestamp,
    ) -> Result<(Option<PublicKey>, Timestamp), String> {
        let chain = Chain::parse(shown).map_err(|error| format!("its certificate: {error}"))?;
        let leaf = Read::of(chain.leaf()).ok_or("its certificate cannot be read")?;
        if leaf.owner(principal) != Some(principal) {
            return Err("its certificate is somebody else's".to_owned());
        }
        let mut reasons = Vec::new();
        for anchors in &self.anchors {
            match anchors.judge(&chain, &leaf, at) {
                Ok(until) => return Ok((leaf.key, until)),
                Err(reason) => reasons.push(reason.to_string()),
            }
        }
        Err(format!("its certificate: {}", reasons.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trust, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        fs::write(&path, text).unwrap();
        Trust::read(&path).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_key_is_named_or_given() {
        let key = PublicKey::new(&[7; 32]);
        let text = format!(
            r#"{{"coordinator":["{}","{}"],"principals":{{"agent:a":["{key}"]}}}}"#,
            key.fingerprint(),
            PublicKey::new(&[8; 32])
        );
        let trust = read(&text).unwrap();
        assert_eq!((trust.coordinator().len(), trust.given().len()), (2, 2));
        let owner =
            |who: &str| trust.owner(&PrincipalId::new(who).unwrap(), &key, None, Timestamp::from_micros(0));
        assert_eq!(owner("agent:a"), Ok(Why::Named));
        assert!(owner("agent:b").unwrap_err().contains("does not name the key"));
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        let fingerprint = PublicKey::new(&[7; 32]).fingerprint();
        for (text, part) in [
            ("", "EOF"),
            (r#"{"principals":{}}"#, "coordinator"),
            (r#"{"coordinator":[]}"#, "names no key of the coordinator"),
            (r#"{"coordinator":["sha256:12"]}"#, "64 hexadecimal digits"),
            (r#"{"coordinator":["BwcH"]}"#, "32 bytes"),
            (&format!(r#"{{"coordinator":["{fingerprint}"],"people":{{}}}}"#), "people"),
            (&format!(r#"{{"coordinator":["{fingerprint}"],"principals":{{"agent:a":["x"]}}}}"#), "agent:a"),
            (&format!(r#"{{"coordinator":["{fingerprint}"],"trust_anchors":["none.pem"]}}"#), "none.pem"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part) && error.contains(r#""coordinator""#), "{part}: {error}");
        }
    }
}
