//! What the agent proves itself with, where the session asks for that (PAR-21).

use std::path::Path;

use mpac_wire::names::CredentialType;
use mpac_wire::{Credential, Secret};

use crate::error::AgentError;

/// The variable of the environment that holds one.
pub const VARIABLE: &str = "MPAC_CREDENTIAL";

/// The credential in `file`, else in [`VARIABLE`], as `TYPE:VALUE`; `None` where there is neither. It never stands on the
/// command line, which every user of the machine can read.
///
/// # Errors
/// [`AgentError::Usage`], without the secret.
pub fn given(file: Option<&Path>) -> Result<Option<Credential>, AgentError> {
    let (text, place) = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                AgentError::Usage(format!("--credential-file {}: {error}", path.display()))
            })?;
            (text, format!("--credential-file {}", path.display()))
        }
        None => match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => (text, VARIABLE.to_owned()),
            _ => return Ok(None),
        },
    };
    match read(text.trim()) {
        Some(credential) => Ok(Some(credential)),
        None => Err(AgentError::Usage(format!(
            "{place} is no credential; write it as TYPE:VALUE, where TYPE is one of {}",
            CredentialType::LISTED.iter().map(CredentialType::as_str).collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn read(text: &str) -> Option<Credential> {
    let (kind, value) = text.split_once(':')?;
    let kind = CredentialType::LISTED.iter().find(|listed| listed.as_str() == kind)?;
    (!value.is_empty()).then(|| Credential::new(kind.clone(), Secret::new(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_its_type_and_its_value() {
        let credential = read("bearer_token:a:b").unwrap();
        assert_eq!(credential.kind, CredentialType::BearerToken);
        assert_eq!(credential.value.reveal(), "a:b");
        for text in ["", "api_key", "api_key:", "key:a", ":a"] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told_without_the_secret() {
        let dir = std::env::temp_dir().join(format!("mpac-credential-{}", std::process::id()));
        std::fs::write(&dir, "hunter2").unwrap();
        let error = given(Some(&dir)).unwrap_err().to_string();
        std::fs::remove_file(&dir).unwrap();
        assert!(error.contains("api_key") && !error.contains("hunter2"), "{error}");
        assert!(given(Some(&dir)).unwrap_err().to_string().contains("--credential-file"));
    }
}
