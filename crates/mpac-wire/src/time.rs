//! Moments and durations.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use thiserror::Error as ThisError;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::number::{Found, serialize_spelled};
use crate::plain::{Cursor, Plain};

/// The text is not an RFC 3339 date-time (ENV-07).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error("expected an RFC 3339 date-time such as 2026-01-02T03:04:05.000000Z")]
pub struct InvalidTime;

/// A moment on the coordinator's clock: microseconds since 1970-01-01T00:00:00Z, a plain number with no `now()`.
///
/// Written in UTC with `Z` and six fraction digits (D-008); so it lies in the years 1 to 9999, and whatever would be
/// before or after them is their first or last moment: what is stored is read back as it was (REC-29).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    const FIRST: i64 = -62_135_596_800_000_000;
    /// 9999-12-31T23:59:59.999999Z.
    const LAST: i64 = 253_402_300_799_999_999;

    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::FIRST {
            Self(Self::FIRST)
        } else if micros > Self::LAST {
            Self(Self::LAST)
        } else {
            Self(micros)
        }
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 with any offset and any number of fraction digits; digits beyond the sixth are dropped.
    ///
    /// # Errors
    /// When `text` is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        if let Some(micros) = utc(text.as_bytes()) {
            return Ok(Self(micros));
        }
        // The library takes any byte between date and time.
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
            return Err(InvalidTime);
        }
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTime)?;
        let micros = i64::try_from(moment.unix_timestamp_nanos().div_euclid(1000));
        micros.map(Self::from_micros).map_err(|_| InvalidTime)
    }

    /// `duration` later; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn after(self, duration: &Seconds) -> Self {
        Self::from_micros(self.0.saturating_add(duration.micros))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub const fn since(self, earlier: Self) -> Seconds {
        let micros = self.0.saturating_sub(earlier.0);
        Seconds::from_micros(if micros < 0 { 0 } else { micros })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        // Inside the years 1 to 9999 the conversion cannot fail, and no part is negative or has more digits than places.
        let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        write_digits(&mut text[..4], i64::from(moment.year()));
        write_digits(&mut text[5..7], i64::from(u8::from(moment.month())));
        write_digits(&mut text[8..10], i64::from(moment.day()));
        write_digits(&mut text[11..13], i64::from(moment.hour()));
        write_digits(&mut text[14..16], i64::from(moment.minute()));
        write_digits(&mut text[17..19], i64::from(moment.second()));
        write_digits(&mut text[20..26], micros);
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// The last digits of `number`, which is not negative, one for each place.
fn write_digits(places: &mut [u8], mut number: i64) {
    for place in places.iter_mut().rev() {
        *place += (number % 10) as u8;
        number /= 10;
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_str(crate::open::TextVisitor(|text: &str| Self::parse(text)))?
            .map_err(D::Error::custom)
    }
}

/// Microseconds since 1970 of a moment as nearly everybody writes it: `2026-01-02T03:04:05.123456Z`, with up to six digits
/// behind the point. `None` for every other text, which may be a moment all the same: leap days and leap seconds are left to the
/// library.
fn utc(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', rest @ ..] = text else { return None };
    let [h1, h2, b':', n1, n2, b':', s1, s2, rest @ ..] = rest else { return None };
    let (year, month, day) = (digits([y1, y2, y3, y4])?, digits([m1, m2])?, digits([d1, d2])?);
    let (hour, minute, second) = (digits([h1, h2])?, digits([n1, n2])?, digits([s1, s2])?);
    let last_day = match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let fits = (1..=12).contains(&month) && (1..=last_day).contains(&day);
    let fits = fits && hour < 24 && minute < 60 && second < 60;
    if !fits || year == 0 {
        return None;
    }
    let micros = match rest.strip_suffix(b"Z")? {
        [] => 0,
        [b'.', fraction @ ..] if (1..=6).contains(&fraction.len()) => {
            digits(fraction)? * 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?)
        }
        _ => return None,
    };
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

/// The number that nothing but digits stand for.
fn digits<'a>(text: impl IntoIterator<Item = &'a u8>) -> Option<i64> {
    text.into_iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// Days from 1970-01-01 to a day of the calendar. Years are counted from March on, so that the day that some of them have
/// more comes last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// A moment as somebody else wrote it: a type of its own, so that it cannot be used for a deadline (INT-05).
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimedTime {
    text: Box<str>,
    at: Timestamp,
}

impl ClaimedTime {
    /// The moment it names.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The text as it came.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// # Errors
    /// When `text` is not RFC 3339.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        Ok(Self { at: Timestamp::parse(text)?, text: text.into() })
    }
}

