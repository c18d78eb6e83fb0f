//! What is said to somebody who may have read enough.

use std::io::{ErrorKind, Result, Write};

/// Output whose reader may leave: what is said after that is for nobody, and what is being done goes on to its end.
pub(crate) struct MayLeave<'a, W>(pub(crate) &'a mut W);

impl<W: Write> Write for MayLeave<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}
