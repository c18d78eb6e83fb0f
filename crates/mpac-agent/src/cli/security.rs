//! Options about signatures, and about what is written down.

use std::path::{Path, PathBuf};

use clap::Args;
use mpac_wire::{Fingerprint, PublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

use crate::security::Security;

/// What comes before the 32 bytes of an Ed25519 key in its public form (RFC 8410).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signatures, and what is written down.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Signatures")]
pub struct Signatures {
    /// Sign every message with this Ed25519 key; `mpac-agent key new` makes one
    #[arg(long, value_name = "FILE.pem", env = "MPAC_KEY", hide_env_values = true)]
    pub key: Option<PathBuf>,
    /// Certificates that say whose key it is, shown to join with; `mpac-ws cert issue` makes them
    #[arg(long, value_name = "FILE.pem", env = "MPAC_CHAIN", hide_env_values = true)]
    pub chain: Option<PathBuf>,
    /// The key of the coordinator, as it prints it when it starts: nobody else is believed. Without it the key that is known of
    /// it, and the first time the one that it shows
    #[arg(long, value_name = "sha256:HEX|FILE", env = "MPAC_COORDINATOR_KEY", hide_env_values = true,
          value_parser = coordinator_key)]
    pub coordinator_key: Option<Fingerprint>,
    /// Where the keys of coordinators are remembered [default: mpac-agent/known-coordinators among this system's state]
    #[arg(long, value_name = "FILE")]
    pub known_coordinators: Option<PathBuf>,
    /// Write every frame that is sent or received to the end of this file, a line of JSON each, without secrets
    #[arg(long, value_name = "FILE.jsonl", env = "MPAC_RECORD", hide_env_values = true)]
    pub record: Option<PathBuf>,
}

impl Signatures {
    /// The same for the library.
    #[must_use]
    pub fn options(&self) -> Security {
        Security {
            key: self.key.clone(),
            chain: self.chain.clone(),
            coordinator_key: self.coordinator_key,
            known_coordinators: self.known_coordinators.clone(),
            record: self.record.clone(),
        }
    }
}

/// A fingerprint, or a file with one or with the public key itself.
fn coordinator_key(text: &str) -> Result<Fingerprint, String> {
    if let Ok(key) = text.trim().parse() {
        return Ok(key);
    }
    if text.starts_with("sha256:") {
        return Err("a fingerprint is sha256: and 64 hexadecimal digits".to_owned());
    }
    let content = std::fs::read_to_string(Path::new(text))
        .map_err(|error| format!("this is no sha256:HEX, and as a file it cannot be read: {error}"))?;
    if let Ok(key) = content.trim().parse() {
        return Ok(key);
    }
    let key = SubjectPublicKeyInfoDer::from_pem_slice(content.as_bytes()).ok();
    let raw = key.as_ref().and_then(|der| der.as_ref().strip_prefix(&ED25519_PREFIX[..]));
    raw.filter(|raw| raw.len() == 32).map(|raw| PublicKey::new(raw).fingerprint()).ok_or_else(|| {
        "there is neither a sha256:HEX nor an Ed25519 public key (BEGIN PUBLIC KEY) in that file".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::Signing;

    #[test]
    fn a_coordinators_key_is_given_by_fingerprint_or_file() {
        let path = std::env::temp_dir().join(format!("mpac-coordinator-{}", std::process::id()));
        let key = Signing::generate().unwrap();
        let expected = key.public().fingerprint();
        assert_eq!(coordinator_key(&expected.to_string()), Ok(expected));
        for content in [format!("{expected}\n"), key.to_pair().unwrap().public_key_pem()] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(coordinator_key(path.to_str().unwrap()), Ok(expected));
        }
        for content in ["", "sha256:12", &rcgen::KeyPair::generate().unwrap().public_key_pem()] {
            std::fs::write(&path, content).unwrap();
            assert!(coordinator_key(path.to_str().unwrap()).is_err(), "{content}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(coordinator_key("sha256:12").unwrap_err().contains("64"));
        assert!(coordinator_key(path.to_str().unwrap()).unwrap_err().contains("cannot be read"));
    }
}
