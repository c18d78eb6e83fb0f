//! Secrets that this server makes: 256 random bits behind a name, so that one is found without being compared with all.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use mpac_wire::Secret;
use serde::{Deserialize, Serialize};

use crate::hex;

/// How every secret begins: tools that look for secrets in texts find it by that.
const PREFIX: &str = "mpac_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// The system has no random numbers to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandomness;

/// What is kept of a secret. A plain hash is enough: nobody can guess 256 random bits, however fast they can try.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hash(String);

impl Hash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(format!("sha256:{}", hex::sha256(secret)))
    }

    /// Takes as long whatever the difference is (SEC-11).
    pub(crate) fn matches(&self, secret: &str) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), Self::of(secret).0.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A new secret and the name in it: `mpac_<name>_<secret>`.
///
/// # Errors
/// When the system has no randomness.
pub(crate) fn make() -> Result<(String, Secret), NoRandomness> {
    let id = random::<ID_BYTES>()?;
    let secret = of(&id)?;
    Ok((id, secret))
}

/// Another secret of that name.
///
/// # Errors
/// As [`make`].
pub(crate) fn of(id: &str) -> Result<Secret, NoRandomness> {
    Ok(Secret::new(&format!("{PREFIX}{id}_{}", random::<SECRET_BYTES>()?)))
}

/// The name in a secret, if it has our form. It is no secret.
pub(crate) fn id(secret: &str) -> Option<&str> {
    secret.strip_prefix(PREFIX)?.split_once('_').map(|(id, _)| id)
}

fn random<const N: usize>() -> Result<String, NoRandomness> {
    hex::random::<N>().map_err(|_| NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_its_name_and_known_by_its_hash() {
        let (name, secret) = make().unwrap();
        let text = secret.reveal();
        assert_eq!(id(text), Some(name.as_str()));
        let hash = Hash::of(text);
        assert!(hash.matches(text));
        assert!(!hash.matches(&format!("{text} ")) && !hash.matches(of(&name).unwrap().reveal()));
        assert!(!serde_json::to_string(&hash).unwrap().contains(&text[20..]));
        assert_eq!(format!("{hash:?}"), "***");
    }

    #[test]
    fn other_peoples_tokens_have_no_name() {
        for text in ["", "mpac_", "mpac_abc", "eyJhbGciOi.J9.x", "MPAC_a_b"] {
            assert_eq!(id(text), None, "{text}");
        }
    }
}
