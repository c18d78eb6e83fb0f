//! The log of one session: reading it back, and adding to its end.

pub(crate) mod raw;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Durability;
use super::durable::Durable;
use super::entry::Entry;
use super::media::Media;
use super::record::{self, Line, Unreadable};
use super::snapshot::Position;

/// Bytes after which a new segment begins.
const SEGMENT: u64 = 64 * 1024 * 1024;
/// Zeros written ahead, so that a sync has no new length to note: at first, and at the most.
const AHEAD: (u64, u64) = (64 * 1024, 4 * 1024 * 1024);

/// What the first record names as the one before.
pub(super) fn nothing() -> String {
    "0".repeat(64)
}

/// A log that is open for writing.
#[derive(Debug)]
pub(crate) struct Log {
    media: Box<dyn Media>,
    durability: Durability,
    segment: u64,
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
}

/// A log that nothing can be added to any more.
#[derive(Debug, Error)]
pub(crate) enum NotAppended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("an entry has no JSON form: {0}")]
    Form(#[from] serde_json::Error),
    #[error("an earlier write has failed")]
    Failed,
}

/// A log that cannot be gone on from.
#[derive(Debug, Error)]
pub(crate) enum Damage {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("segment {segment:020}.log, byte {offset}: entry {n} {reason}")]
    Entry { segment: u64, offset: usize, n: u64, reason: String },
    #[error("there is no segment {0:020}.log")]
    Missing(u64),
    #[error("it ends with entry {n}, and there is a snapshot of what was after entry {snapshot}")]
    Short { n: u64, snapshot: u64 },
}

/// The end of a log that a crash cut short: nobody was told of what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) segment: u64,
    pub(crate) offset: usize,
}

/// How far reading came.
#[derive(Debug)]
struct End {
    segment: u64,
    offset: usize,
    length: usize,
    n: u64,
    sum: String,
    torn: Option<Torn>,
}

impl Log {
    /// A new one, on media without segments.
    pub(crate) fn create(mut media: Box<dyn Media>, durability: Durability) -> io::Result<Self> {
        media.begin(1)?;
        let (n, end, allocated, failed, durable) = (0, 0, 0, false, None);
        Ok(Self { media, durability, segment: SEGMENT, n, sum: nothing(), end, allocated, failed, durable })
    }

    /// Tells `durable` how far it is on the disk, from now on.
    pub(crate) fn reporting(mut self, durable: &Durable) -> Self {
        if let Some(dir) = self.media.dir() {
            durable.reached(dir, self.n);
            self.durable = Some((durable.clone(), dir.to_owned()));
        }
        self
    }

    /// With segments of that many bytes.
    #[cfg(test)]
    pub(crate) const fn with_segments_of(mut self, bytes: u64) -> Self {
        self.segment = bytes;
        self
    }

    /// Hands every entry after `from` to `visit`, or every one, and goes on after the last. A torn end is cut off.
    ///
    /// # Errors
    /// When something is damaged, or `visit` says why an entry cannot be: then nothing has been changed.
    pub(crate) fn resume(
        mut media: Box<dyn Media>,
        durability: Durability,
        from: Option<&Position>,
        visit: &mut dyn FnMut(Entry) -> Result<(), String>,
    ) -> Result<(Self, Option<Torn>), Damage> {
        let end = read(&*media, from, visit)?;
        media.resume(end.segment)?;
        let mut allocated = end.length as u64;
        if end.torn.is_some() {
            allocated = end.offset as u64;
            media.cut(allocated)?;
            media.sync()?;
        }
        let (n, sum, torn, end) = (end.n, end.sum, end.torn, end.offset as u64);
        Ok((
            Self {
                media,
                durability,
                segment: SEGMENT,
                n,
                sum,
                end,
                allocated,
                failed: false,
                durable: None,
            },
            torn,
        ))
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

    /// Where it is, with everything up to there on the disk: a snapshot is not to be ahead of its log. `None` where no
    /// snapshot can lie beside it.
    pub(crate) fn position(&mut self) -> Result<Option<(Position, PathBuf)>, NotAppended> {
        if self.failed {
            return Err(NotAppended::Failed);
        }
        let Some(dir) = self.media.dir().map(Path::to_owned) else { return Ok(None) };
        if self.durability != Durability::Fsync {
            self.failed = true;
            self.media.sync()?;
            self.failed = false;
        }
        Ok(Some((Position { n: self.n, sum: self.sum.clone() }, dir)))
    }

    /// Ends it here for now, without the zeros written ahead. That is for whoever reads it; nothing depends on it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.failed {
            return Ok(());
        }
        self.media.cut(self.end)?;
        self.media.sync()
    }

    fn add(&mut self, entries: &[Entry]) -> Result<(), NotAppended> {
        let mut settled = self.n;
        let mut buffer = Vec::new();
        for entry in entries {
            let begin = buffer.len();
            let n = self.n + 1;
            let mut sum = record::write(&mut buffer, (n, settled, &self.sum), entry)?;
            if self.end + buffer.len() as u64 > self.segment && self.end + begin as u64 > 0 {
                // The record goes into the next segment, and says that what is before it is on the disk.
                buffer.truncate(begin);
                self.flush(&buffer)?;
                self.media.cut(self.end)?;
                self.media.sync()?;
                self.media.begin(n)?;
                (self.end, self.allocated, settled) = (0, 0, self.n);
                buffer.clear();
                sum = record::write(&mut buffer, (n, settled, &self.sum), entry)?;
            }
            (self.n, self.sum) = (n, sum);
        }
        Ok(self.flush(&buffer)?)
    }

    fn flush(&mut self, buffer: &[u8]) -> io::Result<()> {
        let end = self.end + buffer.len() as u64;
        if end > self.allocated {
            let ahead = self.allocated.clamp(AHEAD.0, AHEAD.1);
            let from = self.allocated;
            self.allocated = (end + ahead).min(self.segment.max(end));
            let zeros = vec![0; usize::try_from(self.allocated - from).unwrap_or_default()];
            self.media.write(from, &zeros)?;
        }
        self.media.write(self.end, buffer)?;
        self.end = end;
        match self.durability {
            Durability::Fsync => self.media.sync(),
            Durability::Os | Durability::None => Ok(()),
        }
    }
}

