//! `mpac-ws audit`: what the logs of a data directory say, read also while a server writes to them.
//!
//! Everything here begins in `read`, which hands out the entries of a log, and most of it goes on in `lived`, which lives
//! them through again. Nothing is changed but the access record (`access`, PRV-04).

mod accepted;
mod access;
mod evidence;
mod export;
mod fork;
mod gather;
mod lived;
mod problem;
mod progress;
mod read;
mod replay;
mod show;
mod text;
mod verify;
mod view;
mod voice;
pub mod when;
mod which;

use std::io::{BufWriter, ErrorKind, Write};

pub use problem::Problem;

use crate::cli::audit::Audit;
use crate::error::Error;

/// Answers one question about the logs, on `out`. Whoever closes `out` early has read enough.
///
/// # Errors
/// When a log does not verify, cannot be read, or is not there; when what is asked for cannot be done.
pub fn run(asked: &Audit, out: &mut dyn Write) -> Result<(), Error> {
    let mut out = BufWriter::new(out);
    let answered = match asked {
        Audit::Verify(options) if options.against.keys.is_some() => {
            evidence::verify::verify(&options.place, &options.against, &mut out)
        }
        Audit::Verify(options) => verify::verify(options, &mut out),
        Audit::Show(options) => show::show(options, &mut out),
        Audit::Export(options) => export::export(options, &mut out),
        Audit::Bundle(options) => evidence::bundle::bundle(options, &mut out),
        Audit::Replay(options) => replay::replay(options, &mut out),
        Audit::Fork(options) => fork::fork(options, &mut out),
    };
    // What was found before something went wrong is shown in any case.
    let flushed = out.flush().map_err(Problem::Output);
    match answered.and(flushed) {
        Err(Problem::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Problem::Other(error)) => Err(*error),
        other => other.map_err(Error::Audit),
    }
}
