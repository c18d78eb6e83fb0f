//! Reading a log back: every entry, checked against the one before.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;

use thiserror::Error;

use super::entry::Entry;
use super::media::Media;
use super::record::{self, Line, Unreadable};
use super::snapshot::Position;

/// What the first record names as the one before.
pub(crate) fn nothing() -> String {
    "0".repeat(64)
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
    #[error("older entries were deleted while it was read, because they are kept no longer: ask again")]
    Deleted,
    #[error("it ends with entry {n}, and there is a snapshot of what was after entry {snapshot}")]
    Short { n: u64, snapshot: u64 },
}

impl Damage {
    /// Whether the log could not be read, or not be opened for writing, which says nothing about what is in it: another try
    /// may find all well.
    pub(crate) fn is_of_the_system(&self) -> bool {
        // What we say ourselves, and what is missing or has another form than it should.
        let says_what_is_there = |kind| {
            matches!(
                kind,
                ErrorKind::InvalidData
                    | ErrorKind::InvalidInput
                    | ErrorKind::IsADirectory
                    | ErrorKind::NotADirectory
                    | ErrorKind::NotFound
                    | ErrorKind::Other
                    | ErrorKind::UnexpectedEof
            )
        };
        matches!(self, Self::Io(error) if !says_what_is_there(error.kind()))
    }
}

/// The end of a log that a crash cut short: nobody was told of what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) segment: u64,
    pub(crate) offset: usize,
}

/// Where an entry stands, and what vouches for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    /// Counts from 1.
    pub(crate) n: u64,
    /// The first entry of its segment.
    pub(crate) segment: u64,
    /// The checksum of the entry before.
    pub(crate) prev: &'a str,
    /// Its own: SHA-256 of `json`, in hexadecimal.
    pub(crate) sum: &'a str,
    /// The record as it is written.
    pub(crate) json: &'a str,
    /// Bytes of the segments on the disk that lie behind, and of all that are read.
    pub(crate) bytes: u64,
    pub(crate) total: u64,
}

/// Takes an entry: goes on, has seen enough, or says why it cannot be.
pub(crate) type Visit<'a> = dyn FnMut(&Found<'_>, Entry) -> Result<ControlFlow<()>, String> + 'a;

/// How far reading came.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) segment: u64,
    pub(super) offset: usize,
    /// Of the segment, with zeros written ahead.
    pub(super) length: usize,
    /// Of the last entry.
    pub(super) n: u64,
    pub(super) sum: String,
    pub(super) torn: Option<Torn>,
    /// The last records of the segment, which none says to be on the disk: where they begin, and their bytes.
    pub(super) unsettled: (usize, Vec<u8>),
}

