//! `mpac-ws token` and `mpac-ws invite`: the keys by which participants prove who they are.
//!
//! Both work on the key file of a server, whether it runs or not; a running one reads it again.

mod invite;
mod list;

use std::io::{self, Write};
use std::path::PathBuf;

use mpac_wire::names::CredentialType;
use mpac_wire::signature::ED25519_KEY_BYTES;
use mpac_wire::{PrincipalId, PublicKey, Seconds, Secret};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use thiserror::Error;

use crate::cli::signer as cli;
use crate::cli::token::{Add, Grants, Keys as Place, List, Rotate, Token, Trust};
use crate::clock;
use crate::error::Error;
use crate::identity::certificate;
use crate::identity::certificates::{Trusted, normal};
use crate::identity::key_file::{self, KeyFile, KeyFileError};
use crate::identity::keys::{Grant, Key, Keys};
use crate::identity::secret::NoRandomness;
use crate::identity::signers::Signer;
use crate::listen::tls::fingerprint;
use crate::reader::MayLeave;

pub use self::invite::invite;

/// A key could not be made or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is no such key.
    #[error("there is no key {0}, or it is revoked; `mpac-ws token list` shows all of them")]
    Unknown(String),
    /// There is no such workspace.
    #[error(
        "--workspace {}: there is no such directory; name the one that the server shares, or its --data-dir", .0.display()
    )]
    NoWorkspace(PathBuf),
    /// Nobody could join with an invitation.
    #[error("{0}")]
    NoUse(String),
    /// The certificate is none.
    #[error("{0}")]
    Certificate(String),
    /// The key file cannot be read or written.
    #[error("{0}")]
    File(String),
    /// The system has no randomness.
    #[error("{0}")]
    Randomness(String),
    /// There is a secret that nobody has seen.
    #[error(
        "the key {id} was made or changed, and its secret could not be shown: {source}; give it another with `mpac-ws token rotate \
         {id}`, or end it with `mpac-ws token revoke {id}`"
    )]
    Unseen {
        /// The name of the key.
        id: String,
        /// Why not.
        source: io::Error,
    },
    /// What there is to say cannot be written.
    #[error("{0}")]
    Out(#[from] io::Error),
}

impl From<KeyFileError> for TokenError {
    fn from(error: KeyFileError) -> Self {
        Self::File(error.to_string())
    }
}

impl From<NoRandomness> for TokenError {
    fn from(error: NoRandomness) -> Self {
        Self::Randomness(error.to_string())
    }
}

/// Does what was asked, and says so on `out`.
///
/// # Errors
/// When there is no such key, or the file cannot be read or written; then nothing has changed. When what came of it cannot be
/// written to `out`.
pub fn run(command: &Token, out: &mut impl Write) -> Result<(), Error> {
    // Of a secret nobody has read enough who has not read all.
    match command {
        Token::Add(add) => self::add(add, out),
        Token::Rotate(rotate) => self::rotate(rotate, out),
        Token::Trust(trust) => self::trust(trust, &mut MayLeave(out)),
        Token::Signer(signer) => self::signer(signer, &mut MayLeave(out)),
        Token::List(list) => self::list(list, &mut MayLeave(out)),
        Token::Revoke(one) => revoke(&one.keys, &one.id, &mut MayLeave(out)),
    }
}

fn file(place: &Place) -> Result<KeyFile, Error> {
    let path = match &place.keys {
        Some(path) => path.clone(),
        None => {
            // A key in the data directory of a workspace that is not there is read by nobody.
            if let (None, Some(workspace)) = (&place.whose.data_dir, &place.whose.workspace)
                && !workspace.is_dir()
            {
                return Err(TokenError::NoWorkspace(workspace.clone()).into());
            }
            key_file::in_dir(&place.whose.found()?)
        }
    };
    Ok(KeyFile::at(path))
}

fn add(add: &Add, out: &mut impl Write) -> Result<(), Error> {
    let grant = grant(&add.principal, &add.grants, add.method.clone());
    let file = file(&add.keys)?;
    let (key, secret) = issue(&file, Grant { lifetime: add.lifetime.clone(), ..grant })?;
    let written = writeln!(
        out,
        "{} {} for {}{}\n\n  {}\n\nIt is shown this once; {} keeps a hash of it.",
        key.method,
        key.id,
        key.principal,
        key.expires_at.map(|at| format!(", until {at}")).unwrap_or_default(),
        secret.reveal(),
        file.path().display()
    );
    shown(&key.id, written)
}

fn grant(principal: &PrincipalId, grants: &Grants, method: CredentialType) -> Grant {
    let sessions = (!grants.session.is_empty()).then(|| grants.session.clone());
    let roles = Some(grants.role.clone());
    Grant { principal: principal.clone(), method, sessions, roles, lifetime: None, invite: false }
}

fn issue(file: &KeyFile, grant: Grant) -> Result<(Key, Secret), TokenError> {
    Ok(file.edit(|keys| keys.issue(grant, clock::now()))??)
}

