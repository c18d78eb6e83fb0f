//! What a brain has used up since the agent was started, and how much it may.

use std::sync::{Arc, Mutex, PoisonError};

use super::BrainError;
use super::prices::{Price, Prices};
use super::usage::{Cost, Spent, Usage};

/// How much all tasks of one run may use up. What is reached stops the next call, so the last one may go beyond; of several at
/// the same time, each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// In money.
    pub cost: Option<Cost>,
    /// In tokens of all kinds, those from the cache included.
    pub tokens: Option<u64>,
}

/// Keeps count. Its clones count together: they are one account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    price: Option<Price>,
    prices_of: String,
    budget: Budget,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    spent: Spent,
    /// There was a call of which nothing is known.
    unsaid: bool,
}

impl Account {
    /// For a model by its price, where the table has it.
    pub(super) fn new(prices: &Prices, model: Option<&str>, budget: Budget) -> Self {
        let price = model.and_then(|model| prices.of(model));
        Self { price, prices_of: prices.as_of.clone(), budget, kept: Arc::default() }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        // Each look leaves it whole, so a panic elsewhere has left it as good as ever.
        look(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a budget in money means anything: the price is known.
    pub(super) fn knows_its_price(&self) -> bool {
        self.price.is_some()
    }

    /// # Errors
    /// [`BrainError::OverBudget`] when no further call may be made.
    pub(super) fn check(&self) -> Result<(), BrainError> {
        let (unsaid, tokens, calls, cost) =
            self.with(|kept| (kept.unsaid, kept.spent.usage.total(), kept.spent.calls, kept.spent.cost));
        if unsaid && self.budget != Budget::default() {
            let why = "the last call did not say what it used, so nobody can tell how much is left";
            return Err(BrainError::OverBudget(why.to_owned()));
        }
        if let Some(limit) = self.budget.tokens.filter(|limit| tokens >= *limit) {
            return Err(BrainError::OverBudget(format!("{tokens} of {limit} tokens are used")));
        }
        let Some(limit) = self.budget.cost else { return Ok(()) };
        match cost {
            Some(cost) if cost >= limit => {
                Err(BrainError::OverBudget(format!("{cost} of {limit} are spent")))
            }
            // Money without a price: nobody can tell how much is left.
            None if calls > 0 => Err(BrainError::OverBudget(format!(
                "the last call did not say its cost, and {limit} is the limit"
            ))),
            _ => Ok(()),
        }
    }

    /// Takes a call in that did not say what it used.
    pub(super) fn add_unsaid(&self) {
        self.with(|kept| kept.unsaid = true);
    }

    /// Takes a call in that may have said its cost, and not its tokens.
    pub(super) fn add_uncounted(&self) {
        if self.budget.tokens.is_some() {
            self.add_unsaid();
        }
    }

    /// Takes a call in, with its cost where somebody else says it.
    pub(super) fn add(&self, usage: Usage, said: Option<Cost>) -> Spent {
        let cost = said.or_else(|| self.price.map(|price| price.cost(&usage)));
        let prices_of = (said.is_none() && cost.is_some()).then(|| self.prices_of.clone());
        let spent = Spent { calls: 1, usage, cost, prices_of };
        self.with(|kept| kept.spent += &spent);
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64) -> Usage {
        Usage { input, ..Usage::default() }
    }

    fn account(model: &str, cost: Option<f64>, tokens: Option<u64>) -> Account {
        let budget = Budget { cost: cost.and_then(Cost::dollars), tokens };
        Account::new(&Prices::built_in(), Some(model), budget)
    }

    #[test]
    fn a_budget_of_tokens_stops_the_call_after_it_is_reached() {
        let account = account("unknown", None, Some(100));
        account.add(usage(99), None);
        account.check().unwrap();
        account.add(usage(1), None);
        let over = account.check().unwrap_err().to_string();
        assert!(over.contains("100 of 100 tokens are used"), "{over}");
    }

    #[test]
    fn a_budget_of_money_goes_by_the_table_or_by_what_is_said() {
        let account = account("claude-sonnet-4-6", Some(3.0), None);
        let spent = account.add(usage(500_000), None);
        assert_eq!((spent.cost, spent.prices_of.is_some()), (Cost::dollars(1.5), true));
        account.check().unwrap();
        account.add(usage(1), Cost::dollars(1.5));
        let over = account.check().unwrap_err().to_string();
        assert!(over.contains("$3.00 of $3.00 are spent"), "{over}");
    }

    #[test]
    fn without_a_price_a_budget_of_money_stops_after_the_first_call() {
        let account = account("unknown", Some(3.0), None);
        assert!(!account.knows_its_price());
        account.check().unwrap();
        account.add(usage(1), None);
        assert!(account.check().is_err());
    }

    #[test]
    fn a_call_that_says_nothing_of_its_use_is_the_last_one_under_a_budget() {
        let limited = account("unknown", None, Some(100));
        limited.add_unsaid();
        assert!(limited.check().unwrap_err().to_string().contains("did not say what it used"));
        let free = account("unknown", None, None);
        free.add_unsaid();
        free.check().unwrap();
    }

    #[test]
    fn tokens_that_are_not_said_matter_where_they_are_limited() {
        let limited = account("unknown", None, Some(100));
        limited.add_uncounted();
        limited.check().unwrap_err();
        let in_money = account("unknown", Some(3.0), None);
        in_money.add_uncounted();
        in_money.check().unwrap();
    }

    #[test]
    fn without_a_budget_nothing_is_too_much() {
        let account = account("claude-sonnet-4-6", None, None);
        account.add(usage(u64::MAX), None);
        account.check().unwrap();
    }

    #[test]
    fn what_thinks_beside_counts_on_the_same_account() {
        let account = account("unknown", None, Some(100));
        account.clone().add(usage(60), None);
        account.add(usage(60), None);
        assert!(account.check().is_err() && account.clone().check().is_err());
    }
}
