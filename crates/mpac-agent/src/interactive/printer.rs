//! Writing above the prompt. A thread does it, because the editor takes no lines while it completes or searches, and
//! nothing else should wait for that.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustyline::ExternalPrinter;

use super::editor::LineEditor;

/// How long the last lines may take.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);
/// Goes up a line and down again: nothing is written, and the editor draws its line anew.
const REDRAW: &str = "\x1b[A\n";

/// Where lines go.
#[derive(Clone)]
pub(super) enum Printer {
    /// Above the prompt.
    Above { orders: mpsc::Sender<Order>, redraws: Arc<AtomicBool> },
    /// To somebody else.
    Direct(Arc<Mutex<dyn FnMut(String) + Send>>),
}

pub(super) enum Order {
    Text(String),
    /// Draw the line anew.
    Redraw,
    /// Pass on that the next line may be read, now that all before is written.
    Ready(mpsc::Sender<()>),
    /// Tell when all before has been written.
    Flush(mpsc::Sender<()>),
}

impl Printer {
    /// Above the editor's prompt; where there is no terminal, plainly to standard output.
    pub(super) fn of(editor: &mut LineEditor) -> Self {
        let Ok(external) = editor.create_external_printer() else {
            return Self::to(|text| {
                let mut out = std::io::stdout().lock();
                // A closed pipe is a reader who has seen enough.
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            });
        };
        let (orders, given) = mpsc::channel();
        let redraws = Arc::new(AtomicBool::new(false));
        let redrawn = Arc::clone(&redraws);
        std::thread::spawn(move || print(external, &given, &redrawn));
        Self::Above { orders, redraws }
    }

    pub(super) fn to(sink: impl FnMut(String) + Send + 'static) -> Self {
        Self::Direct(Arc::new(Mutex::new(sink)))
    }

    /// Writes whole lines.
    pub(super) fn print(&self, text: String) {
        match self {
            // A thread that has ended had no terminal any more.
            Self::Above { orders, .. } => drop(orders.send(Order::Text(text))),
            Self::Direct(sink) => {
                if let Ok(mut sink) = sink.lock() {
                    sink(text);
                }
            }
        }
    }

    /// Can it show what changes by the second?
    pub(super) const fn redraws(&self) -> bool {
        matches!(self, Self::Above { .. })
    }

    /// Has the line drawn anew, unless that is under way.
    pub(super) fn redraw(&self) {
        if let Self::Above { orders, redraws } = self
            && !redraws.swap(true, Ordering::Relaxed)
        {
            drop(orders.send(Order::Redraw));
        }
    }

    /// Lets the next line be read behind all that is written; whether somebody reads it.
    pub(super) fn ready(&self, read: &mpsc::Sender<()>) -> bool {
        match self {
            Self::Above { orders, .. } => orders.send(Order::Ready(read.clone())).is_ok(),
            Self::Direct(_) => read.send(()).is_ok(),
        }
    }

    /// Waits until all lines have been written, for as long as is worth it.
    pub(super) fn flush(&self) {
        if let Self::Above { orders, .. } = self {
            let (tell, told) = mpsc::channel();
            drop(orders.send(Order::Flush(tell)));
            // Late lines are lost with a terminal that does not take them.
            let _ = told.recv_timeout(FLUSH_LIMIT);
        }
    }
}

fn print(mut external: impl ExternalPrinter, given: &mpsc::Receiver<Order>, redraws: &AtomicBool) {
    while let Ok(order) = given.recv() {
        let printed = match order {
            Order::Text(text) => external.print(text),
            Order::Ready(read) => {
                // A thread that has ended has sent its `End`.
                let _ = read.send(());
                Ok(())
            }
            Order::Redraw => {
                redraws.store(false, Ordering::Relaxed);
                external.print(REDRAW.to_owned())
            }
            // The editor takes a line when it has written the one before: so behind two of them all is written.
            Order::Flush(tell) => {
                let done = external.print(REDRAW.to_owned()).and_then(|()| external.print(REDRAW.to_owned()));
                // Whoever asked has waited long enough.
                let _ = tell.send(());
                done
            }
        };
        if printed.is_err() {
            // The terminal is gone; its end arrives as the end of the input.
            return;
        }
    }
}