impl From<Timestamp> for ClaimedTime {
    fn from(at: Timestamp) -> Self {
        Self { text: alloc::format!("{at}").into(), at }
    }
}

impl fmt::Debug for ClaimedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Plain for ClaimedTime {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        Self::parse(&cursor.text()?).ok()
    }
}

impl Serialize for ClaimedTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ClaimedTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_str(crate::open::TextVisitor(|text: &str| Self::parse(text)))?
            .map_err(D::Error::custom)
    }
}

/// A duration in seconds, to the microsecond. `60`, `60.0` and `"60"` are equal and go out as they came (D-009, D-073).
#[derive(Clone)]
pub struct Seconds {
    micros: i64,
    /// The text, where it is not the canonical one.
    spelling: Option<Box<str>>,
}

impl Seconds {
    /// No time at all.
    pub const ZERO: Self = Self::from_micros(0);

    /// Whole seconds.
    pub const fn whole(seconds: u32) -> Self {
        Self::from_micros(seconds as i64 * 1_000_000)
    }

    /// From microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self { micros, spelling: None }
    }

    /// The length in microseconds.
    pub const fn micros(&self) -> i64 {
        self.micros
    }

    /// Whether it is no time at all.
    pub const fn is_zero(&self) -> bool {
        self.micros == 0
    }

    /// Reads a non-negative JSON number, or a string that holds one.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text).trim();
        let value: f64 = digits.parse().ok()?;
        if !value.is_finite() || value < 0.0 || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        {
            return None;
        }
        // `as` saturates: a duration beyond 292,000 years is that long.
        let micros = exact(digits).unwrap_or((value * 1e6 + 0.5) as i64);
        let canonical = Self::from_micros(micros);
        Some(if canonical.canonical() == text {
            canonical
        } else {
            Self { spelling: Some(text.into()), ..canonical }
        })
    }

    /// Whole numbers without a fraction, others with the digits they need (D-009).
    fn canonical(&self) -> String {
        let (whole, fraction) = (self.micros / 1_000_000, self.micros % 1_000_000);
        if fraction == 0 {
            return alloc::format!("{whole}");
        }
        let text = alloc::format!("{whole}.{fraction:06}");
        text.trim_end_matches('0').into()
    }
}

