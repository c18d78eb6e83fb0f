//! Points in a log, as people give them.

use std::str::FromStr;

use mpac_wire::{Seconds, Timestamp};

/// From where, or up to where.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Bound {
    /// An entry, by its number.
    Entry(u64),
    /// A moment.
    At(Timestamp),
    /// So long before now.
    Ago(Seconds),
}

/// What else was given.
const FORMS: &str =
    "give an entry's number, a time such as 2026-01-31T12:00:00Z, or how long ago, as in 90s, 10m, 2h, 1d";

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(n) = text.parse() {
            return Ok(Self::Entry(n));
        }
        if let Some(ago) = ago(text) {
            return Ok(Self::Ago(ago));
        }
        // A day alone is its beginning. People write a space before the time.
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.replacen(' ', "T", 1) };
        Timestamp::parse(&whole).map(Self::At).map_err(|_| FORMS.to_owned())
    }
}

fn ago(text: &str) -> Option<Seconds> {
    let unit: i64 = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count: i64 = text[..text.len() - 1].parse::<u32>().ok()?.into();
    Some(Seconds::from_micros(count.checked_mul(unit)?.checked_mul(1_000_000)?))
}

impl Bound {
    /// Whether an entry comes before this.
    pub(super) fn is_after(&self, n: u64, at: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::Entry(bound) => n < *bound,
            Self::At(bound) => at < *bound,
            Self::Ago(ago) => now.since(at).micros() > ago.micros(),
        }
    }

    /// Whether an entry comes after this.
    pub(super) fn is_before(&self, n: u64, at: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::Entry(bound) => n > *bound,
            Self::At(bound) => at > *bound,
            Self::Ago(ago) => now.since(at).micros() < ago.micros(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_spans_are_told_apart() {
        let ago = |seconds: u32| Bound::Ago(Seconds::whole(seconds));
        let at = |text: &str| Bound::At(Timestamp::parse(text).unwrap());
        for (text, bound) in [
            ("1", Bound::Entry(1)),
            ("20261231", Bound::Entry(20_261_231)),
            ("90s", ago(90)),
            ("10m", ago(600)),
            ("2h", ago(7200)),
            ("1d", ago(86_400)),
            ("2w", ago(1_209_600)),
            ("2026-01-31T12:00:00Z", at("2026-01-31T12:00:00Z")),
            ("2026-01-31T14:00:00+02:00", at("2026-01-31T12:00:00Z")),
            ("2026-01-31 12:00:00Z", at("2026-01-31T12:00:00Z")),
            ("2026-01-31", at("2026-01-31T00:00:00Z")),
        ] {
            assert_eq!(text.parse::<Bound>().as_ref(), Ok(&bound), "{text}");
        }
        for bad in ["", "d", "-1", "1y", "1.5h", "yesterday", "2026-02-30", "99999999999999999999d", "ö"] {
            assert!(bad.parse::<Bound>().unwrap_err().contains("2h"), "{bad}");
        }
    }

    #[test]
    fn bounds_count_themselves() {
        let (now, hour) = (Timestamp::from_micros(7_200_000_000), Timestamp::from_micros(3_600_000_000));
        for bound in [Bound::Entry(5), Bound::At(hour), Bound::Ago(Seconds::whole(3600))] {
            assert!(!bound.is_after(5, hour, now) && !bound.is_before(5, hour, now), "{bound:?}");
            let (before, after) = (Timestamp::from_micros(1), now);
            assert!(bound.is_after(4, before, now) && bound.is_before(6, after, now), "{bound:?}");
        }
    }
}
