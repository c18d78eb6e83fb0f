//! Records that were written elsewhere, taken over as they are.

use thiserror::Error;

use super::{Log, NotAppended};
use crate::store::Durability;
use crate::store::entry::Entry;
use crate::store::media::{Files, Media};
use crate::store::record::{self, Line};
use crate::store::snapshot::Position;

/// Records that do not follow from what is there.
#[derive(Debug, Error)]
pub(crate) enum NotTaken {
    #[error("entry {0} came damaged")]
    Checksum(u64),
    #[error("entry {0} does not follow from the one before")]
    Chain(u64),
    #[error("entry {0} cannot be understood: {1}")]
    Form(u64, serde_json::Error),
    #[error("entry {0} {1}")]
    Refused(u64, String),
    #[error("{0}")]
    Log(#[from] NotAppended),
}

impl Log {
    /// Where it ends.
    pub(crate) fn end(&self) -> Position {
        Position { n: self.n, sum: self.sum.clone() }
    }

    /// Adds whole records, byte for byte, each of which has to follow from the one before; `visit` sees each entry first and
    /// says what is wrong with it. When it returns all of them are as durable as was asked for; after an error nothing can be
    /// added any more.
    ///
    /// A record vouches for those before it, so they are on the disk before it is written, here as where it was written
    /// first.
    pub(crate) fn take(
        &mut self,
        mut records: &[u8],
        visit: &mut dyn FnMut(Entry) -> Result<(), String>,
    ) -> Result<(), NotTaken> {
        if self.failed {
            return Err(NotAppended::Failed.into());
        }
        self.failed = true;
        let mut synced = self.n;
        let mut buffer = Vec::new();
        while !records.is_empty() {
            let n = self.n + 1;
            let (json, sum, length) = record::read(records).ok_or(NotTaken::Checksum(n))?;
            let line = Line::parse(json).map_err(|error| NotTaken::Form(n, error))?;
            // Whoever begins behind a snapshot has no record to compare the first one's with.
            let follows = line.prev == self.sum || self.sum.is_empty();
            if line.n != n || !follows || line.settled >= n || !line.is_where_it_says() {
                return Err(NotTaken::Chain(n));
            }
            let settled = line.settled;
            visit(line.entry).map_err(|reason| NotTaken::Refused(n, reason))?;
            if settled > synced && !buffer.is_empty() {
                self.flush(&buffer).map_err(NotAppended::from)?;
                buffer.clear();
                synced = self.n;
            }
            let (record, rest) = records.split_at(length);
            self.rotate_for(record.len(), &mut buffer).map_err(NotAppended::from)?;
            buffer.extend_from_slice(record);
            (self.n, self.sum) = (n, sum.to_owned());
            records = rest;
        }
        self.flush(&buffer).map_err(NotAppended::from)?;
        self.failed = false;
        Ok(())
    }

    fn rotate_for(&mut self, length: usize, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        let end = self.end + buffer.len() as u64;
        if end == 0 || end + length as u64 <= 2 * self.full {
            return Ok(());
        }
        self.flush(buffer)?;
        buffer.clear();
        self.end_segment()
    }

    /// A new log whose first record is the one after `n`, on media without segments.
    pub(crate) fn create_behind(
        mut media: Box<dyn Media>,
        durability: Durability,
        n: u64,
    ) -> std::io::Result<Self> {
        if n == 0 {
            return Self::create(media, durability);
        }
        media.begin(n + 1)?;
        Ok(Self::at(media, durability, (n, String::new()), (0, 0)))
    }

    /// Keeps no file open until more comes.
    pub(crate) fn rest(&mut self) {
        self.media.rest();
    }

    /// Goes on in another directory, where its files are now.
    pub(crate) fn moved(&mut self, mut files: Files, durability: Durability) -> std::io::Result<()> {
        let last = files.segments()?.last().copied();
        files.resume(last.ok_or_else(|| std::io::Error::other("the log has no segment"))?)?;
        self.media = Box::new(files);
        self.durability = durability;
        Ok(())
    }
}
