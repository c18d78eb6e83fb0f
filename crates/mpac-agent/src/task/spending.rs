//! What one task uses up.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::{Tally, TaskOptions};
use crate::agent::Teller;
use crate::brain::usage::Spent;
use crate::brain::{Counter, Note, Notes};

/// Counts it when the brain says it, for all who want to know: what a question has cost that is broken off, with the task or by
/// another one that failed, is said when nobody reads its notes any more.
#[derive(Debug, Clone)]
pub(super) struct Spending(Arc<Purse>);

#[derive(Debug)]
struct Purse {
    spent: Mutex<Spent>,
    tally: Tally,
    listener: Option<Notes>,
    teller: Option<Teller>,
}

impl Spending {
    pub(super) fn new(options: &TaskOptions, teller: Option<Teller>) -> Self {
        let (listener, tally) = (options.listener.clone(), options.tally.clone());
        Self(Arc::new(Purse { spent: Mutex::default(), tally, listener, teller }))
    }

    /// Notes that count here, and their reader.
    pub(super) fn notes(&self) -> (Notes, mpsc::UnboundedReceiver<Note>) {
        Notes::counted(Arc::<Purse>::clone(&self.0))
    }

    /// So far.
    pub(super) fn spent(&self) -> Spent {
        self.0.with(|spent| spent.clone())
    }
}

impl Purse {
    fn with<T>(&self, look: impl FnOnce(&mut Spent) -> T) -> T {
        // Each look leaves it whole, so a panic elsewhere has left it as good as ever.
        look(&mut self.spent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counter for Purse {
    fn count(&self, spent: &Spent) {
        self.with(|all| *all += spent);
        self.tally.add(spent);
        if let Some(listener) = &self.listener {
            listener.say(Note::Used(spent.clone()));
        }
        if let Some(teller) = &self.teller {
            teller.used(spent);
        }
    }
}
