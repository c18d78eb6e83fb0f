//! A log read behind its writer: whole records from some entry on, as the bytes that were written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::media::{Files, Media, segment};
use super::missing;
use super::read::nothing;
use super::reading::Begins;
use super::record::{self, HEADER, Unreadable};
use super::snapshot::Position;

/// Reads the records of one log, from an entry on, in as many pieces as its reader likes.
#[derive(Debug)]
pub(crate) struct Tail {
    dir: PathBuf,
    /// The last entry that was read, or that the reader has from elsewhere.
    at: Position,
    segment: Option<Segment>,
    /// The segment that was closed in between, and where its next record begins.
    left: Option<(u64, u64)>,
}

/// Whole records, one behind the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) bytes: Vec<u8>,
    /// How many.
    pub(crate) count: u64,
}

/// An open segment; what is removed meanwhile can still be read to its end.
#[derive(Debug)]
struct Segment {
    first: u64,
    from: Source,
    /// Where the next record begins.
    offset: u64,
}

#[derive(Debug)]
enum Source {
    File(File),
    /// One that is not stored as it was written.
    Memory(io::Cursor<Vec<u8>>),
}

impl Tail {
    /// From the first entry that is kept, which is the first of all where nothing was removed.
    pub(crate) fn from_the_first(dir: &Path) -> io::Result<Self> {
        let mut tail = Self::whole(dir);
        // A crash may have brought back what was removed.
        if let Some(begins) = Begins::read(dir)? {
            tail.at = Position { n: begins.after, sum: String::new() };
        }
        Ok(tail)
    }

    /// From the first entry of all.
    fn whole(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), at: Position { n: 0, sum: nothing() }, segment: None, left: None }
    }

    /// Behind an entry that the reader has. `None` when the log has no such entry: the reader's is another log.
    pub(crate) fn behind(dir: &Path, has: &Position, limit: Option<u64>) -> io::Result<Option<Self>> {
        let mut tail = Self::whole(dir);
        if has.n == 0 {
            return Ok(Some(tail));
        }
        let segments = Files::new(dir.to_owned()).segments()?;
        let Some(&first) = segments.iter().rev().find(|&&first| first <= has.n) else { return Ok(None) };
        if limit.is_some_and(|limit| has.n > limit) {
            return Ok(None);
        }
        tail.at = Position { n: first - 1, sum: String::new() };
        while tail.at.n < has.n {
            if tail.record(None)?.is_none() {
                return Ok(None);
            }
        }
        Ok((tail.at == *has).then_some(tail))
    }

    /// Where the reader is.
    pub(crate) const fn at(&self) -> &Position {
        &self.at
    }

    /// The next records, at most up to entry `limit` and about `enough` bytes; none when there are no more for now. Without a
    /// limit nobody writes to it: what cannot be read is then the end of the log, or damage, and an error.
    pub(crate) fn read(&mut self, limit: Option<u64>, enough: usize) -> io::Result<Records> {
        let mut records = Records::default();
        while records.bytes.len() < enough && limit.is_none_or(|limit| self.at.n < limit) {
            let Some(record) = self.record(limit)? else { break };
            records.bytes.extend_from_slice(&record);
            records.count += 1;
        }
        Ok(records)
    }

    /// Keeps no file open until more is read: of many logs nothing comes for long.
    pub(crate) fn pause(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.left = Some((segment.first, segment.offset));
        }
    }

    /// The next record. Where there has to be one and none can be read, the log is damaged.
    fn record(&mut self, limit: Option<u64>) -> io::Result<Option<Vec<u8>>> {
        if let Some((first, offset)) = self.left.take() {
            // One that was deleted meanwhile was read to its end, or is missed below.
            self.segment = self.source(first)?.map(|from| Segment { first, from, offset });
        }
        loop {
            if let Some(segment) = &mut self.segment
                && let Some(bytes) = segment.next()?
            {
                let (sum, length) = match record::read(&bytes) {
                    Some((_, sum, length)) => (sum.to_owned(), length),
                    None => return self.unreadable(limit),
                };
                segment.offset += length as u64;
                self.at = Position { n: self.at.n + 1, sum };
                return Ok(Some(bytes));
            }
            let next = self.at.n + 1;
            if self.segment.as_ref().is_some_and(|segment| segment.first == next) || !self.open(next)? {
                return self.unreadable(limit);
            }
        }
    }

    fn unreadable(&mut self, limit: Option<u64>) -> io::Result<Option<Vec<u8>>> {
        let is_end = match limit {
            Some(limit) => self.at.n >= limit,
            None => self.is_end()?,
        };
        if is_end {
            return Ok(None);
        }
        Err(io::Error::other(format!("entry {} of the log cannot be read", self.at.n + 1)))
    }

    /// Whether nothing comes behind the last record that was read, or what a crash left half written.
    fn is_end(&mut self) -> io::Result<bool> {
        let media = Files::new(self.dir.clone());
        let (head, last) = (media.head()?, media.segments()?.last().copied());
        let Some(segment) = self.segment.as_mut().filter(|it| Some(it.first) == last && head <= last) else {
            return Ok(last.is_none() && head.is_none());
        };
        let mut rest = Vec::new();
        segment.from.take(segment.offset, u64::MAX, &mut rest)?;
        let offset = usize::try_from(segment.offset).map_err(io::Error::other)?;
        let nothing = rest.iter().all(|&byte| byte == 0);
        Ok(nothing || record::judge(&rest, offset, self.at.n + 1) == Unreadable::Torn)
    }

    /// Goes on in the segment that begins with this entry, if there is one.
    fn open(&mut self, first: u64) -> io::Result<bool> {
        if !Files::new(self.dir.clone()).segments()?.contains(&first) {
            return Ok(false);
        }
        self.segment = self.source(first)?.map(|from| Segment { first, from, offset: 0 });
        Ok(self.segment.is_some())
    }

    /// The segment that begins with this entry, as it is stored; `None` where it is not any more.
    fn source(&self, first: u64) -> io::Result<Option<Source>> {
        if let Some(file) = File::open(self.dir.join(segment(first))).map(Some).or_else(missing)? {
            return Ok(Some(Source::File(file)));
        }
        let read = Files::new(self.dir.clone()).read(first).map(Some).or_else(missing)?;
        Ok(read.map(|bytes| Source::Memory(io::Cursor::new(bytes))))
    }
}

impl Segment {
    /// The bytes where the next record is; `None` where nothing is written yet.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; HEADER];
        if self.fill(&mut bytes, self.offset)? < HEADER || bytes[0] == 0 {
            return Ok(None);
        }
        let Some(length) = record::length_in(&bytes) else { return Ok(Some(bytes)) };
        // With the line end. A length that is damage asks for no more than there is.
        let mut rest = Vec::new();
        self.from.take(self.offset + HEADER as u64, length as u64 + 1, &mut rest)?;
        bytes.extend_from_slice(&rest);
        Ok(Some(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut read = Vec::with_capacity(bytes.len());
        self.from.take(at, bytes.len() as u64, &mut read)?;
        bytes[..read.len()].copy_from_slice(&read);
        Ok(read.len())
    }
}

impl Source {
    fn take(&mut self, at: u64, length: u64, into: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::File(file) => {
                file.seek(SeekFrom::Start(at))?;
                file.take(length).read_to_end(into)?;
            }
            Self::Memory(bytes) => {
                bytes.set_position(at);
                bytes.take(length).read_to_end(into)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