/// Goes through a log from its beginning, or from a place that a snapshot was taken at.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    media: &'a dyn Media,
    from: Option<&'a Position>,
    pub(super) end: End,
    /// The records of the segment that none says to be on the disk: their numbers and where they begin.
    unsettled: VecDeque<(u64, usize)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(media: &'a dyn Media, from: Option<&'a Position>) -> Self {
        let unsettled = (0, Vec::new());
        let end = End { segment: 0, offset: 0, length: 0, n: 0, sum: nothing(), torn: None, unsettled };
        Self { media, from, end, unsettled: VecDeque::new() }
    }

    /// Hands every entry after `from` to `visit`. Where it fails, [`end`](Self::end) is as far as all was well.
    pub(super) fn run(&mut self, visit: &mut Visit<'_>) -> Result<(), Damage> {
        // Before anything is listed: whoever writes to it may begin the next one meanwhile.
        let head = self.media.head()?;
        let segments = self.segments()?;
        let sizes: Vec<u64> =
            segments.iter().map(|&first| self.media.size(first)).collect::<io::Result<_>>()?;
        let total = sizes.iter().sum();
        let mut behind = 0;
        let mut bytes = Vec::new();
        for (at, &segment) in segments.iter().enumerate() {
            if segment != self.end.n + 1 {
                return Err(Damage::Missing(self.end.n + 1));
            }
            self.media.read_into(segment, &mut bytes)?;
            (self.end.segment, self.end.offset, self.end.length) = (segment, 0, bytes.len());
            // Before a segment begins, all of the one before is on the disk.
            self.unsettled.clear();
            // Compressed it takes up less than is read.
            let share = sizes[at] as f64 / bytes.len().max(1) as f64;
            let so_far = |offset: usize| (behind + (offset as f64 * share) as u64, total);
            if self.segment(&bytes, at + 1 == segments.len(), &so_far, visit)?.is_break() {
                return Ok(());
            }
            behind += sizes[at];
        }
        if let Some(&(_, begin)) = self.unsettled.front() {
            self.end.unsettled = (begin, bytes[begin..self.end.offset].to_vec());
        }
        let last = self.end.segment;
        if let Some(head) = head.filter(|&head| last < head) {
            return Err(Damage::Missing(head));
        }
        match self.from {
            Some(from) if self.end.n < from.n => Err(Damage::Short { n: self.end.n, snapshot: from.n }),
            _ => Ok(()),
        }
    }

    /// The segments to read, the first of which holds entry `from`, or begins behind it.
    fn segments(&mut self) -> Result<Vec<u64>, Damage> {
        let mut segments = self.media.segments()?;
        let next = self.from.map_or(1, |from| from.n + 1);
        let begin = segments.iter().rposition(|&first| first <= next).ok_or(Damage::Missing(next))?;
        segments.drain(..begin);
        let first = segments[0];
        self.end.n = first - 1;
        self.end.sum = match self.from {
            Some(from) if first == next => from.sum.clone(),
            // What comes before is not read, so its end is what the first record says.
            Some(_) if first > 1 => String::new(),
            _ => nothing(),
        };
        Ok(segments)
    }

    fn segment(
        &mut self,
        bytes: &[u8],
        last: bool,
        so_far: &dyn Fn(usize) -> (u64, u64),
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>, Damage> {
        loop {
            let end = &mut self.end;
            let rest = &bytes[end.offset..];
            if rest.iter().all(|&byte| byte == 0) {
                return Ok(ControlFlow::Continue(()));
            }
            let n = end.n + 1;
            let (segment, offset) = (end.segment, end.offset);
            let damage = |reason: String| Damage::Entry { segment, offset, n, reason };
            let Some((json, sum, length)) = record::read(rest) else {
                if last && record::judge(rest, offset, n) == Unreadable::Torn {
                    end.torn = Some(Torn { segment, offset });
                    return Ok(ControlFlow::Continue(()));
                }
                return Err(damage("is damaged: its checksum does not match".to_owned()));
            };
            let line = Line::parse(json).map_err(|error| damage(format!("cannot be understood: {error}")))?;
            let follows = end.sum.is_empty() || line.prev == end.sum;
            if line.n != n || !follows || line.settled >= n || !line.is_where_it_says() {
                return Err(damage("does not follow from the one before: the chain is broken".to_owned()));
            }
            while self.unsettled.front().is_some_and(|&(before, _)| before <= line.settled) {
                self.unsettled.pop_front();
            }
            self.unsettled.push_back((n, offset));
            let flow = match self.from {
                Some(from) if n < from.n => ControlFlow::Continue(()),
                Some(from) if n == from.n && sum == from.sum => ControlFlow::Continue(()),
                Some(from) if n == from.n => {
                    return Err(damage("is not the one that the newest snapshot was taken after".to_owned()));
                }
                _ => {
                    let (bytes, total) = so_far(offset);
                    let found = Found { n, segment, prev: &line.prev, sum, json, bytes, total };
                    visit(&found, line.entry).map_err(damage)?
                }
            };
            (end.n, end.sum) = (n, sum.to_owned());
            end.offset += length;
            if flow.is_break() {
                return Ok(flow);
            }
        }
    }
}
