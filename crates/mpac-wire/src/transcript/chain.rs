//! The hash chain of a transcript (`spec/wire.md` §12, D-130): one entry for each message, in the order in which they crossed
//! the wire. Changing, dropping or moving one is seen at its number.
//!
//! ```
//! use mpac_wire::Timestamp;
//! use mpac_wire::transcript::{Chain, Direction};
//!
//! let mut written = Chain::default();
//! let at = Timestamp::from_micros(0);
//! let one = written.add(at, Direction::Inbound, r#"{ "b": 1.0, "a": "x" }"#);
//! let two = written.add(at, Direction::Outbound, "{}");
//!
//! let mut read = Chain::default();
//! assert_eq!(read.follow(&one).unwrap().envelope, r#"{"a":"x","b":1}"#);
//! read.follow(&two).unwrap();
//! assert_eq!(read, written);
//! assert!(Chain::default().follow(&two).is_err());
//! ```

use alloc::borrow::{Cow, ToOwned};
use alloc::format;
use alloc::string::{String, ToString};

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::canonical::{NotCanonical, canonical};
use crate::time::Timestamp;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two ways")]
pub enum Direction {
    /// From a participant to the coordinator.
    Inbound,
    /// From the coordinator, in its own name. What it passes on is what came, and stands there once.
    Outbound,
}

impl Direction {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// How far a chain is: what the next entry has to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    seq: u64,
    head: String,
}

impl Default for Chain {
    fn default() -> Self {
        Self { seq: 0, head: "0".repeat(64) }
    }
}

/// One entry that was read and follows from those before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link<'a> {
    /// Its number, from 1.
    pub seq: u64,
    /// By the coordinator's clock.
    pub received_at: Timestamp,
    /// Which way it went.
    pub direction: Direction,
    /// The message in canonical form; a frame that has none as a JSON text that holds what came.
    pub envelope: Cow<'a, str>,
}

/// An entry that does not follow from those before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("entry {seq} of the chain {problem}")]
#[non_exhaustive]
pub struct BrokenLink {
    /// Which one should stand there.
    pub seq: u64,
    /// What is wrong with it.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    seq: u64,
    #[serde(borrow)]
    prev: Cow<'a, str>,
    #[serde(borrow)]
    received_at: Cow<'a, str>,
    #[serde(borrow)]
    direction: Cow<'a, str>,
    #[serde(borrow)]
    envelope: &'a RawValue,
    #[serde(borrow)]
    hash: Cow<'a, str>,
}

impl Chain {
    /// How many entries there are.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The hash of the last, 64 hexadecimal digits; zeros before the first.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Adds a frame; gives the whole entry, in canonical form, so that no byte of it can be another.
    pub fn add(&mut self, received_at: Timestamp, direction: Direction, frame: &str) -> String {
        let envelope = in_chain(frame);
        let (seq, at) = (self.seq + 1, received_at.to_string());
        let hash = hash(&self.head, seq, &at, direction.as_str(), &envelope);
        // The order of their names.
        let text = format!(
            r#"{{"direction":"{}","envelope":{envelope},"hash":"{hash}","prev":"{}","received_at":"{at}","seq":{seq}}}"#,
            direction.as_str(),
            self.head,
        );
        (self.seq, self.head) = (seq, hash);
        text
    }

    /// Reads the next entry, in whatever layout. An entry that does not follow changes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn follow<'a>(&mut self, entry: &'a str) -> Result<Link<'a>, BrokenLink> {
        let seq = self.seq + 1;
        let broken = |problem: String| BrokenLink { seq, problem };
        let written: Written<'a> =
            serde_json::from_str(entry).map_err(|error| broken(format!("cannot be read: {error}")))?;
        if written.seq != seq {
            return Err(broken(format!("has the number {}", written.seq)));
        }
        if written.prev != self.head {
            return Err(broken("does not name the one before it".to_owned()));
        }
        let envelope = canonical(written.envelope.get())
            .map_err(|error: NotCanonical| broken(format!("has no canonical form: {error}")))?;
        if hash(&self.head, seq, &written.received_at, &written.direction, &envelope) != written.hash {
            return Err(broken("is not what its hash was made of".to_owned()));
        }
        let direction = match &*written.direction {
            "inbound" => Direction::Inbound,
            "outbound" => Direction::Outbound,
            other => return Err(broken(format!("goes {other:?}, which is neither inbound nor outbound"))),
        };
        let received_at = Timestamp::parse(&written.received_at)
            .map_err(|error| broken(format!("has no time: {error}")))?;
        (self.seq, self.head) = (seq, written.hash.into_owned());
        Ok(Link { seq, received_at, direction, envelope: Cow::Owned(envelope) })
    }
}

