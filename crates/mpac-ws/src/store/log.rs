//! The log of one session: adding to its end.

pub(crate) mod raw;

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use mpac_wire::signature::NotCanonical;
use thiserror::Error;

use super::Durability;
use super::durable::Durable;
use super::entry::Entry;
use super::media::{Beside, Media, is_full};
pub(crate) use super::read::{Damage, Found, Torn};
use super::read::{Reader, Visit, nothing};
use super::record;
use super::seal::Sealer;
use super::snapshot::Position;

/// Bytes of a segment: with so many it is full, and ends with the next snapshot; with twice as many it ends anyway.
const SEGMENT: u64 = 32 * 1024 * 1024;
/// Zeros written ahead, so that a sync has no new length to note: at first, and at the most.
const AHEAD: (u64, u64) = (64 * 1024, 4 * 1024 * 1024);

/// A log that is open for writing.
#[derive(Debug)]
pub(crate) struct Log {
    media: Box<dyn Media>,
    durability: Durability,
    /// Bytes of a full segment.
    full: u64,
    /// Of the last record.
    n: u64,
    sum: String,
    /// Where the next record goes, and how far zeros are written.
    end: u64,
    allocated: u64,
    /// After a failed write or sync nobody knows what is on the disk: nothing more is written.
    failed: bool,
    /// Who else wants to know how far it is on the disk, and under which name.
    durable: Option<(Durable, PathBuf)>,
    /// Who signs how it stands, if anybody does.
    sealer: Option<Sealer>,
}

/// A place that a snapshot can be taken at.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) after: Position,
    /// A segment begins behind it.
    pub(crate) begins: bool,
    pub(crate) beside: Beside,
}

