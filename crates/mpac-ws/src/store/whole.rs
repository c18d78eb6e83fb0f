//! Small files beside the sessions, each written whole or not at all.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::media::sync_dir;

/// Puts `bytes` into the file of this name, readable by its owner only. It lasts when this returns.
pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    // The library makes it for its owner only.
    let mut file = tempfile::Builder::new().prefix(".half-").tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(name)).map_err(|error| error.error)?;
    sync_dir(dir)
}

/// The same with a value as JSON.
pub(crate) fn write_json(dir: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    text.push(b'\n');
    write(dir, name, &text)
}

/// The opposite; `None` where there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> io::Result<Option<T>> {
    match fs::read_to_string(dir.join(name)) {
        Ok(text) => {
            let unreadable = |error| io::Error::new(ErrorKind::InvalidData, format!("{name}: {error}"));
            serde_json::from_str(&text).map(Some).map_err(unreadable)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// It may have been gone before.
pub(crate) fn remove(dir: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(dir.join(name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => sync_dir(dir),
    }
}