/// A frame as it stands in a chain: in canonical form, or, where it has none or is no object, as a text.
pub fn in_chain(frame: &str) -> String {
    let is_object = frame.bytes().find(|byte| !byte.is_ascii_whitespace()) == Some(b'{');
    let object = if is_object { canonical(frame).ok() } else { None };
    // A string is always JSON.
    object
        .unwrap_or_else(|| serde_json::to_string(frame).unwrap_or_else(|_| unreachable!("a string is JSON")))
}

/// SHA-256 over the digits of the hash before and the canonical form of everything but `prev` and `hash`.
fn hash(prev: &str, seq: u64, received_at: &str, direction: &str, envelope: &str) -> String {
    let quoted =
        |text: &str| serde_json::to_string(text).unwrap_or_else(|_| unreachable!("a string is JSON"));
    let (direction, at) = (quoted(direction), quoted(received_at));
    let mut digest = Sha256::new_with_prefix(prev);
    digest.update(format!(
        r#"{{"direction":{direction},"envelope":{envelope},"received_at":{at},"seq":{seq}}}"#
    ));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const FRAMES: [&str; 4] =
        [r#"{ "b": 8.0, "a": "ö\u0041" }"#, "{\"a\":1,\"a\":2}", "not JSON \u{1}", r#"{"a":[1e21]}"#];

    fn chain() -> Vec<String> {
        let mut chain = Chain::default();
        let entry = |(n, frame): (usize, &&str)| {
            let way = if n % 2 == 0 { Direction::Inbound } else { Direction::Outbound };
            chain.add(Timestamp::from_micros(n as i64 * 1_500_000), way, frame)
        };
        FRAMES.iter().enumerate().map(entry).collect()
    }

    /// Up to the first that does not follow.
    fn followed(entries: &[String]) -> Result<(), u64> {
        let mut chain = Chain::default();
        entries.iter().try_for_each(|entry| chain.follow(entry).map(drop).map_err(|broken| broken.seq))
    }

    #[test]
    fn what_has_no_canonical_form_stands_there_as_a_text() {
        let entries = chain();
        let mut chain = Chain::default();
        let read: Vec<String> =
            entries.iter().map(|entry| chain.follow(entry).unwrap().envelope.into_owned()).collect();
        let expected =
            [r#"{"a":"öA","b":8}"#, r#""{\"a\":1,\"a\":2}""#, r#""not JSON \u0001""#, r#"{"a":[1e+21]}"#];
        assert_eq!(read, expected);
    }

    #[test]
    fn another_byte_anywhere_is_seen_at_its_entry() {
        let entries = chain();
        for (n, entry) in entries.iter().enumerate() {
            for at in 0..entry.len() {
                let mut bytes = entry.clone().into_bytes();
                bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let mut other = entries.clone();
                other[n] = changed;
                assert_eq!(followed(&other), Err(n as u64 + 1), "{at}: {}", other[n]);
            }
        }
    }

    #[test]
    fn nothing_can_be_left_out_moved_or_put_between() {
        let whole = chain();
        assert_eq!(followed(&whole), Ok(()));
        for n in 0..whole.len() - 1 {
            let mut less = whole.clone();
            less.remove(n);
            assert_eq!(followed(&less), Err(n as u64 + 1));
            let mut moved = whole.clone();
            moved.swap(n, n + 1);
            assert_eq!(followed(&moved), Err(n as u64 + 1));
            let mut more = whole.clone();
            more.insert(n, whole[n].clone());
            assert_eq!(followed(&more), Err(n as u64 + 2));
        }
        assert_eq!(followed(&whole[..2]), Ok(()), "a chain that ends earlier is one: its head says where");
    }

    #[test]
    fn another_layout_of_the_same_is_the_same() {
        let entry = chain().remove(0);
        let value: serde_json::Value = serde_json::from_str(&entry).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert!(Chain::default().follow(&pretty).is_ok());
        let more = entry.replacen('{', r#"{"note":1,"#, 1);
        assert!(Chain::default().follow(&more).unwrap_err().problem.contains("note"));
    }
}