/// A log that nothing can be added to any more.
#[derive(Debug, Error)]
pub(crate) enum NotAppended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("an entry has no JSON form: {0}")]
    Form(#[from] serde_json::Error),
    #[error("how it stands cannot be signed: {0}")]
    Unsealed(#[from] NotCanonical),
    #[error("an earlier write has failed")]
    Failed,
}

impl Log {
    /// A new one, on media without segments.
    pub(crate) fn create(mut media: Box<dyn Media>, durability: Durability) -> io::Result<Self> {
        media.begin(1)?;
        Ok(Self::at(media, durability, (0, nothing()), (0, 0)))
    }

    /// Behind the record of this number and checksum, this far into its segment.
    fn at(
        media: Box<dyn Media>,
        durability: Durability,
        (n, sum): (u64, String),
        (end, allocated): (u64, u64),
    ) -> Self {
        let (failed, durable, sealer) = (false, None, None);
        Self { media, durability, full: SEGMENT, n, sum, end, allocated, failed, durable, sealer }
    }

    /// Signs how it stands, from now on.
    #[must_use]
    pub(crate) fn sealed_by(mut self, sealer: Option<Sealer>) -> Self {
        self.sealer = sealer;
        self
    }

    /// Who does.
    pub(crate) const fn sealer(&mut self) -> Option<&mut Sealer> {
        self.sealer.as_mut()
    }

    /// Tells `durable` how far it is on the disk, from now on.
    pub(crate) fn reporting(mut self, durable: &Durable) -> Self {
        if let Some(Beside { dir, .. }) = self.media.beside() {
            durable.reached(&dir, self.n);
            self.durable = Some((durable.clone(), dir));
        }
        self
    }

    /// With segments that are full with that many bytes.
    #[must_use]
    pub(crate) const fn with_segments_of(mut self, bytes: u64) -> Self {
        self.full = bytes;
        self
    }

    /// Hands every entry after `from` to `visit`, or every one, and goes on after the last. A torn end is cut off.
    ///
    /// What no record says to be on the disk is written once more: after a sync that failed, the system may show it and think
    /// that the disk has it.
    ///
    /// # Errors
    /// When something is damaged, or `visit` says why an entry cannot be: then nothing has been changed.
    pub(crate) fn resume(
        mut media: Box<dyn Media>,
        durability: Durability,
        from: Option<&Position>,
        visit: &mut Visit<'_>,
    ) -> Result<(Self, Option<Torn>), Damage> {
        let mut reader = Reader::new(&*media, from);
        reader.run(visit)?;
        let end = reader.end;
        media.resume(end.segment)?;
        let mut allocated = end.length as u64;
        if end.torn.is_some() {
            allocated = end.offset as u64;
            media.cut(allocated)?;
        }
        let (begin, unsettled) = &end.unsettled;
        if durability == Durability::Fsync {
            media.write(*begin as u64, unsettled)?;
        }
        if end.torn.is_some() || durability == Durability::Fsync {
            media.sync()?;
        }
        let log = Self::at(media, durability, (end.n, end.sum), (end.offset as u64, allocated));
        Ok((log, end.torn))
    }

    /// Adds entries; when it returns they are as durable as was asked for. After an error nothing can be added any more:
    /// a sync that failed says nothing about what a second one would achieve.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), NotAppended> {
        if self.failed {
            return Err(NotAppended::Failed);
        }
        self.failed = true;
        self.add(entries)?;
        self.failed = false;
        if let Some((durable, dir)) = &self.durable {
            durable.reached(dir, self.n);
        }
        Ok(())
    }

    /// Whether the next snapshot is better taken now: behind it a new segment begins.
    pub(crate) const fn is_full(&self) -> bool {
        self.end >= self.full
    }

    /// Whether the disk was full, and what is written now goes into the reserve.
    pub(crate) fn is_short(&self) -> bool {
        self.media.is_short()
    }

    /// The directory that it is in, if it is in one.
    pub(crate) fn dir(&self) -> Option<PathBuf> {
        self.media.beside().map(|beside| beside.dir)
    }

    /// Where it is, with everything up to there on the disk: a snapshot is not to be ahead of its log. A full segment ends
    /// there, after a seal. `None` where no snapshot can lie beside it.
    pub(crate) fn position(&mut self) -> Result<Option<Mark>, NotAppended> {
        if self.failed {
            return Err(NotAppended::Failed);
        }
        let Some(beside) = self.media.beside() else { return Ok(None) };
        self.seal()?;
        self.failed = true;
        if self.is_full() {
            self.end_segment()?;
        } else if self.durability != Durability::Fsync {
            self.media.sync()?;
        }
        self.failed = false;
        let begins = self.end == 0 && self.n > 0;
        Ok(Some(Mark { after: Position { n: self.n, sum: self.sum.clone() }, begins, beside }))
    }

    /// Hands every entry after `from` to `visit`, or every one, while it goes on: what was appended is all there.
    ///
    /// # Errors
    /// When something is damaged, or `visit` says why an entry cannot be.
    pub(crate) fn follow(&self, from: Option<&Position>, visit: &mut Visit<'_>) -> Result<(), Damage> {
        Reader::new(&*self.media, from).run(visit)
    }

    /// Ends it here for now, without the zeros written ahead. That is for whoever reads it; nothing depends on it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.failed {
            return Ok(());
        }
        self.seal().map_err(io::Error::other)?;
        self.media.cut(self.end)?;
        self.media.sync()
    }

    /// Adds a seal, where anything has none.
    fn seal(&mut self) -> Result<(), NotAppended> {
        let seal = match &mut self.sealer {
            Some(sealer) => sealer.seal(self.n, &self.sum)?,
            None => None,
        };
        match seal {
            Some(seal) => self.append(&[seal]),
            None => Ok(()),
        }
    }

    fn add(&mut self, entries: &[Entry]) -> Result<(), NotAppended> {
        let (mut buffer, mut settled) = (Vec::new(), self.n);
        for entry in entries {
            self.put(&mut buffer, &mut settled, entry)?;
            let is_due = match &mut self.sealer {
                Some(sealer) if !matches!(entry, Entry::Seal(_)) => sealer.count(entry),
                _ => false,
            };
            if is_due
                && let Some(sealer) = &mut self.sealer
                && let Some(seal) = sealer.seal(self.n, &self.sum)?
            {
                self.put(&mut buffer, &mut settled, &seal)?;
            }
        }
        self.flush(&buffer)?;
        if let Some((durable, _)) = &self.durable {
            durable.meter().written(entries.len(), buffer.len());
        }
        Ok(())
    }

    /// Puts the record of `entry` behind those in `buffer`. Up to `settled` everything is on the disk.
    fn put(&mut self, buffer: &mut Vec<u8>, settled: &mut u64, entry: &Entry) -> Result<(), NotAppended> {
        let (begin, n) = (buffer.len(), self.n + 1);
        let mut sum = record::write(buffer, (n, *settled, &self.sum), entry)?;
        if self.end + buffer.len() as u64 > 2 * self.full && self.end + begin as u64 > 0 {
            // The record goes into the next segment, and says that what is before it is on the disk.
            buffer.truncate(begin);
            self.flush(buffer)?;
            self.end_segment()?;
            *settled = self.n;
            buffer.clear();
            sum = record::write(buffer, (n, *settled, &self.sum), entry)?;
        }
        (self.n, self.sum) = (n, sum);
        Ok(())
    }

    /// Ends the segment, and begins the next.
    fn end_segment(&mut self) -> io::Result<()> {
        self.media.cut(self.end)?;
        self.media.sync()?;
        self.media.begin(self.n + 1)?;
        (self.end, self.allocated) = (0, 0);
        Ok(())
    }

    fn flush(&mut self, buffer: &[u8]) -> io::Result<()> {
        // Of the reserve nothing is for zeros.
        if let Err(error) = self.write(buffer, !self.media.is_short()) {
            // Nothing of it was synced, and nobody was told of it: it may be written again, where there is room now.
            if !is_full(&error) || !self.media.make_room() {
                return Err(error);
            }
            self.write(buffer, false)?;
        }
        self.end += buffer.len() as u64;
        match self.durability {
            Durability::Fsync => self.sync(),
            Durability::Os | Durability::None => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        self.media.sync()?;
        if let Some((durable, _)) = &self.durable {
            durable.meter().synced(begun.elapsed());
        }
        Ok(())
    }

    fn write(&mut self, buffer: &[u8], ahead: bool) -> io::Result<()> {
        let end = self.end + buffer.len() as u64;
        if ahead && end > self.allocated {
            let ahead = self.allocated.clamp(AHEAD.0, AHEAD.1);
            // After a write into the reserve it is behind the end.
            let from = self.allocated.max(self.end);
            let allocated = (end + ahead).min((2 * self.full).max(end));
            let zeros = vec![0; usize::try_from(allocated - from).unwrap_or_default()];
            self.media.write(from, &zeros)?;
            self.allocated = allocated;
        }
        self.media.write(self.end, buffer)
    }
}