/// Plain digits with six behind the point at the most, as we write them: to the microsecond however many they are.
fn exact(digits: &str) -> Option<i64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > 6 || ![whole, fraction].iter().all(|part| part.bytes().all(|it| it.is_ascii_digit()))
    {
        return None;
    }
    let fraction: i64 = alloc::format!("{fraction:0<6}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

impl Plain for Seconds {
    fn plain(cursor: &mut Cursor<'_>) -> Option<Self> {
        // Nine digits fit, as seconds and as microseconds.
        let whole = cursor.digits::<9>().map(|seconds| Self::from_micros(seconds as i64 * 1_000_000));
        whole.or_else(|| cursor.other())
    }
}

impl PartialEq for Seconds {
    fn eq(&self, other: &Self) -> bool {
        self.micros == other.micros
    }
}

impl Eq for Seconds {}

impl PartialOrd for Seconds {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Seconds {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.micros.cmp(&other.micros)
    }
}

impl fmt::Debug for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}s")
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let canonical;
        let text = match &self.spelling {
            Some(text) => text,
            None => {
                canonical = self.canonical();
                canonical.as_str()
            }
        };
        serialize_spelled(Some(text), serializer, |serializer| serializer.serialize_i64(self.micros))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        Self::parse(text).ok_or_else(|| {
            D::Error::custom(format_args!("expected a number of seconds, 0 or more, found {}", Found(text)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_rfc3339_form_is_read_and_one_is_written() {
        for (text, written) in [
            ("2026-11-22T18:51:46.164Z", "2026-11-22T18:51:46.164000Z"),
            ("2026-11-22t18:51:46z", "2026-11-22T18:51:46.000000Z"),
            ("2026-11-22T18:51:46.1234567+01:00", "2026-11-22T17:51:46.123456Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), written);
        }
        for text in [
            "",
            "bad",
            "2026-11-22",
            "2026-11-22T18:51Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T18:51:46",
            "2026-11-22 18:51:46Z",
            "2026-11-22X18:51:46.164Z",
            "2026-11-22518:51:46+01:00",
        ] {
            assert_eq!(Timestamp::parse(text), Err(InvalidTime), "{text}");
        }
    }

    /// The short way gives what the library gives.
    #[test]
    fn moments_in_utc_are_read_the_short_way() {
        for year in [1, 4, 100, 400, 1600, 1899, 1900, 1969, 1970, 1999, 2000, 2024, 2026, 2100, 9999] {
            for (month, day) in (1..=12).flat_map(|month| [(month, 1), (month, 28), (month, 30)]) {
                for time in ["00:00:00Z", "23:59:59.9Z", "12:34:56.000001Z"] {
                    let text = alloc::format!("{year:04}-{month:02}-{day:02}T{time}");
                    let moment = OffsetDateTime::parse(&text, &Rfc3339).ok();
                    let micros = moment.map(|moment| moment.unix_timestamp_nanos().div_euclid(1000));
                    assert_eq!(utc(text.as_bytes()).map(i128::from), micros, "{text}");
                }
            }
        }
        for text in [
            "",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T00:60:00Z",
            "2026-01-02T00:00:60Z",
            "2026-01-02t00:00:00Z",
            "2026-01-02T00:00:00",
            "2026-01-02T00:00:00.Z",
            "2026-01-02T00:00:00.1234567Z",
            "2026-01-02T00:00:00+00:00",
            "2026-1-02T00:00:00Z",
            "+026-01-02T00:00:00Z",
            "2026-01-0éT00:00:00Z",
        ] {
            assert_eq!(utc(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_claimed_time_keeps_its_text() {
        let text = r#""2026-11-22T18:51:46.044300Z""#;
        let claimed: ClaimedTime = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&claimed).unwrap(), text);
    }

    #[test]
    fn seconds_keep_their_spelling_and_compare_by_value() {
        for text in ["60", "60.0", "0", "-0", "0.5", "1.50", "6e1", "\"60\"", "0.000001"] {
            let seconds: Seconds = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&seconds).unwrap(), text);
        }
        assert_eq!(serde_json::from_str::<Seconds>("60.0").unwrap(), Seconds::whole(60));
    }

    #[test]
    fn odd_durations_are_refused() {
        for text in ["-1", "\"x\"", "\"\"", "\"-1\"", "\"inf\"", "true", "[60]", "\"NaN\""] {
            assert!(serde_json::from_str::<Seconds>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_at_the_end_of_time_does_not_wrap() {
        let end = Timestamp::from_micros(i64::MAX).after(&Seconds::whole(1));
        assert_eq!(end.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::parse(&end.to_string()), Ok(end), "what is written is what it is");
        let begin = Timestamp::from_micros(i64::MIN);
        assert_eq!(Timestamp::parse(&begin.to_string()), Ok(begin));
        for text in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59"] {
            // Beyond what can be written: refused, or the nearest that can.
            let Ok(read) = Timestamp::parse(text) else { continue };
            assert_eq!(Timestamp::parse(&read.to_string()), Ok(read), "{text}");
        }
    }

    #[test]
    fn long_durations_are_exact() {
        for micros in [i64::MAX, (1 << 53) + 1, 9_007_199_254_740_993, 1] {
            let seconds = Seconds::from_micros(micros);
            let read: Seconds = serde_json::from_str(&serde_json::to_string(&seconds).unwrap()).unwrap();
            assert_eq!(read, seconds);
        }
    }
}
