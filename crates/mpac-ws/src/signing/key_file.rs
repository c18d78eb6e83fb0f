//! The keys that a coordinator signs with, in their files: the current one, and those that it replaced.
//!
//! | file | holds |
//! |---|---|
//! | `signing-key.pem` in the data directory, or `--signing-key` | the key that counts: PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` makes it |
//! | `signing-keys/<64 digits>.pem` in the data directory | each that was one, by its fingerprint: the log has signatures by it |
//!
//! A key that replaces another is written before anybody hears of it. A session in which it was not told goes on with the one
//! it has: its participants would believe no other.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpac_wire::Fingerprint;
use rcgen::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;

use super::Signing;
use crate::store::{private_dirs, whole};

const CURRENT: &str = "signing-key.pem";
const EARLIER: &str = "signing-keys";

/// A signing key cannot be had.
#[derive(Debug, Error)]
pub enum SigningKeyError {
    /// The file that was named is not there.
    #[error("{} is not there; make a key with: openssl genpkey -algorithm ed25519 -out {}", .0.display(), .0.display())]
    Missing(PathBuf),
    /// What is there is no such key.
    #[error("{}: {reason}; give an Ed25519 key as a PKCS#8 PEM file, as `openssl genpkey -algorithm ed25519` makes it", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A standby without the key of its server.
    #[error(
        "{} is not there: a standby signs with the key of the server that it follows, so copy the file signing-key.pem of that \
         server's data directory to it, or name a copy with --signing-key", .0.display()
    )]
    NotCopied(PathBuf),
    /// A file that is named after another key than the one in it.
    #[error("{} holds the key {found}; a key is in the file of its own fingerprint", .path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// Whose name it should have.
        found: Fingerprint,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A new key could not be made.
    #[error("a signing key cannot be made: {0}")]
    Make(String),
}

/// Where the keys of one coordinator are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    current: PathBuf,
    /// `--signing-key`: somebody else made it, and it is there.
    named: bool,
    earlier: PathBuf,
}

impl Place {
    /// As a server keeps them: `named` is `--signing-key`, `data` its data directory. `None` where it has neither.
    pub(crate) fn of(named: Option<&Path>, data: Option<&Path>) -> Option<Self> {
        let beside = named.map(|path| path.parent().unwrap_or_else(|| Path::new("")));
        let dir = data.or(beside)?;
        let current = named.map_or_else(|| dir.join(CURRENT), Path::to_owned);
        Some(Self { current, named: named.is_some(), earlier: dir.join(EARLIER) })
    }

    /// The file with the key that counts.
    pub(crate) fn current(&self) -> &Path {
        &self.current
    }
}

/// The keys of one coordinator.
#[derive(Clone)]
pub(crate) struct Keys {
    current: Arc<Signing>,
    /// All of them.
    by_fingerprint: BTreeMap<Fingerprint, Arc<Signing>>,
    place: Option<Place>,
}

