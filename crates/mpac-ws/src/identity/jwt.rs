//! Tokens of an identity provider: JWTs, signed by one of the keys in its JWKS file (SEC-09).
//!
//! Which algorithm is used follows from the key, never from the token; `none` and shared secrets are not among them. Issuer and
//! audience must be those that are configured, the subject is the principal, and the times must fit. Where no audience is
//! configured, it is the id of the session: a token for one session is then no good in another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use mpac_core::Identity;
use mpac_wire::names::{CredentialType, Role};
use mpac_wire::{PrincipalId, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use thiserror::Error;
use tracing::warn;

use super::{Shown, refused};
use crate::cli::Security;
use crate::reread::Reread;

/// How far the clocks of provider and server may differ.
const LEEWAY_SEC: u64 = 60;

/// Who issues tokens, and by which keys they are known.
#[derive(Debug)]
pub(super) struct Provider {
    issuer: String,
    /// Absent is the id of the session.
    audience: Option<String>,
    path: PathBuf,
    keys: Reread<Arc<JwkSet>>,
}

/// The keys of a provider cannot be had.
#[derive(Debug, Error)]
#[error("--jwks {}: {reason}", .path.display())]
pub(super) struct Unusable {
    path: PathBuf,
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since 1970, of which there may be a fraction (RFC 7519): it ends before that.
    #[serde(deserialize_with = "whole_seconds")]
    exp: i64,
    /// The roles that it grants; where it does not say, the role policy does.
    roles: Option<Vec<Role>>,
}

fn whole_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let floor = || number.as_f64().map(|sec| sec.floor() as i64); // what is too large is as late as can be said
    number.as_i64().or_else(floor).ok_or_else(|| D::Error::custom("this is no number of seconds"))
}

impl Provider {
    /// The one that the settings name, if they name one.
    pub(super) fn of(security: &Security) -> Result<Option<Self>, Unusable> {
        let (Some(issuer), Some(path)) = (security.jwt_issuer.clone(), security.jwks.clone()) else {
            return Ok(None);
        };
        let keys = Reread::of(vec![path.clone()], || read(&path).map(Arc::new))?;
        Ok(Some(Self { issuer, audience: security.jwt_audience.clone(), path, keys }))
    }

    /// `None` when the token is no good here and now.
    pub(super) fn identify(&self, shown: Shown<'_>, now: Timestamp) -> Option<Identity> {
        let claims = self.claims(shown, now).inspect_err(|why| refused::tell(shown, why)).ok()?;
        Some(Identity::Proven {
            principal: PrincipalId::new(&claims.sub).ok()?,
            method: CredentialType::BearerToken,
            issuer: Some(self.issuer.as_str().into()),
            roles: claims.roles,
            expires_at: Some(Timestamp::from_micros(claims.exp.saturating_mul(1_000_000))),
        })
    }

    fn claims(&self, shown: Shown<'_>, now: Timestamp) -> Result<Claims, String> {
        let token = shown.credential.value.reveal();
        let wanted = decode_header(token).map_err(|error| refused::token(&error))?.kid;
        let keys = self.keys();
        let key = match &wanted {
            Some(id) => keys.find(id).ok_or("--jwks has no key of the name that it gives (`kid`)")?,
            // Without a name there is no choice to be made.
            None => match keys.keys.as_slice() {
                [one] => one,
                _ => return Err("it does not say by which of the keys".to_owned()),
            },
        };
        let algorithm = algorithm(key).ok_or("its key is of a kind that is not accepted")?;
        let decoding = DecodingKey::from_jwk(key).map_err(|error| error.to_string())?;
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SEC;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[self.audience.as_deref().unwrap_or(shown.at.session.as_str())]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims: Claims =
            decode(token, &decoding, &validation).map_err(|error| refused::token(&error))?.claims;
        // The leeway is for clocks that differ; the core ends the membership at the moment itself.
        let ends = Timestamp::from_micros(claims.exp.saturating_mul(1_000_000));
        if ends <= now { Err("it has expired".to_owned()) } else { Ok(claims) }
    }

    /// As they are in the file now; while it cannot be read, as they were.
    fn keys(&self) -> Arc<JwkSet> {
        self.keys.current(
            || read(&self.path).map(Arc::new),
            |outcome| {
                if let Err(error) = outcome {
                    warn!("the keys of {} stay as they were: {error}", self.issuer);
                }
            },
        )
    }
}

/// The one algorithm of a key. Symmetric keys have none: whoever can check such a token can make one.
fn algorithm(key: &Jwk) -> Option<Algorithm> {
    let by_kind = match &key.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => Algorithm::ES256,
            EllipticCurve::P384 => Algorithm::ES384,
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let named = match key.common.key_algorithm {
        None => return Some(by_kind),
        Some(KeyAlgorithm::RS256) => Algorithm::RS256,
        Some(KeyAlgorithm::RS384) => Algorithm::RS384,
        Some(KeyAlgorithm::RS512) => Algorithm::RS512,
        Some(KeyAlgorithm::PS256) => Algorithm::PS256,
        Some(KeyAlgorithm::PS384) => Algorithm::PS384,
        Some(KeyAlgorithm::PS512) => Algorithm::PS512,
        Some(KeyAlgorithm::ES256) => Algorithm::ES256,
        Some(KeyAlgorithm::ES384) => Algorithm::ES384,
        Some(KeyAlgorithm::EdDSA) => Algorithm::EdDSA,
        Some(_) => return None,
    };
    let rsa = |algorithm| {
        matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        )
    };
    (named == by_kind || (rsa(named) && rsa(by_kind))).then_some(named)
}

fn read(path: &Path) -> Result<JwkSet, Unusable> {
    let failed = |reason: String| Unusable { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error: io::Error| {
        failed(format!("{error}; name the file with the issuer's public keys"))
    })?;
    let keys: JwkSet =
        serde_json::from_str(&text).map_err(|error| failed(format!("it is no JSON Web Key Set: {error}")))?;
    match keys.keys.iter().any(|key| algorithm(key).is_some()) {
        true => Ok(keys),
        false => Err(failed("there is no RSA, P-256, P-384 or Ed25519 key in it".to_owned())),
    }
}
