//! Making a verifier from the settings: what cannot work shows at the start, and not when the first one comes.

use std::path::Path;

use mpac_wire::names::SecurityProfile;
use tokio::sync::watch;
use tracing::warn;

use super::Verifier;
use super::chain::Anchors;
use super::custom::Custom;
use super::jwt::Provider;
use super::key_file::{self, KeyFile};
use crate::cli::Settings;
use crate::error::Error;

impl Verifier {
    /// As the settings want it. In an open session nobody has to prove anything, and nothing is looked at (SEC-15).
    ///
    /// # Errors
    /// When one of its files cannot be read: that is to show at the start, and not when the first one comes.
    pub(crate) fn of(settings: &Settings) -> Result<Self, Error> {
        let security = &settings.security;
        if security.security_profile == SecurityProfile::Open {
            return Ok(Self::default());
        }
        let unreadable = |error: &dyn std::fmt::Display| Error::Session(error.to_string());
        let path = key_file::path(settings)?;
        if let Some(dir) = security.keys.as_deref().and_then(Path::parent).filter(|dir| !is_dir(dir)) {
            return Err(unreadable(&format_args!(
                "--keys {}: there is no directory {}; make it, or mend the path",
                path.display(),
                dir.display()
            )));
        }
        let keys = KeyFile::at(path);
        keys.read().map_err(|error| unreadable(&error))?;
        let tokens = Provider::of(security).map_err(|error| unreadable(&error))?;
        let anchors = security.trust_anchors.clone().map(Anchors::at).transpose();
        let anchors = anchors.map_err(|error| unreadable(&error))?;
        let custom = security.credential_command.as_deref().map(Custom::new);
        if custom.as_ref().is_some_and(|custom| !custom.is_there()) {
            return Err(unreadable(
                &"--credential-command: there is no such program; give its path, or a name on PATH",
            ));
        }
        let certified_only = security.security_profile == SecurityProfile::Verified;
        let changes = watch::Sender::default();
        let verifier = Self { keys: Some(keys), tokens, anchors, custom, certified_only, changes };
        if let Some(next_step) = verifier.lets_nobody_in() {
            warn!("nobody can join yet: {next_step}");
        }
        Ok(verifier)
    }

    /// What to do about it when as things stand nobody has anything that could be shown.
    fn lets_nobody_in(&self) -> Option<&'static str> {
        if self.tokens.is_some() || self.anchors.is_some() || self.custom.is_some() {
            return None;
        }
        let keys = self.table()?;
        match self.certified_only {
            true if keys.certificates().next().is_none() => Some(
                "give --trust-anchors with the certificates of who issues those of participants, or make one's certificate good \
                 with `mpac-ws token trust`",
            ),
            false if keys.certificates().next().is_none() && keys.iter().next().is_none() => {
                Some("`mpac-ws invite NAME` or `mpac-ws token add NAME` makes the first key")
            }
            _ => None,
        }
    }
}

/// The directory of a bare file name is the one where the server was started.
fn is_dir(dir: &Path) -> bool {
    dir.as_os_str().is_empty() || dir.is_dir()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::identity::keys::Grant;
    use mpac_wire::PrincipalId;
    use mpac_wire::names::CredentialType;

    fn of(options: &[&str]) -> Result<Verifier, Error> {
        Verifier::of(&Settings::parse_from(["mpac-ws"].iter().chain(options)))
    }

    #[test]
    fn a_server_that_nobody_can_join_says_what_to_do_about_it() {
        let dir = tempfile::tempdir().unwrap();
        let keys = format!("--keys={}", dir.path().join("keys.toml").display());
        let profile = |name: &str| of(&[&keys, &format!("--security-profile={name}")]).unwrap();
        assert!(profile("verified").lets_nobody_in().unwrap().contains("--trust-anchors"));
        assert!(profile("authenticated").lets_nobody_in().unwrap().contains("mpac-ws invite"));
        let principal = PrincipalId::new("agent:bob").unwrap();
        let (method, sessions, roles, lifetime) = (CredentialType::ApiKey, None, None, None);
        let grant = Grant { principal, method, sessions, roles, lifetime, invite: false };
        let file = KeyFile::at(dir.path().join("keys.toml"));
        file.edit(|keys| keys.issue(grant, crate::clock::now()).unwrap()).unwrap();
        assert_eq!(profile("authenticated").lets_nobody_in(), None);
        assert!(profile("verified").lets_nobody_in().is_some(), "a key is of no use there");
    }

    #[test]
    fn keys_in_a_directory_that_is_not_there_are_a_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let keys = format!("--keys={}", dir.path().join("nowhere/keys.toml").display());
        let refused = of(&[&keys, "--security-profile=authenticated"]).unwrap_err().to_string();
        assert!(refused.contains("there is no directory"), "{refused}");
        assert!(of(&[&keys]).is_ok(), "an open session has no use for it");
    }
}
