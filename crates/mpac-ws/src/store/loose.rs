//! Records outside of a store, one text each, read by the same rules as in it.

use super::entry::Entry;
use super::read::nothing;
use super::record::Line;
use super::snapshot::Position;
use crate::hex::sha256;

/// How far such records are read.
#[derive(Debug)]
pub(crate) struct Loose {
    end: Position,
}

impl Loose {
    /// From the beginning, or behind a place in the log.
    pub(crate) fn behind(base: Option<Position>) -> Self {
        Self { end: base.unwrap_or_else(|| Position { n: 0, sum: nothing() }) }
    }

    /// The next one.
    ///
    /// # Errors
    /// Why it cannot be that.
    pub(crate) fn read(&mut self, json: &str) -> Result<Entry, String> {
        let line = Line::parse(json).map_err(|error| format!("cannot be understood: {error}"))?;
        if line.n != self.end.n + 1 || line.prev != self.end.sum || !line.is_where_it_says() {
            return Err("does not follow from the one before: the chain is broken".to_owned());
        }
        self.end = Position { n: line.n, sum: sha256(json) };
        Ok(line.entry)
    }

    /// The last one that was read.
    pub(crate) const fn end(&self) -> &Position {
        &self.end
    }
}