fn trust(trust: &Trust, out: &mut impl Write) -> Result<(), Error> {
    let fingerprint = match (&trust.certificate, &trust.fingerprint) {
        (Some(path), _) => {
            let certificate = CertificateDer::from_pem_file(path)
                .map_err(|error| TokenError::Certificate(format!("{}: {error}", path.display())))?;
            fingerprint(&certificate)
        }
        (None, given) => given.clone().unwrap_or_default(),
    };
    let now = clock::now();
    let trusted = Trusted {
        fingerprint: fingerprint.clone(),
        principal: trust.principal.clone(),
        sessions: (!trust.grants.session.is_empty()).then(|| trust.grants.session.clone()),
        roles: Some(trust.grants.role.clone()),
        expires_at: trust.lifetime.as_ref().map(|lifetime| now.after(lifetime)),
        revoked_at: None,
    };
    file(&trust.keys)?.edit(|keys| keys.trust(trusted)).map_err(TokenError::from)?;
    told(writeln!(
        out,
        "{fingerprint} is {} from now on. To join by it over TLS, beside --key and --chain:\n\n  MPAC_CREDENTIAL=mtls_fingerprint:{fingerprint}",
        trust.principal
    ))
}

fn signer(signer: &cli::Signer, out: &mut impl Write) -> Result<(), Error> {
    let public_key = public_key(&signer.public_key)?;
    let fingerprint = public_key.fingerprint();
    let (principal, revoked_at) = (signer.principal.clone(), None);
    let registered = Signer { public_key, principal, revoked_at };
    file(&signer.keys)?.edit(|keys| keys.register(registered)).map_err(TokenError::from)?;
    told(writeln!(out, "{fingerprint} is the key of {} from now on", signer.principal))
}

/// The key itself, or the one in a file.
fn public_key(given: &str) -> Result<PublicKey, TokenError> {
    if let Ok(key) = given.parse::<PublicKey>()
        && key.as_bytes().len() == ED25519_KEY_BYTES
    {
        return Ok(key);
    }
    let wrong = |reason: &str| {
        let expected =
            "give 32 bytes in base64url without padding, or a PEM file as `openssl pkey -pubout` makes it";
        TokenError::Certificate(format!("--public-key {given}: {reason}; {expected}"))
    };
    let der = SubjectPublicKeyInfoDer::from_pem_file(given).map_err(|error| wrong(&error.to_string()))?;
    certificate::ed25519_key(&der).ok_or_else(|| wrong("the key in it is none of Ed25519"))
}

fn list(list: &List, out: &mut impl Write) -> Result<(), Error> {
    let file = file(&list.keys)?;
    let keys = file.read().map_err(TokenError::from)?;
    let lines = list::of(&keys, clock::now());
    for line in &lines {
        told(line.write(list.json, out))?;
    }
    if !lines.is_empty() || list.json {
        Ok(())
    } else {
        told(writeln!(
            out,
            "no key yet in {}; `mpac-ws token add PRINCIPAL` makes one",
            file.path().display()
        ))
    }
}

fn revoke(place: &Place, id: &str, out: &mut impl Write) -> Result<(), Error> {
    let now = clock::now();
    let revoke = |keys: &mut Keys| {
        let Some(fingerprint) = normal(id) else { return keys.revoke(id, now).then_some("is revoked") };
        if keys.distrust(&fingerprint, now) || keys.retire(&fingerprint, now) {
            return Some("is revoked");
        }
        let said = keys.certificates().any(|it| it.fingerprint == fingerprint)
            || keys.signers().any(|it| it.public_key.fingerprint().to_string() == fingerprint);
        if said {
            return None; // it was revoked before
        }
        keys.bar(fingerprint, now);
        Some("was not known here; no chain with a certificate of this fingerprint is good from now on")
    };
    match file(place)?.edit(revoke).map_err(TokenError::from)? {
        Some(outcome) => told(writeln!(out, "{id} {outcome}")),
        None => Err(TokenError::Unknown(id.to_owned()).into()),
    }
}

fn rotate(rotate: &Rotate, out: &mut impl Write) -> Result<(), Error> {
    let rotated = file(&rotate.keys)?.edit(|keys| keys.rotate(&rotate.id, &rotate.grace, clock::now()));
    let secret = rotated
        .map_err(TokenError::from)?
        .map_err(TokenError::from)?
        .ok_or_else(|| TokenError::Unknown(rotate.id.clone()))?;
    let grace = if rotate.grace == Seconds::whole(0) {
        "The one before is no good any more.".to_owned()
    } else {
        format!("The one before is good for {} s more.", rotate.grace.micros() / 1_000_000)
    };
    let written = writeln!(
        out,
        "{} has a new secret\n\n  {}\n\nIt is shown this once. {grace}",
        rotate.id,
        secret.reveal()
    );
    shown(&rotate.id, written)
}

/// A secret is shown once, so whoever has not seen it has to hear of its key.
fn shown(id: &str, written: io::Result<()>) -> Result<(), Error> {
    written.map_err(|source| TokenError::Unseen { id: id.to_owned(), source }.into())
}

fn told(written: io::Result<()>) -> Result<(), Error> {
    written.map_err(|error| TokenError::Out(error).into())
}
