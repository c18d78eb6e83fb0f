//! What a security profile needs of the settings, so that somebody can come in at all.

use mpac_core::SessionConfig;
use mpac_wire::names::SecurityProfile;
use tracing::warn;

use crate::cli::Settings;
use crate::error::Error;

const POLICY: &str = "add --role-policy, for instance --role-policy '{\"default_role\":\"contributor\"}'";

/// # Errors
/// When nobody could ever join, with what is missing.
pub(super) fn met(settings: &Settings, config: &SessionConfig) -> Result<(), Error> {
    let security = &settings.security;
    let anchors = security.trust_anchors.is_some();
    let tls = security.tls_cert.is_some() || security.tls_self_signed;
    let no_policy = config.role_policy.is_none();
    match config.security_profile {
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
