//! What answers use up: tokens and money.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Deserializer};

/// Tokens of one or more calls. The four kinds do not overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Read at full price.
    #[serde(default, rename = "input_tokens", deserialize_with = "nothing_is_none")]
    pub input: u64,
    /// Written by the model.
    #[serde(default, rename = "output_tokens", deserialize_with = "nothing_is_none")]
    pub output: u64,
    /// Read, and kept by the API for the next call.
    #[serde(default, rename = "cache_creation_input_tokens", deserialize_with = "nothing_is_none")]
    pub cache_write: u64,
    /// Read from what an earlier call left there.
    #[serde(default, rename = "cache_read_input_tokens", deserialize_with = "nothing_is_none")]
    pub cache_read: u64,
}

fn nothing_is_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Usage {
    /// All tokens, whatever they cost.
    #[must_use]
    pub fn total(&self) -> u64 {
        [self.input, self.output, self.cache_write, self.cache_read].into_iter().fold(0, u64::saturating_add)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.input = self.input.saturating_add(more.input);
        self.output = self.output.saturating_add(more.output);
        self.cache_write = self.cache_write.saturating_add(more.cache_write);
        self.cache_read = self.cache_read.saturating_add(more.cache_read);
    }
}

/// `4210 tokens in (1024 from the cache, 900 into it), 610 out`.
impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = self.input.saturating_add(self.cache_write).saturating_add(self.cache_read);
        write!(f, "{read} tokens in")?;
        match (self.cache_read, self.cache_write) {
            (0, 0) => {}
            (from, 0) => write!(f, " ({from} from the cache)")?,
            (0, into) => write!(f, " ({into} into the cache)")?,
            (from, into) => write!(f, " ({from} from the cache, {into} into it)")?,
        }
        write!(f, ", {} out", self.output)
    }
}

/// An amount of money: billionths of a US dollar, so that sums are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u64);

impl Cost {
    /// An amount in billionths of a US dollar.
    #[must_use]
    pub fn nano_dollars(amount: u64) -> Self {
        Self(amount)
    }

    /// From US dollars; `None` for what is no amount: negative, not finite, or too much.
    #[must_use]
    pub fn dollars(amount: f64) -> Option<Self> {
        let nano = amount * 1e9;
        // Up to 2^53 a float holds whole numbers exactly.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        (nano.is_finite() && (0.0..=9e15).contains(&nano)).then(|| Self(nano.round() as u64))
    }
}

impl Cost {
    /// In US dollars, for programs to read; exact up to millions.
    #[must_use]
    pub fn in_dollars(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53 billionths")]
        let nano = self.0 as f64;
        nano / 1e9
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// `$1.25`, and below ten cents `$0.0213`, never less than what it is.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 100_000_000 {
            let parts = self.0.div_ceil(100_000);
            write!(f, "$0.{parts:04}")
        } else {
            let cents = self.0.div_ceil(10_000_000);
            write!(f, "${}.{:02}", cents / 100, cents % 100)
        }
    }
}

/// What some calls have used up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent {
    /// How many calls.
    pub calls: u32,
    /// Their tokens.
    pub usage: Usage,
    /// What they cost by estimate; `None` when that is not known of all of them. It is no bill.
    pub cost: Option<Cost>,
    /// The date of the prices that the cost was reckoned by; `None` when somebody else said what it costs.
    pub prices_of: Option<String>,
}

impl AddAssign<&Self> for Spent {
    fn add_assign(&mut self, more: &Self) {
        self.cost = match (self.calls, self.cost, more.cost) {
            (0, _, cost) => cost,
            (_, Some(before), Some(cost)) => Some(before + cost),
            _ => None,
        };
        self.calls = self.calls.saturating_add(more.calls);
        self.usage += more.usage;
        self.prices_of = more.prices_of.clone().or_else(|| self.prices_of.take());
    }
}

/// `3 calls, 4210 tokens in, 610 out; estimated at $0.0213 by prices of 2026-02-17, which is no bill`.
impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = if self.calls == 1 { "call" } else { "calls" };
        write!(f, "{} {calls}, {}; ", self.calls, self.usage)?;
        match (self.cost, &self.prices_of) {
            (Some(cost), Some(date)) => {
                write!(f, "estimated at {cost} by prices of {date}, which is no bill")
            }
            (Some(cost), None) => write!(f, "{cost}, says the brain"),
            (None, _) => f.write_str("cost unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(cost: Option<u64>) -> Spent {
        let usage = Usage { input: 10, output: 2, ..Usage::default() };
        let prices_of = cost.map(|_| "2026-02-17".to_owned());
        Spent { calls: 1, usage, cost: cost.map(Cost::nano_dollars), prices_of }
    }

    #[test]
    fn money_is_told_in_cents_and_small_amounts_more_finely() {
        let told = |nano| Cost::nano_dollars(nano).to_string();
        assert_eq!(told(0), "$0.0000");
        assert_eq!(told(1), "$0.0001", "never less than what it is");
        assert_eq!(told(21_300_000), "$0.0213");
        assert_eq!(told(100_000_000), "$0.10");
        assert_eq!(told(12_345_678_901), "$12.35");
    }

    #[test]
    fn only_an_amount_is_one() {
        assert_eq!(Cost::dollars(0.25), Some(Cost::nano_dollars(250_000_000)));
        assert_eq!(Cost::dollars(0.0), Some(Cost::default()));
        for odd in [-0.01, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(Cost::dollars(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_sum_with_an_unknown_part_is_unknown() {
        let mut sum = Spent::default();
        sum += &spent(Some(1_000_000_000));
        sum += &spent(Some(500_000_000));
        assert_eq!(
            sum.to_string(),
            "2 calls, 20 tokens in, 4 out; estimated at $1.50 by prices of 2026-02-17, which is no bill"
        );
        sum += &spent(None);
        assert_eq!(sum.to_string(), "3 calls, 30 tokens in, 6 out; cost unknown");
        sum += &spent(Some(1));
        assert_eq!(sum.cost, None);
    }

    #[test]
    fn usage_is_read_from_the_names_of_the_api() {
        let text = r#"{"input_tokens":1,"cache_creation_input_tokens":20,"cache_read_input_tokens":300,"output_tokens":4000,"service_tier":"standard"}"#;
        let usage: Usage = serde_json::from_str(text).unwrap();
        assert_eq!((usage.total(), usage.cache_write), (4_321, 20));
        assert_eq!(usage.to_string(), "321 tokens in (300 from the cache, 20 into it), 4000 out");
        let nulls: Usage =
            serde_json::from_str(r#"{"input_tokens":7,"cache_read_input_tokens":null}"#).unwrap();
        assert_eq!(nulls, Usage { input: 7, ..Usage::default() });
    }
}
