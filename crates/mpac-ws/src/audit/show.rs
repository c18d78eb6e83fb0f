//! `audit show`: what happened in a session, entry by entry.

mod filter;
mod human;
mod item;
mod json;
mod mentions;
mod relations;
mod states;
mod words;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::ControlFlow;

use mpac_wire::Envelope;

use self::filter::{Filter, Seen};
use self::item::{Item, Teller};
use self::relations::Relations;
use super::access::{self, Shows};
use super::problem::Problem;
use super::text::harmless;
use super::{read, which};
use crate::cli::audit::Show;
use crate::clock;
use crate::store::reading::Reading;

#[cfg(test)]
mod tests;

/// What an accepted message says, in plain words that follow the name of its sender.
pub(super) fn told(envelope: &Envelope) -> String {
    words::message(envelope, true, &Relations::default())
}

/// Shows the entries that pass the filters.
pub(super) fn show(options: &Show, out: &mut dyn Write) -> Result<(), Problem> {
    let filter = Filter::new(&options.filters, clock::now())?;
    let which = which::one(&options.place)?;
    let shows = if options.contents { Shows::Contents } else { Shows::Events };
    access::note(&which, "audit show", shows)?;

    let unusable = |reason: String| Problem::Log { path: which.dir.clone(), reason };
    let reading = Reading::open(&which.dir).map_err(|damage| unusable(damage.to_string()))?;
    let mut teller = Teller::new(reading.replay().map_err(unusable)?, options.outputs);
    if let Some(begins) = reading.begins().filter(|_| !options.json) {
        writeln!(out, "entries 1 to {} are not here any more: {}", begins.after, harmless(&begins.why))
            .map_err(Problem::Output)?;
    }
    let mut printer = Printer {
        options,
        out,
        tail: VecDeque::new(),
        shown: 0,
        quiet: 0,
        seen: Seen::default(),
        failed: None,
    };
    let read = read::entries(&reading, &mut |found, entry| {
        let wanted = filter.has_begun(found.n, entry.at());
        let item = teller.tell(found, entry, wanted);
        Ok(if filter.is_over(&item) { ControlFlow::Break(()) } else { printer.take(&item, &filter) })
    });
    printer.finish()?;
    read.map_err(|damage| Problem::Log { path: which.dir, reason: damage.to_string() })?;
    match teller.lost() {
        Some((n, reason)) => Err(Problem::Lost { n, reason: reason.to_owned() }),
        None => Ok(()),
    }
}

/// Writes what is to be seen.
struct Printer<'a> {
    options: &'a Show,
    out: &'a mut dyn Write,
    /// The last ones, where only those are asked for.
    tail: VecDeque<String>,
    shown: usize,
    /// Left out, because nothing came of it.
    quiet: usize,
    seen: Seen,
    failed: Option<Problem>,
}

impl Printer<'_> {
    fn take(&mut self, item: &Item, filter: &Filter<'_>) -> ControlFlow<()> {
        self.seen.take(item, &self.options.filters);
        if !filter.passes(item) {
            return ControlFlow::Continue(());
        }
        if item.is_quiet() && !self.options.json && !self.options.all && !filter.asks_for_type() {
            self.quiet += 1;
            return ControlFlow::Continue(());
        }
        match self.text(item) {
            Ok(text) => self.print(text),
            Err(error) => {
                self.failed = Some(Problem::Output(io::Error::other(error)));
                ControlFlow::Break(())
            }
        }
    }

    fn text(&self, item: &Item) -> serde_json::Result<String> {
        if self.options.json { json::line(item, self.options) } else { Ok(human::lines(item, self.options)) }
    }

    fn print(&mut self, text: String) -> ControlFlow<()> {
        let filters = &self.options.filters;
        if let Some(tail) = filters.tail {
            self.tail.push_back(text);
            if self.tail.len() > tail {
                self.tail.pop_front();
            }
            return ControlFlow::Continue(());
        }
        if filters.limit == Some(0) {
            return ControlFlow::Break(());
        }
        self.shown += 1;
        let written = self.out.write_all(text.as_bytes()).map_err(Problem::Output);
        self.failed = written.err();
        if self.failed.is_some() || filters.limit == Some(self.shown) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn finish(mut self) -> Result<(), Problem> {
        if let Some(problem) = self.failed {
            return Err(problem);
        }
        for text in std::mem::take(&mut self.tail) {
            self.shown += 1;
            self.out.write_all(text.as_bytes()).map_err(Problem::Output)?;
        }
        if self.options.json {
            return Ok(());
        }
        let nothing = if self.shown == 0 { self.seen.nothing(&self.options.filters) } else { String::new() };
        let quiet = match self.quiet {
            0 => String::new(),
            n => format!("{n} heartbeats, looks at files and idle timers are left out: --all shows them"),
        };
        let note = [nothing, quiet].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("; ");
        if note.is_empty() { Ok(()) } else { writeln!(self.out, "({note})").map_err(Problem::Output) }
    }
}
