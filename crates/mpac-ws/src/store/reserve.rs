//! Room on the disk that is kept for the moment when there is none.
//!
//! A full disk stops every session, but not in the middle of a word: what waits is written into this room, everybody is told,
//! and the last snapshot is taken. The next start takes the room again.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::media::sync_dir;

/// Beside the room that is kept there has to be as much to work in, or a start would end as it begins.
const WORK: u64 = 1024 * 1024;

/// The name of what is written to see whether there is.
const PROBE: &str = ".room";

/// A file that says nothing.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    released: watch::Sender<bool>,
}

impl Reserve {
    /// Takes the room, where it is not taken yet; `None` for no bytes.
    ///
    /// # Errors
    /// When there is no room for it: then there is none for a session either.
    pub(super) fn take(dir: &Path, bytes: u64) -> io::Result<Option<Self>> {
        let path = dir.join("reserve");
        // What a crash may have left.
        let _ = fs::remove_file(dir.join(PROBE));
        if bytes == 0 {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(None),
            };
        }
        let there = fs::metadata(&path).map_or(0, |data| data.len());
        if there != bytes {
            let written = write(&path, bytes).and_then(|()| room(dir));
            if written.is_err() {
                // Half of it would be in the way of everybody else.
                let _ = fs::remove_file(&path);
            }
            written?;
            sync_dir(dir)?;
        }
        Ok(Some(Self { path, released: watch::Sender::new(false) }))
    }

    /// Gives the room back; false when that cannot be done. Another session may have done it, or be at it: there may be something
    /// left then.
    pub(super) fn release(&self) -> bool {
        if self.is_released() {
            return true;
        }
        let removed = fs::remove_file(&self.path);
        self.released.send_replace(true);
        removed.map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true)
    }

    pub(super) fn is_released(&self) -> bool {
        *self.released.borrow()
    }

    pub(super) async fn released(&self) {
        // The sender is part of this, so it is there.
        let _ = self.released.subscribe().wait_for(|&released| released).await;
    }
}

/// Whether there is any room left; takes none.
fn room(dir: &Path) -> io::Result<()> {
    let probe = dir.join(PROBE);
    let written = write(&probe, WORK);
    fs::remove_file(probe)?;
    written
}

/// Something without a pattern: holes take no room, and where a disk compresses, zeros take none either.
fn write(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut out = BufWriter::new(&mut file);
    let mut number = 0x9E37_79B9_7F4A_7C15_u64;
    let mut left = bytes;
    while left > 0 {
        // A step of xorshift.
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        let some = number.to_le_bytes();
        let length = left.min(some.len() as u64);
        out.write_all(&some[..length as usize])?;
        left -= length;
    }
    out.flush()?;
    drop(out);
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn room_is_taken_once_given_back_once_and_taken_again_at_the_next_start() {
        let dir = tempdir().unwrap();
        let path = dir.path().join("reserve");
        let size = || fs::metadata(&path).map(|data| data.len()).ok();
        let reserve = Reserve::take(dir.path(), 10_000).unwrap().unwrap();
        assert_eq!((size(), reserve.is_released()), (Some(10_000), false));
        assert!(reserve.release());
        assert_eq!((size(), reserve.is_released()), (None, true));
        assert!(reserve.release(), "somebody else may find something left");
        let reserve = Reserve::take(dir.path(), 10_000).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        assert!(reserve.release(), "so may whoever comes between the removal and its word");
        Reserve::take(dir.path(), 10_000).unwrap().unwrap();
        Reserve::take(dir.path(), 500).unwrap().unwrap();
        assert_eq!(size(), Some(500), "as it is asked for now");
        assert!(Reserve::take(dir.path(), 0).unwrap().is_none());
        assert_eq!(size(), None);
    }

    #[test]
    fn without_room_there_is_an_error_and_nothing_half() {
        let dir = tempdir().unwrap();
        Reserve::take(&dir.path().join("missing"), 10).unwrap_err();
        fs::create_dir(dir.path().join("reserve")).unwrap();
        Reserve::take(dir.path(), 10).unwrap_err();
    }
}
