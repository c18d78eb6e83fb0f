//! What `mpac-ws token list` says: a line for each thing that lets somebody in, or that does not any more.

use std::io::{self, Write};

use mpac_wire::names::CredentialType;
use mpac_wire::{PrincipalId, SessionId, Timestamp};
use serde_json::json;

use crate::identity::keys::Keys;

/// One of them. Nothing in it is secret.
pub(super) struct Line<'a> {
    id: String,
    /// Nobody's where it is only known that it is no good.
    principal: Option<&'a PrincipalId>,
    method: CredentialType,
    sessions: Option<&'a [SessionId]>,
    state: String,
    invitation: Option<&'static str>,
}

/// All of them, in the order in which they were made.
pub(super) fn of(keys: &Keys, now: Timestamp) -> Vec<Line<'_>> {
    let issued = keys.iter().map(|key| Line {
        id: key.id.clone(),
        principal: Some(&key.principal),
        method: key.method.clone(),
        sessions: key.sessions.as_deref(),
        state: state(key.revoked_at, key.expires_at, now),
        invitation: key.invite.as_ref().map(|it| if it.taken_by.is_some() { "taken up" } else { "open" }),
    });
    let trusted = keys.certificates().map(|it| Line {
        id: it.fingerprint.clone(),
        principal: Some(&it.principal),
        method: CredentialType::MtlsFingerprint,
        sessions: it.sessions.as_deref(),
        state: state(it.revoked_at, it.expires_at, now),
        invitation: None,
    });
    let is_above = |fingerprint: &str| keys.certificates().any(|it| it.fingerprint == fingerprint);
    let barred = keys.barred().filter(|it| !is_above(&it.fingerprint)).map(|it| Line {
        id: it.fingerprint.clone(),
        principal: None,
        method: CredentialType::X509Chain,
        sessions: None,
        state: state(Some(it.revoked_at), None, now),
        invitation: None,
    });
    let signers = keys.signers().map(|it| Line {
        id: it.public_key.fingerprint().to_string(),
        principal: Some(&it.principal),
        method: CredentialType::from("signing_key"),
        sessions: None,
        state: state(it.revoked_at, None, now),
        invitation: None,
    });
    issued.chain(trusted).chain(barred).chain(signers).collect()
}

impl Line<'_> {
    pub(super) fn write(&self, json: bool, out: &mut impl Write) -> io::Result<()> {
        let Self { id, principal, method, sessions, state, invitation } = self;
        if json {
            let line = json!({
                "id": id, "principal": principal, "type": method, "sessions": sessions, "state": state,
                "invitation": invitation,
            });
            return writeln!(out, "{line}");
        }
        let sessions = sessions.map_or_else(
            || "every session".to_owned(),
            |all| all.iter().map(SessionId::as_str).collect::<Vec<_>>().join(", "),
        );
        let principal = principal.map_or("-", PrincipalId::as_str);
        let invitation = invitation.map(|how| format!(", invitation {how}")).unwrap_or_default();
        writeln!(out, "{id}  {principal}  {method}  {sessions}  {state}{invitation}")
    }
}

fn state(revoked: Option<Timestamp>, expires: Option<Timestamp>, now: Timestamp) -> String {
    match (revoked, expires) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if now >= at => format!("expired {at}"),
        (None, Some(at)) => format!("good until {at}"),
        (None, None) => "good".to_owned(),
    }
}
