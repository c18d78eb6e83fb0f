//! Where the bytes of one log lie: segments by the number of their first entry, of which the last is written to.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::gzip;
use super::house::{House, InUse};

/// Says which segment is written to, so that one that is gone is missed.
const HEAD: &str = "head";
/// How the names of unfinished ones begin.
pub(super) const HALF: &str = ".head-";

/// Segments that can be read, and one that can be written.
pub(crate) trait Media: Debug + Send {
    /// The first entries of all segments, in ascending order.
    fn segments(&self) -> io::Result<Vec<u64>>;
    /// The first entry of the last segment that was begun, as far as that is noted; a crash may leave it one behind.
    fn head(&self) -> io::Result<Option<u64>>;
    /// Bytes that a segment takes up.
    fn size(&self, first: u64) -> io::Result<u64>;
    /// A whole segment, in place of what is in `into`: a log of many segments is read in the memory of one.
    fn read_into(&self, first: u64, into: &mut Vec<u8>) -> io::Result<()>;
    /// The same in memory of its own.
    fn read(&self, first: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(first, &mut bytes)?;
        Ok(bytes)
    }
    /// Makes an empty segment, under a name that lasts, and writes to it from now on.
    fn begin(&mut self, first: u64) -> io::Result<()>;
    /// Writes to a segment that is there.
    fn resume(&mut self, first: u64) -> io::Result<()>;
    /// Writes into the current segment at that place, which is at most its end.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Ends the current segment there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Returns once everything written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Keeps nothing open until more is written.
    fn rest(&mut self) {}
    /// Gives back the reserve for a full disk; whether there was one.
    fn make_room(&mut self) -> bool;
    /// Whether that was done: what is written now is the end.
    fn is_short(&self) -> bool;
    /// Where snapshots may lie beside it, if anywhere.
    fn beside(&self) -> Option<Beside>;
}

/// Where things lie beside a log, and who keeps them in order.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    pub(crate) dir: PathBuf,
    pub(crate) house: Option<Arc<House>>,
}

/// Files in a directory of their own. Segments that are done with may be compressed.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    current: Option<File>,
    /// The first entry of the segment that is written to.
    written: Option<u64>,
    house: Option<Arc<House>>,
    /// While it may be written to.
    in_use: Option<InUse>,
    /// Somebody else may be writing.
    live: bool,
}

impl Files {
    /// In `dir`, which has to exist.
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir, current: None, written: None, house: None, in_use: None, live: false }
    }

    /// Those of a log that a server may be writing to at this moment, to be read only.
    pub(crate) const fn live(dir: PathBuf) -> Self {
        Self { dir, current: None, written: None, house: None, in_use: None, live: true }
    }

    /// The same, in a data directory that is kept in order meanwhile.
    pub(crate) const fn kept_by(dir: PathBuf, house: Arc<House>) -> Self {
        Self { dir, current: None, written: None, house: Some(house), in_use: None, live: false }
    }

    fn path(&self, first: u64) -> PathBuf {
        self.dir.join(segment(first))
    }

    fn open(&mut self, first: u64, file: File) {
        (self.current, self.written) = (Some(file), Some(first));
        if self.in_use.is_none() {
            self.in_use = self.house.as_ref().map(|house| House::uses(house, &self.dir));
        }
    }

    /// Does what leaves nothing behind where it fails, with the reserve if it must be.
    fn with_room<T>(&self, act: impl Fn(&Self) -> io::Result<T>) -> io::Result<T> {
        match act(self) {
            Err(error) if is_full(&error) && self.house.as_ref().is_some_and(|house| house.make_room()) => {
                act(self)
            }
            done => done,
        }
    }

    pub(super) fn note_head(&self, first: u64) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(HALF).tempfile_in(&self.dir)?;
        writeln!(file, "{first:020}")?;
        file.as_file().sync_all()?;
        file.persist(self.dir.join(HEAD)).map_err(|error| error.error)?;
        sync_dir(&self.dir)
    }

    fn current(&mut self) -> io::Result<&mut File> {
        if let (None, Some(first)) = (&self.current, self.written) {
            self.resume(first)?;
        }
        self.current.as_mut().ok_or_else(|| io::Error::other("no segment is open"))
    }
}

impl Media for Files {
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            found.extend(entry?.file_name().to_str().and_then(first_of));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn head(&self) -> io::Result<Option<u64>> {
        match fs::read_to_string(self.dir.join(HEAD)) {
            // Whatever else is in there says nothing.
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn size(&self, first: u64) -> io::Result<u64> {
        let size = |path: PathBuf| fs::metadata(path).map(|data| data.len());
        match size(self.path(first)) {
            Err(error) if error.kind() == ErrorKind::NotFound => size(gzip::packed(&self.path(first))),
            found => found,
        }
    }

    fn read_into(&self, first: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let path = self.path(first);
        let is_written = self.live && self.head()? == Some(first);
        gzip::read_into(&path, into)?;
        if is_written {
            // A read beside a write may see the end of a record and not its beginning. What the first read saw something
            // behind was written before the second.
            let written = into.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            gzip::read_into(&path, into)?;
            into.truncate(written);
        }
        Ok(())
    }

    fn begin(&mut self, first: u64) -> io::Result<()> {
        let path = self.path(first);
        let file = self.with_room(|_| OpenOptions::new().write(true).create_new(true).open(&path))?;
        self.open(first, file);
        sync_dir(&self.dir)?;
        self.with_room(|files| files.note_head(first))
    }

    fn resume(&mut self, first: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(first))?;
        self.open(first, file);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(self.current()?, at, bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.current()?.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current()?.sync_data()
    }

    fn rest(&mut self) {
        self.current = None;
    }

    fn make_room(&mut self) -> bool {
        self.house.as_ref().is_some_and(|house| house.make_room())
    }

    fn is_short(&self) -> bool {
        self.house.as_ref().is_some_and(|house| house.is_full())
    }

    fn beside(&self) -> Option<Beside> {
        Some(Beside { dir: self.dir.clone(), house: self.house.clone() })
    }
}

/// One call into the system where it has one.
#[cfg(unix)]
fn write_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    std::io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    file.write_all(bytes)
}

/// Whether more room would help.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The name of the segment that begins with that entry.
pub(super) fn segment(first: u64) -> String {
    format!("{first:020}.log")
}

/// The first entry of the segment of that name, compressed or not.
fn first_of(name: &str) -> Option<u64> {
    let name = name.strip_suffix(gzip::SUFFIX).unwrap_or(name);
    name.strip_suffix(".log").filter(|digits| digits.len() == 20)?.parse().ok()
}

/// Makes the names in a directory last. Where directories cannot be opened, the file system sees to it itself.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