impl Keys {
    /// One for the run of a server that keeps nothing.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn fresh() -> Result<Self, SigningKeyError> {
        Ok(Self::with(Arc::new(Signing::generate()?), None))
    }

    /// Those of `place`; the current one is made, once, where it is nobody else's to make.
    ///
    /// # Errors
    /// When one of the files cannot be read or is no such key, and when one cannot be made.
    pub(crate) fn open(place: Place) -> Result<Self, SigningKeyError> {
        if let Some(keys) = Self::read(place.clone())? {
            return Ok(keys);
        }
        if place.named {
            return Err(SigningKeyError::Missing(place.current));
        }
        let keys = Self::with(Arc::new(Signing::generate()?), Some(place.clone()));
        place.write(&place.current, &keys.current)?;
        Ok(keys)
    }

    /// Those of `place` as they are; `None` where no key has been made yet.
    ///
    /// # Errors
    /// When one of the files cannot be read or is no such key.
    pub(crate) fn read(place: Place) -> Result<Option<Self>, SigningKeyError> {
        let Some(current) = read(&place.current)? else { return Ok(None) };
        let earlier = place.earlier()?;
        let mut keys = Self::with(Arc::new(current), Some(place));
        for key in earlier {
            keys.by_fingerprint.entry(key.public().fingerprint()).or_insert_with(|| Arc::new(key));
        }
        Ok(Some(keys))
    }

    /// Those of `place`, which come from another server and are never made here.
    ///
    /// # Errors
    /// When the current one is not there, one of the files cannot be read or is no such key.
    pub(crate) fn copied(place: Option<Place>) -> Result<Self, SigningKeyError> {
        let current = place.as_ref().map(|place| place.current.clone()).unwrap_or_default();
        place.map(Self::read).transpose()?.flatten().ok_or(SigningKeyError::NotCopied(current))
    }

    fn with(current: Arc<Signing>, place: Option<Place>) -> Self {
        let by_fingerprint = BTreeMap::from([(current.public().fingerprint(), Arc::clone(&current))]);
        Self { current, by_fingerprint, place }
    }

    /// Where they are, if they are in files.
    pub(crate) const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The one that new sessions begin with.
    pub(crate) const fn current(&self) -> &Arc<Signing> {
        &self.current
    }

    /// The current one or an earlier one.
    pub(crate) fn get(&self, key: &Fingerprint) -> Option<&Arc<Signing>> {
        self.by_fingerprint.get(key)
    }

    /// All of them, by fingerprint.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Signing>> {
        self.by_fingerprint.values()
    }

    /// What there is to say about them: a line for each, the current one first. Nothing of it is secret.
    pub(crate) fn told(&self) -> String {
        let line = |key: &Signing, what: &str| {
            format!("{} {what} (public key {})", key.public().fingerprint(), key.public())
        };
        let own = self.current.public();
        let earlier = self.all().filter(|key| key.public() != own).map(|key| line(key, "signed before"));
        [line(&self.current, "signs")].into_iter().chain(earlier).collect::<Vec<_>>().join("\n")
    }

    /// These keys with a new current one, which is on the disk when this returns, as is the one that it replaces.
    ///
    /// # Errors
    /// When it cannot be made or written; then the files say what they said.
    pub(crate) fn rotated(&self) -> Result<Self, SigningKeyError> {
        let mut keys = Self::with(Arc::new(Signing::generate()?), self.place.clone());
        if let Some(place) = &self.place {
            place.keep(&self.current)?;
            place.write(&place.current, &keys.current)?;
        }
        for (fingerprint, key) in &self.by_fingerprint {
            keys.by_fingerprint.insert(*fingerprint, Arc::clone(key));
        }
        Ok(keys)
    }
}

impl Place {
    /// Puts a key among the earlier ones.
    fn keep(&self, key: &Signing) -> Result<(), SigningKeyError> {
        let made = private_dirs().create(&self.earlier);
        made.map_err(|source| SigningKeyError::Io { path: self.earlier.clone(), source })?;
        let name = key.public().fingerprint().to_string();
        self.write(&self.earlier.join(format!("{}.pem", digits(&name))), key)
    }

    fn write(&self, path: &Path, key: &Signing) -> Result<(), SigningKeyError> {
        let pem = key.to_pem()?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let failed = |source| SigningKeyError::Io { path: path.to_owned(), source };
        private_dirs().create(dir).map_err(failed)?;
        whole::write(dir, &name, pem.as_bytes()).map_err(failed)
    }

    fn earlier(&self) -> Result<Vec<Signing>, SigningKeyError> {
        let failed = |source| SigningKeyError::Io { path: self.earlier.clone(), source };
        let entries = match fs::read_dir(&self.earlier) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            // Another program's half-written file, say.
            if path.extension().is_none_or(|extension| extension != "pem") {
                continue;
            }
            let Some(key) = read(&path)? else { continue };
            let found = key.public().fingerprint();
            if path.file_stem().is_none_or(|stem| *stem != *digits(&found.to_string())) {
                return Err(SigningKeyError::Misnamed { path, found });
            }
            keys.push(key);
        }
        Ok(keys)
    }
}

/// A fingerprint without its prefix, which some systems do not allow in the name of a file.
fn digits(fingerprint: &str) -> &str {
    fingerprint.split_once(':').map_or(fingerprint, |(_, digits)| digits)
}

/// The key in a file; `None` where there is none.
fn read(path: &Path) -> Result<Option<Signing>, SigningKeyError> {
    match fs::read_to_string(path) {
        Ok(pem) => Signing::from_pem(&pem)
            .map(Some)
            .map_err(|reason| SigningKeyError::Form { path: path.to_owned(), reason }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SigningKeyError::Io { path: path.to_owned(), source }),
    }
}

