//! One record on the medium: `length checksum json`, then a line end. Length and checksum are hexadecimal text, so that
//! `cut -c75- FILE | tr -d '\0'` gives lines of JSON.
//!
//! What cannot be read is either the end of a write that a crash cut short, or damage. Nobody was told of the former, so it
//! may go; of the latter somebody was. They are told apart by what a crash can do: it leaves the end of the file out, or
//! whole sectors of the last write, both as zeros. And every record says up to which one everything was on the disk before it
//! was written: what is missing although a later record vouches for it is damage.

use mpac_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Happened};
use super::input::{Known, Stored, Verdict};
use crate::hex::{is_sha256, sha256};

/// Hexadecimal digits of the length and of the checksum, each with a space behind.
pub(super) const HEADER: usize = 8 + 1 + 64 + 1;
/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// The JSON of a record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    /// Counts from 1.
    pub(super) n: u64,
    /// Everything up to here was on the disk before this was written.
    pub(super) settled: u64,
    /// The checksum of the record before: the chain. 64 zeros before the first.
    pub(super) prev: String,
    pub(super) entry: Entry,
}

impl Line {
    /// # Errors
    /// When the JSON is no line.
    pub(super) fn parse(json: &str) -> serde_json::Result<Self> {
        // Most lines are frames; whatever is not, or is spelled in another way, is read below.
        serde_json::from_str::<FrameLine<'_>>(json)
            .ok()
            .and_then(FrameLine::line)
            .map_or_else(|| serde_json::from_str(json), Ok)
    }

    /// A seal names the place that it stands at.
    pub(super) fn is_where_it_says(&self) -> bool {
        match &self.entry {
            Entry::Seal(seal) => self.n.checked_sub(1).is_some_and(|before| seal.is_of(before, &self.prev)),
            _ => true,
        }
    }
}

/// A [`Line`] whose entry is a frame: the same fields, with the tags as fields. Read like this nothing is buffered, which
/// serde does at each enumeration that has its tag inside.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameLine<'a> {
    n: u64,
    settled: u64,
    prev: String,
    #[serde(borrow)]
    entry: FrameEntry<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameEntry<'a> {
    kind: &'a str,
    seq: u64,
    received_at: Timestamp,
    #[serde(borrow)]
    input: FrameInput<'a>,
    outputs: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameInput<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    conn: u64,
    #[serde(default)]
    identity: Option<Known>,
    #[serde(default)]
    signed: Option<Verdict>,
    text: String,
}

impl FrameLine<'_> {
    fn line(self) -> Option<Line> {
        let Self { n, settled, prev, entry: FrameEntry { kind, seq, received_at, input, outputs } } = self;
        if kind != "input" || input.kind != "frame" {
            return None;
        }
        let FrameInput { conn, identity, signed, text, .. } = input;
        let input = Stored::Frame { conn, identity, signed, text };
        let entry = Entry::Input(Happened::stored(seq, received_at, input, outputs));
        Some(Line { n, settled, prev, entry })
    }
}

#[derive(Serialize)]
struct LineOut<'a> {
    n: u64,
    settled: u64,
    prev: &'a str,
    entry: &'a Entry,
}

/// What of a line is needed to judge a place that cannot be read.
#[derive(Deserialize)]
struct Settled {
    settled: u64,
}

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// The last write was cut short.
    Torn,
    /// Something that was on the disk is not what it was.
    Damaged,
}

/// Appends the record of `entry` to `buffer`; gives its checksum, which the next one names. On an error nothing is appended.
pub(super) fn write(
    buffer: &mut Vec<u8>,
    (n, settled, prev): (u64, u64, &str),
    entry: &Entry,
) -> Result<String, serde_json::Error> {
    let begin = buffer.len();
    let written = append(buffer, &LineOut { n, settled, prev, entry });
    if written.is_err() {
        buffer.truncate(begin);
    }
    written
}

fn append(buffer: &mut Vec<u8>, line: &LineOut<'_>) -> Result<String, serde_json::Error> {
    let begin = buffer.len();
    buffer.resize(begin + HEADER, b' ');
    serde_json::to_writer(&mut *buffer, line)?;
    let json = &buffer[begin + HEADER..];
    // Eight digits; the limit of a frame is far below.
    let length = u32::try_from(json.len()).map_err(serde::ser::Error::custom)?;
    let sum = sha256(json);
    buffer[begin..begin + HEADER].copy_from_slice(format!("{length:08x} {sum} ").as_bytes());
    buffer.push(b'\n');
    Ok(sum)
}

/// The record at the beginning of `bytes`: its JSON, its checksum, its length with everything; `None` when there is no whole
/// one with the right checksum.
pub(super) fn read(bytes: &[u8]) -> Option<(&str, &str, usize)> {
    let header = std::str::from_utf8(bytes.get(..HEADER)?).ok()?;
    let length = length(header)?;
    let sum = header.get(9..73)?;
    let end = HEADER.checked_add(length)?;
    let json = bytes.get(HEADER..end)?;
    let ended = bytes.get(end) == Some(&b'\n') && header.as_bytes()[8] == b' ' && header.ends_with(' ');
    if !ended || !is_sha256(json, sum) {
        return None;
    }
    Some((std::str::from_utf8(json).ok()?, sum, end + 1))
}

