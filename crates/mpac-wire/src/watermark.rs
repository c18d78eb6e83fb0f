//! What a sender had seen when it spoke (`spec/wire.md` §3.2).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names::WatermarkKind;
use crate::number::Integer;
use crate::object::Raw;
use crate::plain::{Cursor, Plain};

object! {
    /// A sender's place in the causal order.
    pub struct Watermark: Plain {
        /// How it counts; `lamport_clock` is the baseline (LAM-01).
        req kind: WatermarkKind,
        /// A whole number for `lamport_clock`, an object for `vector_clock`, text for the others.
        req value: WatermarkValue,
        /// The Lamport value beside any other kind (LAM-03).
        opt lamport_value: Integer,
        /// Namespaced additions.
        opt extensions: Raw,
    }
}

/// How far a sender had come.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a number in digits or anything else")]
pub enum WatermarkValue {
    /// A whole number that was written with nothing but its digits, as nearly always.
    Count(u64),
    /// Anything else, as it came.
    Other(Raw),
}

impl Serialize for WatermarkValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Other(raw) => raw.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for WatermarkValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        // JSON's numbers have no sign and no zero before their digits that `parse` would take.
        Ok(raw.get().parse().map_or(Self::Other(raw), Self::Count))
    }
}

impl Plain for WatermarkValue {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.digits::<15>().map(Self::Count).or_else(|| cursor.other())
    }
}

/// The Lamport value is no whole number between 0 and [`Watermark::MAX_LAMPORT`] (LAM-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("watermark.value: a Lamport value is a whole number from 0 to 2^53 - 2^20")]
pub struct InvalidLamport;

impl Watermark {
    /// The largest Lamport value accepted, which leaves room to count on (D-028).
    pub const MAX_LAMPORT: u64 = (1 << 53) - (1 << 20);

    /// A Lamport watermark.
    pub fn lamport(value: u64) -> Self {
        Self {
            kind: WatermarkKind::LamportClock,
            value: WatermarkValue::Count(value),
            lamport_value: None,
            extensions: None,
            extra: <_>::default(),
        }
    }

    /// The Lamport value: `value`, or `lamport_value` for other kinds, which may have none (LAM-04, LAM-05).
    ///
    /// # Errors
    /// When the value is negative, fractional, too large or no number.
    pub fn lamport_value(&self) -> Result<Option<u64>, InvalidLamport> {
        let value = match self.kind {
            WatermarkKind::LamportClock => Some(match &self.value {
                WatermarkValue::Count(count) => *count,
                WatermarkValue::Other(raw) => raw.read::<Integer>().map_err(|_| InvalidLamport)?.get(),
            }),
            WatermarkKind::VectorClock
            | WatermarkKind::CausalFrontier
            | WatermarkKind::Opaque
            | WatermarkKind::Other(_) => self.lamport_value.as_ref().map(Integer::get),
        };
        match value {
            Some(value) if value > Self::MAX_LAMPORT => Err(InvalidLamport),
            value => Ok(value),
        }
    }
}

impl Watermark {
    /// Whether nobody here can place it: a kind we do not read, without a Lamport value beside it. What was judged from
    /// it is kept and marked partial (LAM-05).
    pub fn is_opaque(&self) -> bool {
        self.kind != WatermarkKind::LamportClock && self.lamport_value.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lamport(text: &str) -> Result<Option<u64>, InvalidLamport> {
        serde_json::from_str::<Watermark>(text).unwrap().lamport_value()
    }

    #[test]
    fn the_lamport_value_of_each_kind() {
        assert_eq!(lamport(r#"{"kind":"lamport_clock","value":7}"#), Ok(Some(7)));
        assert_eq!(lamport(r#"{"kind":"lamport_clock","value":7.0}"#), Ok(Some(7)));
        assert_eq!(lamport(r#"{"kind":"vector_clock","value":{"a":1},"lamport_value":9}"#), Ok(Some(9)));
        assert_eq!(lamport(r#"{"kind":"opaque","value":"x"}"#), Ok(None));
        for bad in ["-1", "1.5", "4503599627370497.3", "\"7\"", "1152921504606846976", "{}"] {
            let text = alloc::format!(r#"{{"kind":"lamport_clock","value":{bad}}}"#);
            assert_eq!(lamport(&text), Err(InvalidLamport), "{bad}");
        }
        assert_eq!(
            serde_json::to_string(&Watermark::lamport(3)).unwrap(),
            r#"{"kind":"lamport_clock","value":3}"#
        );
    }
}
