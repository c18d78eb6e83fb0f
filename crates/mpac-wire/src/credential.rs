//! What a participant proves itself with (`spec/wire.md` §3.6).

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::names::CredentialType;
use crate::time::ClaimedTime;

object! {
    /// A credential, sent in HELLO only.
    pub struct Credential {
        /// What it is.
        req kind as "type": CredentialType,
        /// The secret itself.
        req value: Secret,
        /// Who issued it.
        opt issuer: String,
        /// When it ends.
        opt expires_at: ClaimedTime,
    }
}

/// Text that must not reach a log: `Debug` does not show it (PRV-05).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret, for the one place that must look at it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(crate::open::TextVisitor(Self::new))
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Whether a text is certificates in PEM and nothing else: what a credential of type `x509_chain` is made of (SEC-12).
///
/// Everybody may see certificates. Of anything else, a private key among them perhaps, nobody can know.
pub fn is_certificates(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_ascii_end).filter(|line| !line.is_empty());
    let mut any = false;
    while let Some(line) = lines.next() {
        let mut inside = lines.by_ref().take_while(|line| *line != END).peekable();
        let is_whole = line == BEGIN && inside.peek().is_some() && inside.all(is_base64);
        if !is_whole {
            return false;
        }
        any = true;
    }
    any && text.trim_ascii_end().ends_with(END)
}

fn is_base64(line: &str) -> bool {
    line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nMIIB+/a=\n-----END CERTIFICATE-----\n";

    #[test]
    fn only_certificates_are_certificates() {
        let two = alloc::format!("{ONE}\n{}", ONE.replace('\n', "\r\n"));
        for text in [ONE, ONE.trim_end(), &two] {
            assert!(is_certificates(text), "{text}");
        }
        let key = ONE.replace("CERTIFICATE", "PRIVATE KEY");
        for text in [
            "",
            "\n",
            "secret",
            &key,
            &alloc::format!("{ONE}{key}"),
            &alloc::format!("{key}{ONE}"),
            &alloc::format!("{ONE}secret\n"),
            &alloc::format!("secret\n{ONE}"),
            &ONE.replace("MIIB", "a secret"),
            &ONE.replace("-----END CERTIFICATE-----", ""),
            &ONE.replace("MIIB+/a=\n", ""),
            &alloc::format!("{ONE}-----BEGIN CERTIFICATE-----\nMIIB"),
        ] {
            assert!(!is_certificates(text), "{text}");
        }
    }
}
