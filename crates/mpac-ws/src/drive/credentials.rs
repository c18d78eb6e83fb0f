//! Who somebody is by the credential of a HELLO, decided from a list that the caller gives.
//!
//! Checking credentials is the host's work; here the host is whoever drives, so the list is part of the configuration.

use mpac_core::Identity;
use mpac_wire::names::{CredentialType, Role};
use mpac_wire::{Credential, PrincipalId, Secret, SessionId};

use super::failure::Failure;
use super::members::At;

/// What is accepted.
#[derive(Debug, Default)]
pub(super) enum Verifier {
    /// Every credential that is not empty: the caller has not said which. For tests only.
    #[default]
    AnyNonEmpty,
    /// Those listed; an empty list accepts nobody.
    Listed(Vec<Accepted>),
}

/// A credential that is good.
#[derive(Debug)]
pub(super) struct Accepted {
    method: CredentialType,
    value: Secret,
    /// Whose it is; absent is anybody's.
    principal: Option<PrincipalId>,
    /// Where it is good; absent is everywhere.
    sessions: Option<Vec<SessionId>>,
    /// Which roles come with it, whatever the role policy says.
    roles: Option<Vec<Role>>,
}

impl Verifier {
    /// Reads `config.credentials`.
    pub(super) fn read(at: &At<'_>) -> Result<Self, Failure> {
        let members = at.members()?;
        members.only(&["accept"])?;
        members.need("accept")?.list()?.iter().map(Accepted::read).collect::<Result<_, _>>().map(Self::Listed)
    }
}

impl Accepted {
    fn read(at: &At<'_>) -> Result<Self, Failure> {
        let members = at.members()?;
        members.only(&["type", "value", "principal_id", "sessions", "roles"])?;
        Ok(Self {
            method: members.need("type")?.one_of(CredentialType::LISTED, ToString::to_string)?,
            value: members.need("value")?.read()?,
            principal: members.get("principal_id").map(|at| at.read()).transpose()?,
            sessions: members.get("sessions").map(|at| at.read()).transpose()?,
            roles: members.get("roles").map(|at| at.read()).transpose()?,
        })
    }
}

impl Verifier {
    /// What is proven about `principal`, who shows `credential` to `session`.
    pub(super) fn identify(
        &self,
        session: &SessionId,
        principal: &PrincipalId,
        credential: &Credential,
    ) -> Identity {
        let accepted = match self {
            Self::AnyNonEmpty => (!credential.value.reveal().is_empty()).then_some(None),
            Self::Listed(all) => {
                let good = all.iter().find(|one| one.is_good(session, principal, credential));
                good.map(|one| one.roles.clone())
            }
        };
        let method = credential.kind.clone();
        match accepted {
            Some(roles) => Identity::Proven {
                principal: principal.clone(),
                method,
                issuer: credential.issuer.as_deref().map(Into::into),
                roles,
                // The core reads what the credential itself says.
                expires_at: None,
            },
            None => Identity::Rejected { method },
        }
    }

    /// Whether some of them come with roles.
    pub(super) fn grants_roles(&self) -> bool {
        matches!(self, Self::Listed(all) if all.iter().any(|one| one.roles.is_some()))
    }

    /// Whether the caller has said which credentials are good.
    pub(super) const fn is_configured(&self) -> bool {
        matches!(self, Self::Listed(_))
    }
}

impl Accepted {
    fn is_good(&self, session: &SessionId, principal: &PrincipalId, credential: &Credential) -> bool {
        self.method == credential.kind
            && self.value == credential.value
            && self.principal.as_ref().is_none_or(|owner| owner == principal)
            && self.sessions.as_ref().is_none_or(|all| all.contains(session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::failure::Code;
    use crate::drive::members::Members;

    fn verifier(text: &str) -> Result<Verifier, String> {
        let line = format!("{{\"credentials\":{text}}}");
        let members = Members::of_line(&line, Code::InvalidConfig).unwrap();
        Verifier::read(&members.need("credentials").unwrap()).map_err(|failure| failure.message)
    }

    fn passes(verifier: &Verifier, session: &str, principal: &str, credential: &str) -> bool {
        let credential: Credential = serde_json::from_str(credential).unwrap();
        let principal = PrincipalId::new(principal).unwrap();
        match verifier.identify(&SessionId::new(session).unwrap(), &principal, &credential) {
            Identity::Proven { principal: proven, method, .. } => {
                assert_eq!((proven, method), (principal, credential.kind));
                true
            }
            Identity::Rejected { method } => {
                assert_eq!(method, credential.kind);
                false
            }
            other => panic!("a credential was shown, {other:?}"),
        }
    }

    const KEY: &str = r#"{"type":"api_key","value":"k"}"#;

    #[test]
    fn without_a_list_every_credential_that_is_not_empty_passes() {
        let any = Verifier::default();
        assert!(passes(&any, "s", "p", KEY));
        assert!(!passes(&any, "s", "p", r#"{"type":"api_key","value":""}"#));
    }

    #[test]
    fn an_empty_list_accepts_nobody() {
        assert!(!passes(&verifier(r#"{"accept":[]}"#).unwrap(), "s", "p", KEY));
    }

    #[test]
    fn a_listed_credential_is_good_for_its_type_principal_and_sessions() {
        let bound = r#"{"accept":[{"type":"api_key","value":"k","principal_id":"p","sessions":["s","t"]}]}"#;
        let bound = verifier(bound).unwrap();
        assert!(passes(&bound, "s", "p", KEY) && passes(&bound, "t", "p", KEY));
        assert!(!passes(&bound, "u", "p", KEY), "another session");
        assert!(!passes(&bound, "s", "q", KEY), "another principal");
        assert!(!passes(&bound, "s", "p", r#"{"type":"bearer_token","value":"k"}"#), "another type");
        assert!(!passes(&bound, "s", "p", r#"{"type":"api_key","value":"K"}"#), "another value");
        let free = verifier(r#"{"accept":[{"type":"api_key","value":"k","roles":["owner"]}]}"#).unwrap();
        assert!(passes(&free, "anywhere", "anybody", KEY));
    }

    #[test]
    fn mistakes_in_the_list_are_named_with_their_path() {
        for (text, expected) in [
            ("{}", "credentials.accept is missing"),
            (r#"{"accept":{}}"#, "credentials.accept: expected a list"),
            (r#"{"accept":[{"value":"k"}]}"#, "credentials.accept[0].type is missing"),
            (r#"{"accept":[{"type":"key","value":"k"}]}"#, "credentials.accept[0].type: \"key\" is none of"),
            (r#"{"accept":[{"type":"custom","value":"k","session":"s"}]}"#, "did you mean `sessions`?"),
        ] {
            let message = verifier(text).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
