//! Reading a transcript, in either form (SRV-17).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{PythonEntry, Transcript};
use crate::envelope::Envelope;
use crate::error::{DecodeError, decode};

/// A transcript as it was found.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there are two forms")]
pub enum Imported {
    /// The specification's form.
    Specified(Box<Transcript>),
    /// What the Python server writes, in the order of arrival.
    Python(Vec<PythonEntry>),
}

impl Imported {
    /// Reads either form: an object is the specification's, an array the Python server's.
    ///
    /// # Errors
    /// When it is neither; the path says where.
    pub fn parse(text: &str) -> Result<Self, DecodeError> {
        if text.trim_start().starts_with('[') {
            Ok(Self::Python(decode(text, "")?))
        } else {
            Ok(Self::Specified(Box::new(decode(text, "")?)))
        }
    }

    /// The messages, in the order of the file.
    ///
    /// # Errors
    /// When an entry of the Python server's form holds no message.
    pub fn messages(&self) -> Result<Vec<Envelope>, DecodeError> {
        match self {
            Self::Specified(transcript) => Ok(transcript.messages.clone()),
            Self::Python(entries) => entries
                .iter()
                .enumerate()
                .map(|(at, entry)| decode(entry.envelope.get(), &alloc::format!("[{at}].envelope")))
                .collect(),
        }
    }
}
