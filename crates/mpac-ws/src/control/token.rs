//! The secret that opens the control door.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::hex;
use crate::store::whole;

const FILE: &str = "control-token";
/// Characters of the shortest text that counts as a secret.
const SHORTEST: usize = 32;

/// Text of 256 random bits; its `Debug` prints nothing of it.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// The one of a data directory, made on its first use: it stays the same over restarts, so that a standby elsewhere
    /// finds its server again.
    pub(crate) fn of(data: &Path) -> io::Result<Self> {
        if let Some(token) = Self::kept(data)? {
            return Ok(token);
        }
        let token = Self(hex::random::<32>()?);
        token.write(data)?;
        Ok(token)
    }

    /// The one of a data directory, if it has one.
    pub(crate) fn kept(data: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(data.join(FILE)) {
            Ok(text) => match Self::given(&text) {
                token if token.is_secret() => Ok(Some(token)),
                _ => Err(io::Error::other(format!(
                    "the file {FILE} in it is too short to be a secret; remove that"
                ))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes this the token of the directory: all copies of a server open to the same one, whichever serves.
    pub(crate) fn adopted_by(&self, data: &Path) -> io::Result<()> {
        match Self::kept(data)? {
            Some(kept) if kept.is(&self.0) => Ok(()),
            _ => self.write(data),
        }
    }

    fn write(&self, data: &Path) -> io::Result<()> {
        whole::write(data, FILE, format!("{}\n", self.0).as_bytes())
    }

    /// One that somebody was given.
    pub(crate) fn given(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Whether it is long enough to be a secret.
    pub(crate) const fn is_secret(&self) -> bool {
        self.0.len() >= SHORTEST
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether this is it. The time that takes says nothing about how much of a guess was right: hashes are compared.
    pub(crate) fn is(&self, guess: &str) -> bool {
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(guess.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_token_and_nobody_else_has_it() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let token = Token::of(one.path()).unwrap();
        assert_eq!(token.reveal().len(), 64);
        assert!(Token::of(one.path()).unwrap().is(token.reveal()));
        assert!(!Token::of(other.path()).unwrap().is(token.reveal()));
        assert!(!token.is("") && !token.is(&token.reveal()[1..]));
        assert!(!format!("{token:?}").contains(&token.reveal()[..8]));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(one.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_token_that_is_no_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "abc\n").unwrap();
        assert!(Token::of(dir.path()).unwrap_err().to_string().contains("too short"));
    }
}
