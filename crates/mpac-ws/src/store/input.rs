//! The core's inputs in their stored form.

use mpac_core::{Command, ConnId, Identity, Input, Peer, ShownKey, Signed};
use mpac_wire::names::{
    CloseDisposition, CloseReason, CoordinatorEvent, CredentialType, PrincipalType, Role, SignatureAlgorithm,
};
use mpac_wire::{Fingerprint, InstanceId, MessageId, PrincipalId, PublicKey, Seconds, Timestamp};
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
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Verdict>,
        text: String,
    },
    Unreadable {
        conn: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Known>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refers_to: Option<MessageId>,
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
    TurnAway {
        conn: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refers_to: Option<MessageId>,
        retry_after_sec: Seconds,
    },
    RotateKey {
        public_key: PublicKey,
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

/// What was found out about a frame's signature; absent when there was none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "signature", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Verdict {
    Malformed {},
    Wrong {},
    Good {
        key: Fingerprint,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown: Option<Shown>,
    },
}

/// A key that came with its frame. A shared secret is not stored, only that there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    principal: PrincipalId,
    algorithm: SignatureAlgorithm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<PublicKey>,
}

impl Stored {
    /// `None` for an input of a kind that this program does not know how to store.
    pub(super) fn of(input: &Input) -> Option<Self> {
        Some(match input {
            Input::Frame { from, text } => {
                let (identity, signed) = (known(&from.identity)?, verdict(&from.signed));
                Self::Frame { conn: from.conn.0, identity, signed, text: text.to_string() }
            }
            Input::Unreadable { from, refers_to, problem } => Self::Unreadable {
                conn: from.conn.0,
                identity: known(&from.identity)?,
                refers_to: refers_to.clone(),
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
                Command::TurnAway { conn, refers_to, retry_after } => {
                    Self::TurnAway { conn: conn.0, refers_to, retry_after_sec: retry_after }
                }
                Command::RotateKey(public_key) => Self::RotateKey { public_key },
            },
        })
    }

    /// What was found out about the signature of a frame.
    pub(crate) fn signed(&self) -> Option<Signed> {
        match self {
            Self::Frame { signed, .. } => Some(found(signed.clone())),
            _ => None,
        }
    }

    pub(super) fn into_input(self) -> Input {
        let command = match self {
            Self::Frame { conn, identity, signed, text } => {
                let from = Peer::new(ConnId(conn), proven(identity)).signed(found(signed));
                return Input::Frame { from, text: text.into() };
            }
            Self::Unreadable { conn, identity, refers_to, problem } => {
                let from = Peer::new(ConnId(conn), proven(identity));
                return Input::Unreadable { from, refers_to, problem: problem.into() };
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
            Self::TurnAway { conn, refers_to, retry_after_sec } => {
                Command::TurnAway { conn: ConnId(conn), refers_to, retry_after: retry_after_sec }
            }
            Self::RotateKey { public_key } => Command::RotateKey(public_key),
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

fn verdict(signed: &Signed) -> Option<Verdict> {
    match signed.clone() {
        Signed::Missing => None,
        Signed::Malformed => Some(Verdict::Malformed {}),
        Signed::Wrong => Some(Verdict::Wrong {}),
        Signed::Good { key, shown } => {
            let shown = shown.map(|ShownKey { principal, algorithm, public_key, .. }| Shown {
                principal,
                algorithm,
                public_key,
            });
            Some(Verdict::Good { key, shown })
        }
    }
}

fn found(verdict: Option<Verdict>) -> Signed {
    match verdict {
        None => Signed::Missing,
        Some(Verdict::Malformed {}) => Signed::Malformed,
        Some(Verdict::Wrong {}) => Signed::Wrong,
        Some(Verdict::Good { key, shown }) => {
            let shown = shown.map(|Shown { principal, algorithm, public_key }| {
                let mut shown = ShownKey::mac(principal);
                (shown.algorithm, shown.public_key) = (algorithm, public_key);
                shown
            });
            Signed::Good { key, shown }
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

    fn verdicts() -> Vec<Signed> {
        let principal = PrincipalId::new("p").unwrap();
        let key = PublicKey::new(&[7; 32]);
        let fingerprint = key.fingerprint();
        let good = |shown| Signed::Good { key: fingerprint, shown };
        vec![
            Signed::Missing,
            Signed::Malformed,
            Signed::Wrong,
            good(None),
            good(Some(ShownKey::ed25519(principal.clone(), key))),
            good(Some(ShownKey::mac(principal))),
        ]
    }

    #[test]
    fn a_frame_of_an_older_log_has_no_signature() {
        let old: Stored = serde_json::from_str(r#"{"type":"frame","conn":1,"text":"{}"}"#).unwrap();
        assert_eq!(old.into_input(), Input::Frame { from: Peer::unproven(ConnId(1)), text: "{}".into() });
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
            Input::Command(Command::RotateKey(PublicKey::new(&[7; 32]))),
        ];
        for signed in verdicts() {
            inputs.push(Input::Frame { from: Peer::unproven(ConnId(7)).signed(signed), text: "{}".into() });
        }
        for identity in identities() {
            let from = Peer::new(ConnId(7), identity);
            inputs.push(Input::Frame { from: from.clone(), text: "{\"a\": 1.50}\n\u{0}é\"\\".into() });
            let refers_to =
                matches!(from.identity, Identity::Proven { .. }).then(|| MessageId::new("m").unwrap());
            inputs.push(Input::Unreadable { from, refers_to, problem: "binary".into() });
        }
        for input in inputs {
            let text = serde_json::to_string(&Stored::of(&input).unwrap()).unwrap();
            assert!(!text.contains('\n') && !text.contains('\0'), "one line: {text}");
            let back: Stored = serde_json::from_str(&text).unwrap();
            assert_eq!(back.into_input(), input, "{text}");
        }
    }
}
