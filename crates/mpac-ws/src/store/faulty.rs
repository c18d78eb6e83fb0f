//! Media in memory that fail on demand, for tests.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::media::{Beside, Media};

/// Clones share their segments: one is for the log, one for the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) segments: BTreeMap<u64, Vec<u8>>,
    /// What of it is on the disk. A sync that fails leaves it as it is, and so does the next one: the system takes what it could
    /// not write for written, as Linux does.
    pub(crate) disk: BTreeMap<u64, Vec<u8>>,
    unsynced: Vec<(u64, usize, Vec<u8>)>,
    pub(crate) fault: Option<Fault>,
    pub(crate) syncs: usize,
    /// Bytes that a full disk gets back.
    pub(crate) reserve: Option<usize>,
    short: bool,
    current: u64,
    pub(crate) head: Option<u64>,
}

/// What goes wrong from now on.
#[cfg_attr(not(test), expect(dead_code, reason = "only tests make something go wrong"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// So many bytes are still written, then there is no space left.
    NoSpace(usize),
    /// What is written cannot be synced.
    Sync,
}

impl Memory {
    pub(crate) fn of(segments: BTreeMap<u64, Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(State { segments, ..State::default() })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Media for Memory {
    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.state().segments.keys().copied().collect())
    }

    fn head(&self) -> io::Result<Option<u64>> {
        Ok(self.state().head)
    }

    fn size(&self, first: u64) -> io::Result<u64> {
        self.read(first).map(|bytes| bytes.len() as u64)
    }

    fn read_into(&self, first: u64, into: &mut Vec<u8>) -> io::Result<()> {
        self.state().segments.get(&first).ok_or(ErrorKind::NotFound)?.clone_into(into);
        Ok(())
    }

    fn begin(&mut self, first: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.segments.insert(first, Vec::new()).is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.current = first;
        state.head = Some(first);
        Ok(())
    }

    fn resume(&mut self, first: u64) -> io::Result<()> {
        self.state().current = first;
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let state = &mut *self.state();
        let room = match &mut state.fault {
            Some(Fault::NoSpace(left)) => {
                let room = bytes.len().min(*left);
                *left -= room;
                room
            }
            Some(Fault::Sync) | None => bytes.len(),
        };
        let segment = state.segments.get_mut(&state.current).ok_or(ErrorKind::NotFound)?;
        let (at, end) = (at as usize, at as usize + room);
        segment.resize(segment.len().max(end), 0);
        segment[at..end].copy_from_slice(&bytes[..room]);
        state.unsynced.push((state.current, at, bytes[..room].to_vec()));
        if room < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let state = &mut *self.state();
        let segment = state.segments.get_mut(&state.current).ok_or(ErrorKind::NotFound)?;
        segment.resize(length as usize, 0);
        if let Some(segment) = state.disk.get_mut(&state.current) {
            segment.resize(length as usize, 0);
        }
        Ok(())
    }

    fn make_room(&mut self) -> bool {
        let state = &mut *self.state();
        match (state.reserve.take(), &mut state.fault) {
            (Some(bytes), Some(Fault::NoSpace(left))) => {
                *left += bytes;
                state.short = true;
                true
            }
            _ => false,
        }
    }

    fn is_short(&self) -> bool {
        self.state().short
    }

    fn beside(&self) -> Option<Beside> {
        None
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.syncs += 1;
        let unsynced = std::mem::take(&mut state.unsynced);
        if let Some(Fault::Sync) = state.fault {
            return Err(io::Error::other("the disk is gone"));
        }
        for (first, at, bytes) in unsynced {
            let segment = state.disk.entry(first).or_default();
            segment.resize(segment.len().max(at + bytes.len()), 0);
            segment[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(())
    }
}
