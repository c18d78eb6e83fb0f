//! What can be done with the keys by which participants prove who they are.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mpac_wire::names::{CredentialType, Role};
use mpac_wire::{InvalidId, PrincipalId, Seconds, SessionId};

use super::signer::Signer;
use super::whose::Whose;

/// One thing to do.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Token {
    /// Make a key for a participant, and print it: this is the only time that it is shown
    Add(Add),
    /// Trust a client certificate: whoever has its key is that participant (needs TLS)
    Trust(Trust),
    /// Register the key with which somebody signs in authenticated sessions. In verified ones only certificates count
    Signer(Signer),
    /// List all keys and certificates, without their secrets
    List(List),
    /// End a key or a certificate: whoever is in by it is put out within seconds
    Revoke(One),
    /// Give a key another secret, and print it; the one before stays good for a while, then whoever is in by it is put out
    Rotate(Rotate),
}

/// Where the keys are.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Keys {
    /// The file with the keys [default: keys.toml in the data directory]
    #[arg(long, value_name = "FILE.toml")]
    pub keys: Option<PathBuf>,
    /// The server that reads it.
    #[command(flatten)]
    pub whose: Whose,
}

/// What a key lets its owner do.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Grants {
    /// A session in which it is good; can be repeated [default: every session of the server]
    #[arg(long, value_name = "ID", value_parser = session)]
    pub session: Vec<SessionId>,
    /// A role that it grants, as far as the session's role policy allows it; can be repeated
    #[arg(long, value_name = "ROLE", default_values = ["participant", "contributor"], value_parser = role)]
    pub role: Vec<Role>,
}

/// What `token add` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Add {
    /// Whose it is, as in agent:bob; the name alone is taken for an agent
    #[arg(value_name = "PRINCIPAL", value_parser = principal)]
    pub principal: PrincipalId,
    /// What it lets them do.
    #[command(flatten)]
    pub grants: Grants,
    /// How long it is good: 45s, 30m, 12h, 90d [default: until it is revoked]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lifetime: Option<Seconds>,
    /// As what it is shown
    #[arg(long = "as", value_name = "TYPE", default_value = "api_key", value_parser = issued)]
    pub method: CredentialType,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: Keys,
}

/// What `token trust` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Trust {
    /// Whose it is, as in agent:bob; the name alone is taken for an agent
    #[arg(value_name = "PRINCIPAL", value_parser = principal)]
    pub principal: PrincipalId,
    /// The certificate: a PEM file
    #[arg(long, value_name = "FILE.pem", required_unless_present = "fingerprint")]
    pub certificate: Option<PathBuf>,
    /// Its SHA-256 instead, in hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = fingerprint, conflicts_with = "certificate")]
    pub fingerprint: Option<String>,
    /// What it lets them do.
    #[command(flatten)]
    pub grants: Grants,
    /// How long it is good: 45s, 30m, 12h, 90d [default: until it is revoked]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lifetime: Option<Seconds>,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: Keys,
}

/// What `token list` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct List {
    /// One JSON object a line, for programs
    #[arg(long)]
    pub json: bool,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: Keys,
}

/// One of the keys.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct One {
    /// Its name, the part between the underscores; or a certificate's fingerprint
    #[arg(value_name = "ID")]
    pub id: String,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: Keys,
}

/// What `token rotate` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Rotate {
    /// Its name, the part between the underscores
    #[arg(value_name = "ID")]
    pub id: String,
    /// How long the secret before stays good; 0s ends it at once
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub grace: Seconds,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: Keys,
}

/// What `invite` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Invite {
    /// Who is invited, as in agent:bob; the name alone is taken for an agent
    #[arg(value_name = "PRINCIPAL", value_parser = principal)]
    pub principal: PrincipalId,
    /// Where they reach the server, as in wss://shop.example:8766 [default: this machine's address and the port]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// How long they have to join, and how long they may stay
    #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub lifetime: Seconds,
    /// What it lets them do.
    #[command(flatten)]
    pub grants: Grants,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: Keys,
}

fn session(text: &str) -> Result<SessionId, InvalidId> {
    SessionId::new(text)
}

fn role(text: &str) -> Result<Role, String> {
    if text.is_empty() { Err("give the name of a role".to_owned()) } else { Ok(Role::from(text)) }
}

pub(super) fn principal(text: &str) -> Result<PrincipalId, InvalidId> {
    if text.contains(':') || text.is_empty() {
        PrincipalId::new(text)
    } else {
        PrincipalId::new(format!("agent:{text}"))
    }
}

fn issued(text: &str) -> Result<CredentialType, String> {
    match CredentialType::from(text) {
        issued @ (CredentialType::ApiKey | CredentialType::BearerToken) => Ok(issued),
        _ => Err("give api_key or bearer_token".to_owned()),
    }
}

fn fingerprint(text: &str) -> Result<String, String> {
    crate::identity::certificates::normal(text)
        .ok_or_else(|| "give the 64 hexadecimal digits of a SHA-256".to_owned())
}

/// `45s`, `30m`, `12h`, `90d`.
pub(super) fn duration(text: &str) -> Result<Seconds, String> {
    let wrong = || "give a number with a unit, as in 45s, 30m, 12h, 90d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Seconds::from_micros(i64::from(number) * unit * 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, sec) in [("0s", 0), ("45s", 45), ("30m", 1800), ("12h", 43_200), ("90d", 7_776_000)] {
            assert_eq!(duration(text).unwrap().micros(), sec * 1_000_000, "{text}");
        }
        for text in ["", "s", "5", "-1s", "1.5h", "5w", "5 m", "99999999999d", "5é"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_alone_is_an_agents() {
        assert_eq!(principal("bob").unwrap().as_str(), "agent:bob");
        assert_eq!(principal("human:ann").unwrap().as_str(), "human:ann");
        assert!(principal("").is_err());
    }
}
