//! Numbers as ECMAScript writes them (RFC 8785 §3.2.2.3), and which of them every reader takes for the same.

use alloc::borrow::ToOwned;
use alloc::string::String;

use super::NotCanonical;

/// Significant digits that tell any two doubles apart. A fraction with more says something that is lost.
const DIGITS: usize = 17;

/// A decimal number: 0.DIGITS times ten to the `point`. Without zeros at either end, so that equal numbers are equal.
#[derive(PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

impl Decimal {
    /// Reads a number of the grammar of JSON. No other value of that grammar is [`natural`](Self::natural).
    pub(crate) fn of(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let negative = mantissa.starts_with('-');
        let mantissa = mantissa.trim_start_matches('-');
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        if significant.is_empty() {
            // Whatever the exponent.
            return Some(Self { negative: false, digits: String::new(), point: 0 });
        }
        let shift = i64::try_from(whole.len()).ok()? - i64::try_from(all.len() - significant.len()).ok()?;
        let point = exponent.trim_start_matches('+').parse::<i64>().ok()?.checked_add(shift)?;
        let digits = significant.trim_end_matches('0').to_owned();
        Some(Self { negative, digits, point })
    }

    /// Whether no digit stands behind the point.
    fn is_whole(&self) -> bool {
        i64::try_from(self.digits.len()).is_ok_and(|length| self.point >= length)
    }

    /// The value, if it is whole, not negative and fits.
    pub(crate) fn natural(&self) -> Option<u64> {
        let zeros = self.point.checked_sub(i64::try_from(self.digits.len()).ok()?)?;
        let scale = 10_u64.checked_pow(u32::try_from(zeros).ok()?)?;
        let digits: u64 = if self.digits.is_empty() { 0 } else { self.digits.parse().ok()? };
        digits.checked_mul(scale).filter(|_| !self.negative)
    }
}

/// Writes the number, unless it is not the same for a reader that takes doubles and one that takes every digit.
pub(super) fn write(text: &str, out: &mut String) -> Result<(), NotCanonical> {
    let refused = || NotCanonical::Number { text: text.chars().take(40).collect() };
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(refused)?;
    let stated = Decimal::of(text).ok_or_else(refused)?;
    let mut buffer = ryu_js::Buffer::new();
    let spelled = buffer.format_finite(value);
    let kept = if stated.is_whole() {
        Decimal::of(spelled).is_some_and(|spelled| spelled == stated) || is_exactly(text, value)
    } else {
        stated.digits.len() <= DIGITS && value != 0.0
    };
    if !kept {
        return Err(refused());
    }
    out.push_str(spelled);
    Ok(())
}

/// Whether a whole number of plain digits is this double to the last of them.
fn is_exactly(text: &str, value: f64) -> bool {
    let magnitude = value.abs();
    // Below this the conversion is exact: the double is a whole number that fits.
    let fits = magnitude < (1_u128 << 127) as f64;
    fits && text.trim_start_matches('-').parse::<u128>().is_ok_and(|digits| digits == magnitude as u128)
}
