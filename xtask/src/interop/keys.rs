//! Keys for the cases in which a session is authenticated, over TLS with a certificate that the server makes for itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::case::NAMES;
use crate::step::{self, Failure};

/// What a server is started with: in its data directory are keys and a certificate, and no session.
pub(crate) const FLAGS: [&str; 5] =
    ["--tls-self-signed", "--security-profile", "authenticated", "--durability", "none"];
/// The place of the observer's key, behind those of the agents.
pub(crate) const OBSERVER: usize = NAMES.len();

/// A key for everybody, and where the server's certificate is.
pub(crate) struct Keys {
    secrets: Vec<String>,
    certificate: PathBuf,
}

impl Keys {
    /// Makes them for the server that has its data below `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self, Failure> {
        let data = folder.join("data");
        let own = |who: &str, roles: &[&str]| {
            let mut command = Command::new(step::target().join("debug/mpac-ws"));
            command.args(["token", "add", who]).args(roles).arg("--data-dir").arg(&data);
            let said = step::read(&mut command)?;
            let secret = said.split_whitespace().find(|word| word.starts_with("mpac_"));
            secret.map(str::to_owned).ok_or_else(|| Failure::check(format!("no key was made: {said}")))
        };
        let mut secrets = NAMES.iter().map(|name| own(name, &[])).collect::<Result<Vec<_>, _>>()?;
        secrets.push(own("service:observer", &["--role", "observer", "--role", "arbiter"])?);
        Ok(Self { secrets, certificate: data.join("tls/cert.pem") })
    }

    /// Puts the key at `place` into the environment of a process, and the certificate among those that it trusts.
    pub(crate) fn give(&self, command: &mut Command, place: usize) {
        command.env("MPAC_CREDENTIAL", format!("api_key:{}", self.secrets[place]));
        command.env("SSL_CERT_FILE", &self.certificate);
    }
}