/// Hands every entry of a log to `visit`, and changes nothing.
pub(crate) fn verify(
    media: &dyn Media,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<(u64, Option<Torn>), Damage> {
    read(media, None, visit).map(|end| (end.n, end.torn))
}

fn read(
    media: &dyn Media,
    from: Option<&Position>,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<End, Damage> {
    let mut segments = media.segments()?;
    let is_behind = |first: u64| from.is_some_and(|from| first <= from.n);
    let first = segments.iter().rposition(|&first| is_behind(first)).unwrap_or_default();
    segments.drain(..first);
    let first = segments.first().copied().filter(|&first| first == 1 || is_behind(first));
    let first = first.ok_or(Damage::Missing(1))?;
    // What comes before is not read, so its end is what the first record says.
    let sum = if first == 1 { nothing() } else { String::new() };
    let mut end = End { segment: first, offset: 0, length: 0, n: first - 1, sum, torn: None };
    for (at, &segment) in segments.iter().enumerate() {
        if segment != end.n + 1 {
            return Err(Damage::Missing(end.n + 1));
        }
        let bytes = media.read(segment)?;
        (end.segment, end.offset, end.length) = (segment, 0, bytes.len());
        let last = at + 1 == segments.len();
        read_segment(&bytes, (last, from), &mut end, visit)?;
    }
    match from {
        Some(from) if end.n < from.n => Err(Damage::Short { n: end.n, snapshot: from.n }),
        _ => Ok(end),
    }
}

fn read_segment(
    bytes: &[u8],
    (last, from): (bool, Option<&Position>),
    end: &mut End,
    visit: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<(), Damage> {
    loop {
        let rest = &bytes[end.offset..];
        if rest.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        let n = end.n + 1;
        let (segment, offset) = (end.segment, end.offset);
        let damage = |reason: String| Damage::Entry { segment, offset, n, reason };
        let Some((json, sum, length)) = record::read(rest) else {
            if last && record::judge(rest, offset, n) == Unreadable::Torn {
                end.torn = Some(Torn { segment, offset });
                return Ok(());
            }
            return Err(damage("is damaged: its checksum does not match".to_owned()));
        };
        let line: Line =
            serde_json::from_str(json).map_err(|error| damage(format!("cannot be understood: {error}")))?;
        let follows = end.sum.is_empty() || line.prev == end.sum;
        if line.n != n || !follows || line.settled >= n {
            return Err(damage("does not follow from the one before: the chain is broken".to_owned()));
        }
        match from {
            Some(from) if n < from.n => {}
            Some(from) if n == from.n && sum == from.sum => {}
            Some(from) if n == from.n => {
                return Err(damage("is not the one that the newest snapshot was taken after".to_owned()));
            }
            _ => visit(line.entry).map_err(damage)?,
        }
        (end.n, end.sum) = (n, sum.to_owned());
        end.offset += length;
    }
}
