//! Numbers that keep how they were written: `8` and `8.0` are equal and go out as they came (ENV-18, D-009).

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::canonical::Decimal;
use crate::plain::{Cursor, Plain};

/// The largest whole number that every JSON implementation keeps exactly: 2^53 - 1.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// A non-negative whole number, at most 2^53 - 1. A zero fraction (`8.0`, `8e0`) is accepted.
#[derive(Clone)]
pub struct Integer {
    value: u64,
    /// The text, where it is not the plain digits of `value`.
    spelling: Option<Box<str>>,
}

impl Integer {
    /// `value`, capped at 2^53 - 1.
    pub const fn new(value: u64) -> Self {
        Self { value: if value > MAX_SAFE { MAX_SAFE } else { value }, spelling: None }
    }

    /// The value.
    pub const fn get(&self) -> u64 {
        self.value
    }

    fn parse(text: &str) -> Option<Self> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let value = text.parse().ok().filter(|value| *value <= MAX_SAFE)?;
            return Some(Self { value, spelling: None });
        }
        // By its digits: the nearest double may be whole where the number is not.
        let value = Decimal::of(text)?.natural().filter(|value| *value <= MAX_SAFE)?;
        Some(Self { value, spelling: Some(text.into()) })
    }
}

impl Plain for Integer {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.digits::<15>().map(Self::new).or_else(|| cursor.other())
    }
}

impl From<u64> for Integer {
    fn from(value: u64) -> Self {
        Self::new(value)
    }
}

impl PartialEq for Integer {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Integer {}

impl fmt::Debug for Integer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.value, f)
    }
}

impl Serialize for Integer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_spelled(self.spelling.as_deref(), serializer, |serializer| {
            serializer.serialize_u64(self.value)
        })
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        Self::parse(text).ok_or_else(|| {
            D::Error::custom(format_args!(
                "expected a whole number from 0 to 2^53 - 1, found {}",
                Found(text)
            ))
        })
    }
}

/// Writes `spelling` as it stands, or else the canonical form.
pub(crate) fn serialize_spelled<S: Serializer>(
    spelling: Option<&str>,
    serializer: S,
    canonical: impl FnOnce(S) -> Result<S::Ok, S::Error>,
) -> Result<S::Ok, S::Error> {
    match spelling {
        Some(text) => {
            RawValue::from_string(text.to_owned()).map_err(serde::ser::Error::custom)?.serialize(serializer)
        }
        None => canonical(serializer),
    }
}

/// Any JSON number, kept as text (`confidence`, for one).
#[derive(Clone, PartialEq)]
pub struct Number(Box<str>);

impl Number {
    /// The value, as near as a double comes.
    pub fn as_f64(&self) -> f64 {
        // JSON's numbers are a subset of what `f64` parses, and `Number` is only made from one.
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self(alloc::format!("{value}").into())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_spelled(Some(&self.0), serializer, |serializer| serializer.serialize_f64(self.as_f64()))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(D::Error::custom(format_args!("expected a number, found {}", Found(text))))
        }
    }
}

/// A value that stands where a number should, for an error text. Of a text, a list and an object only the kind is told: what is in
/// them may be anything, a content or a secret (PRV-03, PRV-05).
pub(crate) struct Found<'a>(pub(crate) &'a str);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        let shown = match self.0.bytes().next() {
            Some(b'"') => "a text",
            Some(b'[') => "a list",
            Some(b'{') => "an object",
            _ => self.0,
        };
        match shown.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}...", &shown[..end]),
            None => f.write_str(shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_fraction_is_a_whole_number_and_keeps_its_spelling() {
        for text in [
            "0",
            "8",
            "8.0",
            "80e-1",
            "-0.0",
            "0e9",
            "0e99999999999999999999",
            "9007199254740991",
            "9007199254740991000e-3",
        ] {
            let number: Integer = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&number).unwrap(), text);
        }
        assert_eq!(serde_json::from_str::<Integer>("8.0").unwrap(), Integer::new(8));
    }

    #[test]
    fn what_is_no_whole_number_is_refused() {
        for text in [
            "-1",
            "8.5",
            "1e400",
            "9007199254740992",
            "9007199254740992.0",
            "\"8\"",
            "\"8e0\"",
            "true",
            "null",
            "[]",
            // The nearest double is a whole number, what stands there is none.
            "4503599627370497.3",
            "9007199254740991.4",
            "0.99999999999999999999",
            "8.00000000000000001",
            "1e-400",
            "-1e-400",
        ] {
            assert!(serde_json::from_str::<Integer>(text).is_err(), "{text}");
        }
    }
}
