//! Where the bytes of one log lie: segments by the number of their first entry, of which the last is written to.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Segments that can be read, and one that can be written.
pub(crate) trait Media: Debug + Send {
    /// The first entries of all segments, in ascending order.
    fn segments(&self) -> io::Result<Vec<u64>>;
    /// A whole segment.
    fn read(&self, first: u64) -> io::Result<Vec<u8>>;
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
    /// Where snapshots may lie beside it, if anywhere.
    fn dir(&self) -> Option<&Path>;
}

/// Files in a directory of their own.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
    current: Option<File>,
}

impl Files {
    /// In `dir`, which has to exist.
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir, current: None }
    }

    fn path(&self, first: u64) -> PathBuf {
        self.dir.join(format!("{first:020}.log"))
    }

    fn current(&mut self) -> io::Result<&mut File> {
        self.current.as_mut().ok_or_else(|| io::Error::other("no segment is open"))
    }
}

impl Media for Files {
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(".log"));
            found.extend(digits.filter(|digits| digits.len() == 20).and_then(|it| it.parse::<u64>().ok()));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn read(&self, first: u64) -> io::Result<Vec<u8>> {
        fs::read(self.path(first))
    }

    fn begin(&mut self, first: u64) -> io::Result<()> {
        self.current = Some(OpenOptions::new().write(true).create_new(true).open(self.path(first))?);
        sync_dir(&self.dir)
    }

    fn resume(&mut self, first: u64) -> io::Result<()> {
        self.current = Some(OpenOptions::new().write(true).open(self.path(first))?);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.current()?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.current()?.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current()?.sync_data()
    }

    fn dir(&self) -> Option<&Path> {
        Some(&self.dir)
    }
}

/// Makes the names in a directory last. Where directories cannot be opened, the file system sees to it itself.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
