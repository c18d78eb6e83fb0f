//! What a security profile needs of the settings, so that somebody can come in at all.

use mpac_core::SessionConfig;
use mpac_wire::names::SecurityProfile;
use tracing::warn;

use crate::cli::{Security, Settings};
use crate::error::Error;

const POLICY: &str = "add --role-policy, for instance --role-policy '{\"default_role\":\"contributor\"}'";

/// An option that only counts where people prove who they are.
fn idle(security: &Security) -> Option<&'static str> {
    [
        ("--trust-anchors", security.trust_anchors.is_some()),
        ("--jwks", security.jwks.is_some()),
        ("--keys", security.keys.is_some()),
        ("--credential-command", security.credential_command.is_some()),
    ]
    .into_iter()
    .find_map(|(option, is_given)| is_given.then_some(option))
}

/// # Errors
/// When nobody could ever join, with what is missing.
pub(super) fn met(settings: &Settings, config: &SessionConfig) -> Result<(), Error> {
    let security = &settings.security;
    let anchors = security.trust_anchors.is_some();
    let tls = security.tls_cert.is_some() || security.tls_self_signed;
    let no_policy = config.role_policy.is_none();
    match config.security_profile {
        SecurityProfile::Open => {
            if let Some(option) = idle(security) {
                warn!(
                    "{option} lets nobody in and keeps nobody out: the session is open, and whoever reaches the port joins; add \
                     --security-profile authenticated"
                );
            }
            Ok(())
        }
        SecurityProfile::Verified if !anchors && !tls => Err(Error::Profile(
            "verified takes certificates only (SEC-39), and there is nothing to judge them by: name the certificates of who issues \
             them with --trust-anchors FILE.pem, or offer TLS and trust single ones with `mpac-ws token trust`"
                .to_owned(),
        )),
        SecurityProfile::Verified if anchors && no_policy => Err(Error::Profile(format!(
            "a certificate says who somebody is and not what they may do (ROL-02): {POLICY}"
        ))),
        SecurityProfile::Authenticated if anchors && no_policy => {
            warn!("who comes with a certificate gets no role, and is refused: {POLICY}");
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn an_option_that_an_open_session_passes_over_is_named() {
        let idle = |flags: &[&str]| {
            idle(&Settings::try_parse_from([&["mpac-ws"], flags].concat()).unwrap().security)
        };
        assert_eq!(idle(&["--trust-anchors=ca.pem"]), Some("--trust-anchors"));
        assert_eq!(idle(&["--jwks=keys.json", "--jwt-issuer=x"]), Some("--jwks"));
        assert_eq!(idle(&["--tls-self-signed"]), None, "TLS counts in an open session too");
    }
}
