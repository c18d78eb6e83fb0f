//! What tokens cost, by estimate, and how many a model writes at most. The table is `prices.json` beside this file, with its date; nobody has checked it against a
//! price list, and what a provider really charges it does not know. `--prices` gives another.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::usage::{Cost, Usage};

const BUILT_IN: &str = include_str!("prices.json");

/// Prices of models at a date.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// When they were written down, as `YYYY-MM-DD`.
    pub as_of: String,
    /// For people.
    #[serde(default, rename = "unit")]
    _unit: String,
    /// Likewise.
    #[serde(default, rename = "note")]
    _note: String,
    models: BTreeMap<String, Price>,
}

/// Prices of one model, in US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    input: f64,
    output: f64,
    cache_write: f64,
    cache_read: f64,
    #[serde(default)]
    max_output: Option<u32>,
}

impl Prices {
    /// The table that comes with the program.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("a test reads the table")
    }

    /// A table of the same form from a file.
    ///
    /// # Errors
    /// In words: the file cannot be read or is no such table.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let prices: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let sane = |price: &Price| {
            [price.input, price.output, price.cache_write, price.cache_read]
                .into_iter()
                .all(|amount| Cost::dollars(amount).is_some())
        };
        match prices.models.iter().find(|(_, price)| !sane(price)) {
            Some((model, _)) => Err(format!("`{model}` has a price that is negative or beyond reason")),
            None => Ok(prices),
        }
    }

    /// The prices of a model, also when its name ends in a date (`-20250929`) or in `-latest`.
    #[must_use]
    pub fn of(&self, model: &str) -> Option<Price> {
        let known = |name: &str| self.models.get(name).copied();
        known(model).or_else(|| {
            let (name, end) = model.rsplit_once('-')?;
            let dated = end == "latest" || (end.len() == 8 && end.bytes().all(|byte| byte.is_ascii_digit()));
            if dated { known(name) } else { None }
        })
    }
}

impl Price {
    /// The most tokens of one answer, where the table says it.
    pub(super) const fn max_output(&self) -> Option<u32> {
        self.max_output
    }

    /// What so many tokens cost by these prices.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Cost {
        let part = |tokens: u64, per_million: f64| {
            // Exact for any number of tokens that anybody pays for.
            #[expect(clippy::cast_precision_loss, reason = "fewer than 2^53 tokens")]
            Cost::dollars(tokens as f64 * per_million / 1e6).unwrap_or_default()
        };
        [
            part(usage.input, self.input),
            part(usage.output, self.output),
            part(usage.cache_write, self.cache_write),
            part(usage.cache_read, self.cache_read),
        ]
        .into_iter()
        .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::claude::DEFAULT_MODEL;

    #[test]
    fn the_built_in_table_has_its_date_and_the_default_model() {
        let prices = Prices::built_in();
        let shape: String =
            prices.as_of.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        assert_eq!(shape, "0000-00-00");
        let usage =
            Usage { input: 1_000_000, output: 100_000, cache_write: 1_000_000, cache_read: 1_000_000 };
        let cost = prices.of(DEFAULT_MODEL).unwrap().cost(&usage);
        assert_eq!(cost, Cost::dollars(3.0 + 1.5 + 3.75 + 0.3).unwrap());
    }

    #[test]
    fn a_model_that_writes_less_than_others_is_known() {
        let prices = Prices::built_in();
        let most = |model: &str| prices.of(model).unwrap().max_output();
        assert_eq!(most("claude-opus-4-1-20250805"), Some(32_000));
        assert_eq!(most("claude-3-5-haiku-latest"), Some(8_192));
        assert_eq!(most(DEFAULT_MODEL), None);
    }

    #[test]
    fn a_name_with_a_date_is_the_same_model_and_another_is_not() {
        let prices = Prices::built_in();
        assert_eq!(prices.of("claude-sonnet-4-5-20250929"), prices.of("claude-sonnet-4-5"));
        assert!(prices.of("claude-opus-4-1-latest").is_some());
        for unknown in ["claude-sonnet-9", "claude-sonnet-4-5-fast", "claude-sonnet-4-5-2025", "", "gpt"] {
            assert_eq!(prices.of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_table_that_is_none_is_refused_in_words() {
        for (text, named) in [
            ("{", "EOF"),
            (r#"{"models":{}}"#, "as_of"),
            (r#"{"as_of":"x","models":{"m":{"input":1}}}"#, "output"),
            (r#"{"as_of":"x","models":{"m":{"input":-1,"output":1,"cache_write":1,"cache_read":1}}}"#, "`m`"),
        ] {
            let error = Prices::parse(text).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
