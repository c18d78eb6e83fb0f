//! The file with the key that signs, and with those that it replaced: PKCS#8 PEM, the one in use first.
//!
//! A key is written there before it is asked for, because the answer may never come: whoever starts with the file then has both
//! and finds out which one counts.

use std::path::{Path, PathBuf};

use mpac_wire::{Fingerprint, PublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::AgentError;
use crate::private_file;
use crate::signing::Signing;

/// How many keys are kept: the one in use, those before it, and always the one that the certificate is for.
const MOST: usize = 4;

/// The keys of one participant.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    /// Never empty.
    keys: Vec<Signing>,
    /// Which of them signs.
    in_use: usize,
    /// How many were turned down one after the other.
    refused: usize,
    /// Which of them the certificate is for, as far as one was given.
    certified: Option<Fingerprint>,
}

impl KeyFile {
    /// Reads one.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when there is no usable key in it.
    pub fn open(path: &Path) -> Result<Self, AgentError> {
        let wrong = |why: &str| {
            AgentError::Usage(format!(
                "--key {}: {why}; `mpac-agent key new` makes one, or whoever runs the coordinator (`mpac-ws cert issue`)",
                path.display()
            ))
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
        let found = PrivatePkcs8KeyDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| wrong("this is no PEM file"))?;
        let keys: Option<Vec<Signing>> = found.into_iter().map(Signing::of_pkcs8).collect();
        let keys = keys.ok_or_else(|| wrong("its key is not Ed25519, which signs messages"))?;
        if keys.is_empty() {
            return Err(wrong("there is no private key in it that begins with BEGIN PRIVATE KEY"));
        }
        Ok(Self { path: path.to_owned(), keys, in_use: 0, refused: 0, certified: None })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that signs.
    #[must_use]
    pub fn current(&self) -> &Signing {
        &self.keys[self.in_use]
    }

    /// All of them, the one in use first.
    pub fn all(&self) -> impl Iterator<Item = &Signing> {
        let (before, from) = self.keys.split_at(self.in_use);
        from.iter().chain(before)
    }

    /// The certificate is for this key: where it is here it stays, for without it there is no new session and no TLS.
    pub fn keep(&mut self, key: &Fingerprint) {
        self.certified = self.keys.iter().map(|it| it.public().fingerprint()).find(|it| it == key);
    }

    /// A new key, in the file and not in use yet.
    ///
    /// # Errors
    /// [`AgentError::KeyFile`] when it cannot be made or written; then nothing has changed.
    pub fn prepare(&mut self) -> Result<PublicKey, AgentError> {
        let made = Signing::generate().ok_or_else(|| self.failed("this system gives no randomness"))?;
        let public = made.public().clone();
        self.keys.insert(self.in_use + 1, made);
        if let Err(error) = self.write() {
            self.keys.remove(self.in_use + 1);
            return Err(error);
        }
        Ok(public)
    }

    /// This key signs from now on. False where it is not here.
    ///
    /// # Errors
    /// [`AgentError::KeyFile`] when the file cannot say so; the key counts all the same.
    pub fn switch(&mut self, key: &Fingerprint) -> Result<bool, AgentError> {
        let Some(at) = self.keys.iter().position(|it| it.public().fingerprint() == *key) else {
            return Ok(false);
        };
        let chosen = self.keys.remove(at);
        self.keys.insert(0, chosen);
        (self.in_use, self.refused) = (0, 0);
        // Where no certificate was given it is for the last one, most likely: that was the first.
        let kept = self.certified.or_else(|| self.keys.last().map(|it| it.public().fingerprint()));
        let is_spare = |it: &Signing| Some(it.public().fingerprint()) != kept;
        while self.keys.len() > MOST
            && let Some(at) = self.keys.iter().rposition(is_spare)
        {
            self.keys.remove(at);
        }
        self.write().map(|()| true)
    }

    /// The coordinator does not take the key in use: another one, unless all were tried. A rotation whose answer never came may
    /// have happened.
    pub fn try_another(&mut self) -> bool {
        self.refused += 1;
        if self.refused >= self.keys.len() {
            return false;
        }
        self.in_use = (self.in_use + 1) % self.keys.len();
        true
    }

    /// The coordinator takes the key in use.
    ///
    /// # Errors
    /// [`AgentError::KeyFile`] when it is another than before, and the file cannot say so.
    pub fn taken(&mut self) -> Result<(), AgentError> {
        self.refused = 0;
        if self.in_use == 0 {
            return Ok(());
        }
        let key = self.current().public().fingerprint();
        self.switch(&key).map(|_| ())
    }

    fn write(&self) -> Result<(), AgentError> {
        let pem: Result<Vec<String>, _> =
            self.all().map(|key| key.to_pair().map(|pair| pair.serialize_pem())).collect();
        let pem = pem.map_err(|error| self.failed(&error.to_string()))?;
        private_file::replace(&self.path, &pem.concat()).map_err(|error| self.failed(&error.to_string()))
    }

    fn failed(&self, why: &str) -> AgentError {
        AgentError::KeyFile { path: self.path.clone(), why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(test: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("mpac-key-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("bob.key.pem");
        let pem = Signing::generate().unwrap().to_pair().unwrap().serialize_pem();
        private_file::replace(&path, &pem).unwrap();
        path
    }

    fn keys(path: &Path) -> Vec<PublicKey> {
        KeyFile::open(path).unwrap().all().map(|key| key.public().clone()).collect()
    }

    #[test]
    fn a_new_key_is_in_the_file_before_it_counts() {
        let path = file("rotates");
        let mut file = KeyFile::open(&path).unwrap();
        let first = file.current().public().clone();
        let second = file.prepare().unwrap();
        assert_eq!(file.current().public(), &first, "the old one signs until the coordinator says so");
        assert_eq!(keys(&path), [first.clone(), second.clone()]);
        assert!(file.switch(&second.fingerprint()).unwrap());
        assert_eq!(keys(&path), [second.clone(), first.clone()]);
        assert!(!file.switch(&Fingerprint::of(b"nobody's")).unwrap());
        for _ in 0..6 {
            let next = file.prepare().unwrap().fingerprint();
            file.switch(&next).unwrap();
        }
        assert_eq!(keys(&path).len(), MOST);
        assert_eq!(keys(&path).last(), Some(&first), "the certificate's key stays");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn the_certified_key_stays_wherever_it_stands() {
        let path = file("certified");
        let certified = KeyFile::open(&path).unwrap().current().public().fingerprint();
        let has_it = |path: &Path| keys(path).iter().any(|key| key.fingerprint() == certified);
        // The first rotation came to nothing, so the key of the certificate is not the last one any more.
        KeyFile::open(&path).unwrap().prepare().unwrap();
        let mut file = KeyFile::open(&path).unwrap();
        file.keep(&certified);
        for _ in 0..6 {
            let next = file.prepare().unwrap().fingerprint();
            file.switch(&next).unwrap();
        }
        assert!(has_it(&path) && keys(&path).len() == MOST);
        // Another session has only ever heard of that key.
        file.switch(&certified).unwrap();
        for _ in 0..6 {
            let next = file.prepare().unwrap().fingerprint();
            file.switch(&next).unwrap();
        }
        assert!(has_it(&path) && keys(&path).len() == MOST);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn after_a_rotation_of_unknown_fate_both_keys_are_tried_once() {
        let path = file("unknown");
        let second = KeyFile::open(&path).unwrap().prepare().unwrap();
        let mut file = KeyFile::open(&path).unwrap();
        assert!(file.try_another());
        assert_eq!(file.current().public(), &second);
        file.taken().unwrap();
        assert_eq!(keys(&path)[0], second, "the one that counts is found at once the next time");
        assert!(file.try_another() && !file.try_another());
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn what_is_no_key_says_how_to_get_one() {
        let path = file("none");
        let said = || KeyFile::open(&path).unwrap_err().to_string();
        for (text, part) in [("", "no private key"), ("rubbish", "no private key")] {
            std::fs::write(&path, text).unwrap();
            assert!(said().contains(part) && said().contains("mpac-agent key new"), "{}", said());
        }
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        std::fs::write(&path, other).unwrap();
        assert!(said().contains("not Ed25519"), "{}", said());
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert!(KeyFile::open(&path).is_err());
    }
}
