//! An MPAC coordinator over WebSocket, sharing a directory with the agents of several people.
//!
//! ```text
//! socket ──frames──▶ session ──inputs──▶ mpac_core::Coordinator
//!   ▲                  │  ▲                    │
//!   └──outbox◀─────────┘  └──────outputs───────┘
//! ```
//!
//! # Map
//!
//! | module | holds |
//! |---|---|
//! | [`cli`], [`config`] | every option with its default; flags and a TOML file made one [`cli::Settings`] |
//! | [`server`] | the listener, handshakes, `/healthz`, the stop |
//! | `socket`, `outbox`, `rate` | one connection: what it may send, what waits for it, how fast it may talk |
//! | `registry`, `session` | from a path to the task that owns a coordinator; carrying its outputs out |
//! | `listen` | from the port to a connection that speaks HTTP: TLS, how many there may be, how long they may take |
//! | `identity`, [`token`] | who somebody is by what they show; the keys that this server issues |
//! | [`cert`] | a small certificate authority |
//! | [`store`] | what outlives the process: a log for each session, read back at the start |
//! | [`audit`], [`repair`] | the logs read again: shown, exported, verified, forked; a damaged one made usable |
//! | `control`, `operator` | the operator's door: who gets in, and what can be asked of a running server |
//! | [`ask`], [`close`], [`backup`], [`signing_key`] | the commands that ask it, or act where no server runs |
//! | `follow`, [`standby`], `fencing` | a server's logs copied while they grow; taking over; never two at once |
//! | [`drive`] | the core without any of that, over lines of JSON |
//! | [`workspace`], `sideband` | the shared files: loading, serving, writing back |
//! | `signing` | the cryptography of signed messages, the coordinator's keys |
//! | `banner`, `reader`, [`stderr`], [`error`] | what is printed at the start, and to whom; what the operator reads meanwhile; what can go wrong |
//! | `clock`, `hex`, `reread` | the one look at the time; hashes and randomness as text; files read again when they change |
//!
//! # Never here
//!
//! No rule of the protocol: who may do what, and who hears of it, is the core's. While it runs, no session waits for a
//! connection, for the directory it writes to, for whoever reads the log, or for another session; only at its end it waits
//! for its last write. It waits for its own log before anybody sees what an input led to. Nothing is written outside the data
//! directory and the shared directory, nor anywhere in the latter without `--write-back`.

pub mod ask;
pub mod audit;
pub mod backup;
pub mod cert;
pub mod cli;
pub mod close;
pub mod config;
pub mod drive;
pub mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod repair;
pub mod server;
pub mod signing_key;
pub mod standby;
pub mod stderr;
pub mod store;
pub mod token;
pub mod workspace;

mod banner;
mod clock;
mod control;
mod fencing;
mod follow;
mod hex;
mod identity;
mod listen;
mod metrics;
mod operator;
mod outbox;
mod rate;
mod reader;
mod registry;
mod reread;
mod session;
mod sideband;
mod signing;
mod socket;

/// The program that wrote an entry of a log, or speaks to another: another one may say other things. The number behind `+` rises
/// with each change, between two versions, of what the same inputs lead to.
pub(crate) const PROGRAM: &str = concat!("mpac-ws ", env!("CARGO_PKG_VERSION"), "+7");
