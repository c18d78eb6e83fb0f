//! The core's inputs in their stored form.

use mpac_core::{Command, ConnId, Identity, Input, Peer};
use mpac_wire::names::{
    CloseDisposition, CloseReason, CoordinatorEvent, CredentialType, PrincipalType, Role,
};
use mpac_wire::{InstanceId, PrincipalId, Timestamp};
use serde::{Deserialize, Serialize};

/// What happened, by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Stored {
    /// The text is what the coordinator read: credentials are blanked before it does (PRV-05).
    Frame {
        conn: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Known>,
        text: String,
    },
    Unreadable {
        conn: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Known>,
        problem: String,
    },
    Disconnect {
        conn: u64,
    },
    Timeout {},
    Vacancy {
        room: bool,
    },
    Close {
        reason: CloseReason,
        disposition: CloseDisposition,
    },
    Status {
        event: CoordinatorEvent,
    },
    Rebind {
        conn: u64,
        principal: PrincipalId,
        principal_type: PrincipalType,
        instance: InstanceId,
    },
    HandOver {
        successor: PrincipalId,
        next_epoch: u64,
    },
    Persisted {
        lamport: u64,
    },
    Fence {
        epoch: u64,
    },
}

/// What the transport found out about a credential; absent when that is nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "proof", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Known {
    Proven {
        principal: PrincipalId,
        method: CredentialType,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        roles: Option<Vec<Role>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    Rejected {
        method: CredentialType,
    },
}

impl Stored {
    /// `None` for an input of a kind that this program does not know how to store.
    pub(super) fn of(input: &Input) -> Option<Self> {
        Some(match input {
            Input::Frame { from, text } => {
                Self::Frame { conn: from.conn.0, identity: known(&from.identity)?, text: text.to_string() }
            }
            Input::Unreadable { from, problem } => Self::Unreadable {
                conn: from.conn.0,
                identity: known(&from.identity)?,
                problem: problem.to_string(),
            },
            Input::Disconnect { conn } => Self::Disconnect { conn: conn.0 },
            Input::Timeout => Self::Timeout {},
            Input::Command(command) => match command.clone() {
                Command::Vacancy(room) => Self::Vacancy { room },
                Command::Close { reason, disposition } => Self::Close { reason, disposition },
                Command::Status(event) => Self::Status { event },
                Command::Rebind { conn, principal, principal_type, instance } => {
                    Self::Rebind { conn: conn.0, principal, principal_type, instance }
                }
                Command::HandOver { successor, next_epoch } => Self::HandOver { successor, next_epoch },
                Command::Persisted { lamport } => Self::Persisted { lamport },
                Command::Fence { epoch } => Self::Fence { epoch },
            },
        })
    }

    pub(super) fn into_input(self) -> Input {
        let command = match self {
            Self::Frame { conn, identity, text } => {
                return Input::Frame { from: Peer::new(ConnId(conn), proven(identity)), text: text.into() };
            }
            Self::Unreadable { conn, identity, problem } => {
                let from = Peer::new(ConnId(conn), proven(identity));
                return Input::Unreadable { from, problem: problem.into() };
            }
            Self::Disconnect { conn } => return Input::Disconnect { conn: ConnId(conn) },
            Self::Timeout {} => return Input::Timeout,
            Self::Vacancy { room } => Command::Vacancy(room),
            Self::Close { reason, disposition } => Command::Close { reason, disposition },
            Self::Status { event } => Command::Status(event),
            Self::Rebind { conn, principal, principal_type, instance } => {
                Command::Rebind { conn: ConnId(conn), principal, principal_type, instance }
            }
            Self::HandOver { successor, next_epoch } => Command::HandOver { successor, next_epoch },
            Self::Persisted { lamport } => Command::Persisted { lamport },
            Self::Fence { epoch } => Command::Fence { epoch },
        };
        Input::Command(command)
    }
}

/// The outer `None` is an identity that this program does not know how to store.
fn known(identity: &Identity) -> Option<Option<Known>> {
    Some(match identity.clone() {
        Identity::Unproven => None,
        Identity::Proven { principal, method, issuer, roles, expires_at } => {
            let issuer = issuer.map(String::from);
            Some(Known::Proven { principal, method, issuer, roles, expires_at })
        }
        Identity::Rejected { method } => Some(Known::Rejected { method }),
        _ => return None,
    })
}

fn proven(known: Option<Known>) -> Identity {
    match known {
        None => Identity::Unproven,
        Some(Known::Rejected { method }) => Identity::Rejected { method },
        Some(Known::Proven { principal, method, issuer, roles, expires_at }) => {
            Identity::Proven { principal, method, issuer: issuer.map(Into::into), roles, expires_at }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities() -> Vec<Identity> {
        let principal = PrincipalId::new("p").unwrap();
        let method = CredentialType::from("api_key");
        let expires_at = Some(Timestamp::from_micros(1_700_000_000_123_456));
        let proven = Identity::Proven {
            principal: principal.clone(),
            method: method.clone(),
            issuer: Some("i".into()),
            roles: Some(vec![Role::Owner]),
            expires_at,
        };
        let bare = Identity::Proven {
            principal,
            method: method.clone(),
            issuer: None,
            roles: None,
            expires_at: None,
        };
        vec![Identity::Unproven, Identity::Rejected { method }, proven, bare]
    }

    #[test]
    fn every_input_reads_back_as_it_was() {
        let principal = PrincipalId::new("p").unwrap();
        let mut inputs = vec![
            Input::Disconnect { conn: ConnId(u64::MAX) },
            Input::Timeout,
            Input::Command(Command::Vacancy(true)),
            Input::Command(Command::Close {
                reason: CloseReason::Manual,
                disposition: CloseDisposition::WithdrawAll,
            }),
            Input::Command(Command::Status(CoordinatorEvent::Heartbeat)),
            Input::Command(Command::Rebind {
                conn: ConnId(3),
                principal: principal.clone(),
                principal_type: PrincipalType::Human,
                instance: InstanceId::new("p:1").unwrap(),
            }),
            Input::Command(Command::HandOver { successor: principal, next_epoch: 9 }),
            Input::Command(Command::Fence { epoch: 8 }),
            Input::Command(Command::Persisted { lamport: 7 }),
        ];
        for identity in identities() {
            let from = Peer::new(ConnId(7), identity);
            inputs.push(Input::Frame { from: from.clone(), text: "{\"a\": 1.50}\n\u{0}é\"\\".into() });
            inputs.push(Input::Unreadable { from, problem: "binary".into() });
        }
        for input in inputs {
            let text = serde_json::to_string(&Stored::of(&input).unwrap()).unwrap();
            assert!(!text.contains('\n') && !text.contains('\0'), "one line: {text}");
            let back: Stored = serde_json::from_str(&text).unwrap();
            assert_eq!(back.into_input(), input, "{text}");
        }
    }
}
