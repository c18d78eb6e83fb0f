//! Workloads, the coordinator under them, and the limit beside it. `cargo xtask bench` builds this optimised and runs it;
//! each command prints one line of JSON.
//!
//! | module | what |
//! |---|---|
//! | `workload`, `stream`, `random` | the streams of messages that are measured, the same to the byte on every machine |
//! | `input` | a stream's file, in parts |
//! | `core` | what the coordinator takes for a stream, decoding and encoding included |
//! | `limit` | what reading and writing the same messages takes, and nothing else |
//! | `clock` | time and memory of this process |

mod clock;
mod core;
mod input;
mod limit;
mod random;
mod stream;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: measure generate DIR NAME... | measure core FILE | measure limit FILE
  generate  writes streams (w1, w2_n100, w3, w4, ...) into DIR
  core      runs a stream through a coordinator
  limit     reads and writes every message of a stream";

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{USAGE}")]
    Usage,
    #[error("no workload is called {0}: w1, w1_mN, w2_nN, w2_nN_pP, w3, w3_nN, w4, w4_mN")]
    Name(String),
    #[error("the stream {name} has the sum {sum}, not {known}: the generator has changed")]
    Sum { name: String, known: String, sum: String },
    #[error("cannot {doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot read the clock of this thread's processor time: {0}")]
    Clock(std::io::Error),
    #[error("{path}: {problem}")]
    Stream { path: PathBuf, problem: String },
}

impl Failure {
    fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { doing, path, source }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match *args {
        ["generate", dir, ref names @ ..] => {
            names.iter().try_for_each(|name| workload::generate(Path::new(dir), name).map(drop))
        }
        ["core", file] => core::run(Path::new(file)),
        ["limit", file] => limit::run(Path::new(file)),
        _ => Err(Failure::Usage),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