impl Signing {
    /// A new key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn generate() -> Result<Self, SigningKeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| SigningKeyError::Make(error.to_string()))?;
        Self::of_seed(&seed).ok_or_else(|| SigningKeyError::Make("it was refused".to_owned()))
    }

    /// The key in a PKCS#8 PEM text.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, String> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| format!("there is no private key in it ({error})"))?;
        Self::of_pkcs8(der.secret_pkcs8_der()).ok_or_else(|| "the key in it is none of Ed25519".to_owned())
    }

    /// The opposite. It is the whole secret.
    fn to_pem(&self) -> Result<String, SigningKeyError> {
        let failed = |error: &dyn fmt::Display| SigningKeyError::Make(error.to_string());
        let der = self.to_pkcs8().ok_or_else(|| failed(&"it has no written form"))?;
        let pair =
            KeyPair::try_from(&PrivatePkcs8KeyDer::from(der.as_slice())).map_err(|error| failed(&error))?;
        Ok(pair.serialize_pem())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("current", &self.current)
            .field("all", &self.by_fingerprint.len())
            .field("place", &self.place)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OpenSSL 3 writes it.
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    /// Of RFC 8032, as is the seed above.
    const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn in_dir(dir: &Path) -> Place {
        Place::of(None, Some(dir)).unwrap()
    }

    #[test]
    fn a_key_of_openssl_is_read_and_written_as_it_was() {
        let key = Signing::from_pem(OPENSSL).unwrap();
        assert_eq!(key.public().to_string(), PUBLIC);
        assert_eq!(key.to_pem().unwrap().replace("\r\n", "\n"), OPENSSL);
        assert!(!format!("{key:?}").contains("nWGx"));
    }

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Keys::read(in_dir(dir.path())).unwrap().is_none(), "looking makes none");
        let first = Keys::open(in_dir(dir.path())).unwrap();
        let again = Keys::open(in_dir(dir.path())).unwrap();
        assert_eq!(first.current().public(), again.current().public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(dir.path().join(CURRENT)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_replaced_key_can_still_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::open(in_dir(dir.path())).unwrap();
        let mut seen = vec![keys.current().public().clone()];
        for _ in 0..2 {
            keys = keys.rotated().unwrap();
            seen.push(keys.current().public().clone());
        }
        let read = Keys::open(in_dir(dir.path())).unwrap();
        assert_eq!(read.current().public(), seen.last().unwrap());
        for keys in [&keys, &read] {
            assert_eq!(keys.all().count(), 3);
            assert!(seen.iter().all(|key| keys.get(&key.fingerprint()).unwrap().public() == key));
        }
        let fresh = Keys::fresh().unwrap();
        assert!(read.get(&fresh.current().public().fingerprint()).is_none());
        assert_eq!(fresh.rotated().unwrap().all().count(), 2, "without a place in memory");
    }

    #[test]
    fn a_key_that_somebody_names_is_theirs_to_make() {
        let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let named = dir.path().join("own.pem");
        let place = Place::of(Some(&named), Some(data.path())).unwrap();
        let error = Keys::open(place.clone()).unwrap_err().to_string();
        assert!(error.contains("own.pem") && error.contains("openssl genpkey"), "{error}");
        fs::write(&named, OPENSSL).unwrap();
        let keys = Keys::open(place.clone()).unwrap();
        assert_eq!(keys.current().public().to_string(), PUBLIC);
        keys.rotated().unwrap();
        assert_ne!(fs::read_to_string(&named).unwrap(), OPENSSL, "the file has the new one");
        assert_eq!(Keys::open(place).unwrap().all().count(), 2);
        assert!(!data.path().join(CURRENT).exists());
        assert_eq!(Place::of(None, None), None);
    }

    #[test]
    fn what_is_no_key_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let current = dir.path().join(CURRENT);
        let ec = KeyPair::generate().unwrap().serialize_pem();
        for text in ["", "rubbish", &ec] {
            fs::write(&current, text).unwrap();
            let error = Keys::open(in_dir(dir.path())).unwrap_err().to_string();
            assert!(error.contains(CURRENT) && error.contains("openssl genpkey"), "{error}");
            assert!(!error.contains("PRIVATE KEY-----\n"));
            assert_eq!(fs::read_to_string(&current).unwrap(), *text);
        }
        fs::write(&current, OPENSSL).unwrap();
        let keys = Keys::open(in_dir(dir.path())).unwrap();
        keys.rotated().unwrap();
        let earlier = dir.path().join(EARLIER);
        fs::write(earlier.join("notes.txt"), "not a key").unwrap();
        assert!(Keys::open(in_dir(dir.path())).is_ok());
        fs::write(earlier.join(format!("{}.pem", "0".repeat(64))), OPENSSL).unwrap();
        assert!(matches!(Keys::open(in_dir(dir.path())), Err(SigningKeyError::Misnamed { .. })));
    }
}