/// Every record in `bytes` that can be read, whatever lies between: where it begins, its JSON and its checksum.
pub(super) fn scan(bytes: &[u8]) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let begin = at;
            if let Some((json, sum, length)) = read(&bytes[begin..]) {
                at += length;
                return Some((begin, json, sum));
            }
            // One begins where a line begins, or zeros end.
            let begins = |&next: &usize| matches!(bytes[next - 1], b'\n' | 0) && bytes[next] != 0;
            at = (begin + 1..bytes.len()).find(begins).unwrap_or(bytes.len());
        }
        None
    })
}

/// The number of the last record in `bytes` that can be read.
pub(crate) fn last(bytes: &[u8]) -> Option<u64> {
    let (_, json, _) = scan(bytes).last()?;
    Line::parse(json).ok().map(|line| line.n)
}

/// How long the JSON is behind this header, if it is one.
pub(super) fn length_in(header: &[u8]) -> Option<usize> {
    length(std::str::from_utf8(header).ok()?)
}

/// What to make of `rest`, which begins `offset` bytes into its segment where record `n` should be and is not.
pub(super) fn judge(rest: &[u8], offset: usize, n: u64) -> Unreadable {
    if is_vouched_for(rest, n) {
        return Unreadable::Damaged;
    }
    let zeros = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
    let (written, unwritten) = rest.split_at(zeros);
    // A line that is whole and wrong was not cut short.
    let whole = written.contains(&b'\n')
        || std::str::from_utf8(written.get(..HEADER).unwrap_or_default())
            .ok()
            .and_then(length)
            .is_some_and(|length| written.len() > HEADER + length);
    let hole = unwritten.iter().position(|&byte| byte != 0);
    let as_a_crash_leaves_it = hole.is_none_or(|length| {
        // What is missing of the sector in which the write before it ended is only what lies behind that.
        let begins_well = zeros == 0 || (offset + zeros).is_multiple_of(SECTOR);
        begins_well && (offset + zeros + length).is_multiple_of(SECTOR)
    });
    if whole || !as_a_crash_leaves_it { Unreadable::Damaged } else { Unreadable::Torn }
}

/// Whether a readable record somewhere in `rest` says that record `n` was on the disk.
fn is_vouched_for(rest: &[u8], n: u64) -> bool {
    let begins = |at: &usize| at.checked_sub(1).is_some_and(|before| matches!(rest[before], b'\n' | 0));
    (1..rest.len()).filter(begins).any(|at| {
        let Some((json, ..)) = read(&rest[at..]) else { return false };
        serde_json::from_str::<Settled>(json).is_ok_and(|line| line.settled >= n)
    })
}

fn length(header: &str) -> Option<usize> {
    let digits = header.get(..8)?;
    // In one spelling only, so that no flipped bit goes unnoticed.
    let is_ours = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_ours { u32::from_str_radix(digits, 16).ok()?.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read by the short way where that is possible, and by the long way, written again.
    fn both(json: &str) -> (bool, Option<String>, Option<String>) {
        let again = |line: Line| {
            let Line { n, settled, prev, entry } = line;
            serde_json::to_string(&LineOut { n, settled, prev: &prev, entry: &entry }).unwrap()
        };
        let short = serde_json::from_str::<FrameLine<'_>>(json).ok().and_then(FrameLine::line).is_some();
        (short, Line::parse(json).ok().map(again), serde_json::from_str::<Line>(json).ok().map(again))
    }

    fn line(entry: &str) -> String {
        format!(r#"{{"n":2,"settled":1,"prev":"00","entry":{entry}}}"#)
    }

    fn input(input: &str) -> String {
        let (at, outputs) = ("2026-01-01T00:00:00.000001Z", "ab");
        line(&format!(
            r#"{{"kind":"input","seq":1,"received_at":"{at}","input":{input},"outputs":"{outputs}"}}"#
        ))
    }

    #[test]
    fn a_frame_reads_the_same_by_the_short_way() {
        for text in [
            r#"{"type":"frame","conn":1,"text":"{\"a\":1.50}\n\u0000é"}"#,
            r#"{"type":"frame","conn":1,"signed":{"signature":"wrong"},"text":""}"#,
            r#"{"type":"frame","conn":1,"identity":{"proof":"rejected","method":"api_key"},"text":""}"#,
        ] {
            let json = input(text);
            assert_eq!(both(&json), (true, Some(json.clone()), Some(json)));
        }
    }

    #[test]
    fn everything_else_takes_the_long_way_and_nothing_wrong_is_read() {
        let timeout = input(r#"{"type":"timeout"}"#);
        assert_eq!(both(&timeout), (false, Some(timeout.clone()), Some(timeout)));
        let escaped = input(r#"{"type":"fr\u0061me","conn":1,"text":""}"#);
        let plain = Some(input(r#"{"type":"frame","conn":1,"text":""}"#));
        assert_eq!(both(&escaped), (false, plain.clone(), plain));
        for wrong in [
            input(r#"{"type":"frame","conn":1}"#),
            input(r#"{"type":"frame","conn":1,"text":"","more":1}"#),
            input(r#"{"type":"frame","conn":1,"text":"","text":""}"#),
            input(r#"{"type":"other","conn":1,"text":""}"#),
            line("{}"),
        ] {
            assert_eq!(both(&wrong), (false, None, None), "{wrong}");
        }
    }
}
