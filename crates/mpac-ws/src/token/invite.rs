//! `mpac-ws invite`: one command with which a colleague joins.

use std::io::Write;
use std::net::SocketAddr;

use mpac_wire::names::{CredentialType, SecurityProfile};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{TokenError, file, grant, issue, shown, told};
use crate::banner;
use crate::cli::token::Invite;
use crate::control::{self, Service, pin};
use crate::error::Error;
use crate::identity::keys::Grant;
use crate::listen::tls::fingerprint;

const HERE_ONLY: &str = "The server listens on this machine only: from another one nobody reaches that address. Start it with \
    --host 0.0.0.0 and TLS, or say with --url how they come through to it.";
const GUESSED: &str =
    "No server is running there now, so the address is a guess: say it with --url, or invite once it runs.";

/// Prints one command with which a colleague joins, once and soon.
///
/// # Errors
/// As [`run`](super::run), and when the server that runs there lets nobody in by a key.
pub fn invite(invite: &Invite, out: &mut impl Write) -> Result<(), Error> {
    let place = &invite.keys;
    let file = file(place)?;
    let dir = place.whose.found()?;
    let service = control::service(&dir);
    of_use(service.as_ref(), invite.principal.as_str())?;
    let pin = match control::of(&dir).ok().flatten() {
        Some(target) => pin::split(target.url()).and_then(|(_, pin)| pin),
        None => {
            let own = CertificateDer::from_pem_file(dir.join("tls").join("cert.pem"));
            own.ok().map(|it| fingerprint(&it))
        }
    };
    let (url, remark) = match (&invite.url, &service) {
        (Some(url), _) => (url.clone(), None),
        (None, Some(service)) => {
            let (url, here_only) = reached(pin.is_some(), service.listens);
            (url, here_only.then_some(HERE_ONLY))
        }
        (None, None) => (banner::outward_url(pin.is_some(), place.whose.port), Some(GUESSED)),
    };
    let grant = grant(&invite.principal, &invite.grants, CredentialType::ApiKey);
    let grant = Grant { lifetime: Some(invite.lifetime.clone()), invite: true, ..grant };
    let (key, secret) = issue(&file, grant)?;
    let name = invite.principal.as_str().strip_prefix("agent:").unwrap_or(invite.principal.as_str());
    let session = match invite.grants.session.as_slice() {
        [one] => format!(" --session {}", banner::quoted(one.as_str())),
        _ => String::new(),
    };
    let pin = pin.filter(|_| url.starts_with("wss:")).map(|pin| format!(" --pin {pin}")).unwrap_or_default();
    let written = writeln!(
        out,
        "For {}, to be told in private:\n\n  MPAC_CREDENTIAL=api_key:{} mpac-agent {}{session} --name {}{pin}\n\n\
         The first start of an agent that joins with it has it; it ends {}. `mpac-ws token revoke {}` ends it sooner.",
        key.principal,
        secret.reveal(),
        banner::quoted(&url),
        banner::quoted(name),
        key.expires_at.map(|at| at.to_string()).unwrap_or_default(),
        key.id
    );
    shown(&key.id, written)?;
    remark.map_or(Ok(()), |remark| told(writeln!(out, "{remark}")))
}

/// # Errors
/// When nobody is let in by a key where this one would be shown.
fn of_use(service: Option<&Service>, principal: &str) -> Result<(), TokenError> {
    let why = match service.map(|it| &it.security_profile) {
        Some(SecurityProfile::Verified) => format!(
            "the sessions of this server are verified and take certificates, not keys; make one with `mpac-ws cert issue {}`",
            banner::quoted(principal)
        ),
        Some(SecurityProfile::Open) => {
            "the sessions of this server are open: whoever reaches it joins without a key, and nobody is asked for one; start it \
             with --security-profile authenticated"
                .to_owned()
        }
        _ => return Ok(()),
    };
    Err(TokenError::NoUse(why))
}

/// By which address others come to a server that listens there, and whether that leads to it from this machine only.
fn reached(tls: bool, listens: SocketAddr) -> (String, bool) {
    if listens.ip().is_unspecified() {
        return (banner::outward_url(tls, listens.port()), false);
    }
    let scheme = if tls { "wss" } else { "ws" };
    (format!("{scheme}://{listens}"), listens.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_names_an_address_at_which_somebody_listens() {
        let reached = |listens: &str| reached(true, listens.parse().unwrap());
        assert_eq!(reached("127.0.0.1:8766"), ("wss://127.0.0.1:8766".to_owned(), true));
        assert_eq!(reached("[::1]:8766"), ("wss://[::1]:8766".to_owned(), true));
        assert_eq!(reached("192.0.2.8:1"), ("wss://192.0.2.8:1".to_owned(), false));
        let (anywhere, here_only) = reached("0.0.0.0:1");
        assert!(anywhere.ends_with(":1") && !anywhere.contains("0.0.0.0") && !here_only, "{anywhere}");
    }

    #[test]
    fn nobody_is_invited_with_a_key_to_where_keys_are_no_use() {
        let told = |security_profile| {
            let listens = ([127, 0, 0, 1], 1).into();
            let service = Service { listens, security_profile, shares: None };
            of_use(Some(&service), "agent:bob").map_err(|error| error.to_string())
        };
        assert!(told(SecurityProfile::Verified).unwrap_err().contains("cert issue agent:bob"));
        assert!(told(SecurityProfile::Open).unwrap_err().contains("--security-profile authenticated"));
        assert_eq!(told(SecurityProfile::Authenticated), Ok(()));
        assert!(of_use(None, "agent:bob").is_ok(), "nobody knows yet how it will be started");
    }
}
