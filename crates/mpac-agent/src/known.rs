//! The coordinators' keys that were seen, as `ssh` remembers hosts: a file of lines `HOST:PORT sha256:HEX` (SEC-30).
//!
//! One that is not known is trusted on first use, and the person is told to compare it. A coordinator that shows another key
//! afterwards is not joined.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use mpac_wire::Fingerprint;

use crate::error::AgentError;
use crate::private_file;

/// What is known of the coordinator of one session.
#[derive(Debug, Clone)]
pub struct Known {
    path: PathBuf,
    /// Its addresses: each is remembered, for a standby has the same key.
    addresses: Vec<String>,
}

/// Where the file is by default.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    Some(state_dir()?.join("known-coordinators"))
}

/// What is to last from one run to the next: among the things that this system keeps for programs.
pub(crate) fn state_dir() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let home = || var("HOME").or_else(|| var("USERPROFILE"));
    let state = var("XDG_STATE_HOME").filter(|it| it.is_absolute()).or_else(|| {
        if cfg!(target_os = "macos") {
            return home().map(|home| home.join("Library/Application Support"));
        }
        if cfg!(windows) {
            return var("LOCALAPPDATA");
        }
        home().map(|home| home.join(".local/state"))
    })?;
    Some(state.join("mpac-agent"))
}

impl Known {
    /// The coordinator that is reached at these addresses (`HOST:PORT`), by the file at `path`.
    #[must_use]
    pub fn at(path: PathBuf, addresses: Vec<String>) -> Self {
        Self { path, addresses }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its key, if it was seen: that of the first address that has one.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when the file cannot be read, or a line of it is none.
    pub fn key(&self) -> Result<Option<Fingerprint>, AgentError> {
        let lines =
            self.lines().map_err(|why| AgentError::Usage(format!("{}: {why}", self.path.display())))?;
        let of = |address: &String| lines.iter().find(|(known, _)| known == address).map(|(_, key)| *key);
        Ok(self.addresses.iter().find_map(of))
    }

    /// From now on it has this key.
    ///
    /// # Errors
    /// When the file cannot be read or written; then nothing has changed.
    pub fn remember(&self, key: Fingerprint) -> io::Result<()> {
        let mut lines = self.lines().map_err(io::Error::other)?;
        lines.retain(|(known, _)| !self.addresses.contains(known));
        lines.extend(self.addresses.iter().map(|address| (address.clone(), key)));
        let text: String = lines.iter().map(|(address, key)| format!("{address} {key}\n")).collect();
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        private_file::replace(&self.path, &text)
    }

    fn lines(&self) -> Result<Vec<(String, Fingerprint)>, String> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.to_string()),
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(at, line)| {
                let read = line
                    .trim()
                    .split_once(' ')
                    .and_then(|(address, key)| Some((address.to_owned(), key.trim().parse().ok()?)));
                read.ok_or_else(|| format!("line {} is not HOST:PORT sha256:HEX; remove it", at + 1))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_remembered_by_address() {
        let dir = std::env::temp_dir().join(format!("mpac-known-{}", std::process::id()));
        let path = dir.join("state/known-coordinators");
        let at = |addresses: &[&str]| {
            Known::at(path.clone(), addresses.iter().map(|it| (*it).to_owned()).collect())
        };
        let (a, b) = (Fingerprint::of(b"a"), Fingerprint::of(b"b"));
        assert_eq!(at(&["shop:1"]).key().unwrap(), None);
        at(&["shop:1", "spare:1"]).remember(a).unwrap();
        at(&["shop:2"]).remember(b).unwrap();
        assert_eq!(at(&["spare:1"]).key().unwrap(), Some(a));
        assert_eq!(at(&["new:9", "shop:2"]).key().unwrap(), Some(b));
        at(&["shop:1"]).remember(b).unwrap();
        assert_eq!(at(&["shop:1"]).key().unwrap(), Some(b), "the last word");
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
        fs::write(&path, "shop:1 sha256:12\n").unwrap();
        let error = at(&["shop:1"]).key().unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("known-coordinators"), "{error}");
        assert!(at(&["shop:1"]).remember(a).is_err(), "what cannot be read is not thrown away");
        fs::remove_dir_all(dir).unwrap();
    }
}
