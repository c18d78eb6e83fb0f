//! People with certificates: an authority that issues them, and connections on which everything is signed.

use mpac_wire::signature::signed_bytes;
use mpac_wire::{PublicKey, Signature};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PKCS_ED25519,
    SanType, SigningKey,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::rig::Client;

/// Who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What a server trusts.
    pub(crate) pem: String,
}

/// Somebody with an Ed25519 key and a certificate for it.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) key: KeyPair,
    /// PEM, their own certificate first.
    pub(crate) chain: String,
}

pub(crate) fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

/// The key as the protocol has it.
pub(crate) fn public(key: &KeyPair) -> PublicKey {
    PublicKey::new(key.public_key_raw())
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = key();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// An authority below this one, and its certificate by this one.
    pub(crate) fn below(&self, name: &str) -> (Self, String) {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = key();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        (Self { issuer: Issuer::new(params, key), pem: pem.clone() }, pem)
    }

    /// A certificate for `name`, good for an hour.
    pub(crate) fn issue(&self, name: &str) -> Person {
        self.issue_with(name, |_| {})
    }

    pub(crate) fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Person {
        let mut params = named("somebody");
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(name).unwrap())];
        change(&mut params);
        let key = key();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Person { name: name.to_owned(), key, chain }
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now - Duration::minutes(1), now + Duration::hours(1));
    params
}

impl Person {
    /// HELLO's credential.
    pub(crate) fn credential(&self) -> Value {
        json!({"type": "x509_chain", "value": self.chain})
    }
}

/// Signs a message, as its text.
pub(crate) fn signed(mut envelope: Value, key: &KeyPair) -> String {
    let bytes = signed_bytes(&envelope.to_string()).unwrap();
    let made = key.sign(bytes.as_bytes()).unwrap();
    let signature = Signature::new("ed25519".into(), public(key).fingerprint(), &made);
    envelope["signature"] = signature.to_string().into();
    envelope.to_string()
}

/// Whether the message is signed with this key.
pub(crate) fn is_signed_by(envelope: &Value, key: &PublicKey) -> bool {
    let Some(Ok(signature)) = envelope["signature"].as_str().map(str::parse::<Signature>) else {
        return false;
    };
    let bytes = signed_bytes(&envelope.to_string()).unwrap();
    let verifying =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, key.as_bytes());
    signature.key == key.fingerprint() && verifying.verify(bytes.as_bytes(), &signature.bytes).is_ok()
}

/// A connection of somebody who signs.
pub(crate) struct Voice {
    pub(crate) client: Client,
    pub(crate) key: KeyPair,
}

impl Voice {
    /// `person` on a connection, who has not said HELLO.
    pub(crate) fn of(person: &Person, mut client: Client) -> Self {
        client.who.clone_from(&person.name);
        let key = KeyPair::try_from(person.key.serialize_der()).unwrap();
        Self { client, key }
    }

    pub(crate) async fn say(&mut self, message_type: &str, payload: Value) {
        let envelope = self.client.envelope(message_type, payload);
        self.client.send(signed(envelope, &self.key)).await;
    }

    /// Says HELLO with this credential, and gives the answer.
    pub(crate) async fn hello(&mut self, credential: Value) -> Value {
        let who = self.client.who.clone();
        let hello = json!({
            "display_name": who, "roles": ["contributor"], "capabilities": ["intent.broadcast", "op.propose"],
            "credential": credential,
        });
        self.say("HELLO", hello).await;
        self.client.next().await
    }

    pub(crate) async fn announce(&mut self, id: &str, file: &str) {
        let scope = json!({"kind": "file_set", "resources": [file]});
        self.say("INTENT_ANNOUNCE", json!({"intent_id": id, "objective": "work", "scope": scope})).await;
    }
}

/// The error code of an answer, or its type.
pub(crate) fn outcome(answer: &Value) -> &str {
    answer["payload"]["error_code"].as_str().unwrap_or_else(|| answer["message_type"].as_str().unwrap())
}
