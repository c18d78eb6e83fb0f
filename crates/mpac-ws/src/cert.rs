//! `mpac-ws cert`: a certificate authority that is just large enough for verified sessions.
//!
//! | module | holds |
//! |---|---|
//! | `authority` | making one and reading it again; what it puts into every certificate |
//! | `issue` | certificates of participants (SEC-12, D-122) and of servers, and what to do with them next |
//! | `show` | what stands in a PEM file |
//! | `files` | writing without replacing, for nobody else to read |
//!
//! A participant's certificate names it in a URI or DNS subjectAltName where its id can stand in one, and always in the common
//! name. Its key is Ed25519, because that is what signs messages.

mod authority;
mod files;
mod issue;
mod show;

use std::io::{self, Write};
use std::path::PathBuf;

use thiserror::Error;

use crate::cli::cert::Cert;
use crate::reader::MayLeave;

/// A certificate could not be made or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file would have been replaced.
    #[error("{} is there already; name another directory with --out, or replace it with --force", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("{}: {source}; check the directory given with --out", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("{}: {source}; check the path", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no authority in the directory.
    #[error("{}: there is no authority here; make one with `mpac-ws cert ca --out {}`, or name it with --ca", .0.display(), .0.display())]
    NoAuthority(PathBuf),
    /// What an authority should consist of is something else.
    #[error("{}: {why}", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What a certificate is wanted for is no key that it can be made for.
    #[error("{}: {why}", .path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to give instead.
        why: String,
    },
    /// A PEM file has something else in it than was looked for.
    #[error("{}: {why}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A time beyond all calendars.
    #[error("--for reaches beyond the year 9999; give a shorter time")]
    TooLong,
    /// A name that cannot stand in a certificate.
    #[error("{0} cannot be named in a certificate; give a host name or an IP address")]
    Name(String),
    /// It could not be made.
    #[error("a certificate cannot be made: {0}")]
    Made(String),
    /// What there is to say cannot be written.
    #[error("{0}")]
    Out(#[from] io::Error),
}

impl From<rcgen::Error> for CertError {
    fn from(error: rcgen::Error) -> Self {
        Self::Made(error.to_string())
    }
}

/// Does what was asked, and says so on `out`.
///
/// # Errors
/// When a file is there already, cannot be read or written, or is not what it should be; then nothing was replaced.
pub fn run(command: &Cert, out: &mut impl Write) -> Result<(), CertError> {
    let out = &mut MayLeave(out);
    match command {
        Cert::Ca(asked) => authority::run(asked, out),
        Cert::Issue(asked) => issue::run(asked, out),
        Cert::Show(asked) => show::run(asked, out),
    }
}
