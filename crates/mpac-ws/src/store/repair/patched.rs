//! A log as a repair would leave it, for reading it before it is made.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use crate::store::media::{Beside, Files, Media};

/// Segments of a log as they are, or with other bytes.
#[derive(Debug)]
pub(super) struct Patched<'a> {
    pub(super) of: &'a Files,
    /// By their first entry; what they hold where that is not what the file holds.
    pub(super) segments: &'a BTreeMap<u64, Option<Vec<u8>>>,
}

impl Media for Patched<'_> {
    fn segments(&self) -> io::Result<Vec<u64>> {
        Ok(self.segments.keys().copied().collect())
    }

    fn head(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    fn size(&self, first: u64) -> io::Result<u64> {
        match self.segments.get(&first) {
            Some(Some(bytes)) => Ok(bytes.len() as u64),
            _ => self.of.size(first),
        }
    }

    fn read_into(&self, first: u64, into: &mut Vec<u8>) -> io::Result<()> {
        match self.segments.get(&first) {
            Some(Some(bytes)) => {
                bytes.clone_into(into);
                Ok(())
            }
            _ => self.of.read_into(first, into),
        }
    }

    fn begin(&mut self, _: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn resume(&mut self, _: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn make_room(&mut self) -> bool {
        false
    }

    fn is_short(&self) -> bool {
        false
    }

    fn beside(&self) -> Option<Beside> {
        None
    }
}
