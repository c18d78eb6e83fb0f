//! Somebody who announces and withdraws as fast as the coordinator answers.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use mpac_wire::names::SignatureAlgorithm;
use mpac_wire::signature::signed_bytes;
use mpac_wire::{PublicKey, Signature, Timestamp};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::step::Failure;

/// A server that says nothing for so long is stuck.
const ANSWER: Duration = Duration::from_secs(30);
/// Messages that one sends before it listens.
const WINDOW: usize = 50;

/// The participant of this number, without `agent:`.
pub(super) fn name(number: u16) -> String {
    format!("p{number}")
}

/// A key, and the certificate that says whose it is.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    chain: String,
}

impl Signer {
    /// What `mpac-ws cert issue` wrote into `dir`.
    pub(super) fn load(dir: &Path, number: u16) -> Result<Self, Failure> {
        let file = |ending: &str| {
            let path = dir.join(format!("agent-{}{ending}", name(number)));
            fs::read_to_string(&path).map_err(Failure::io(format!("read {}", path.display())))
        };
        let (key, chain) = (file(".key.pem")?, file(".pem")?);
        let der = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| Failure::check(format!("an issued key cannot be read: {error}")))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|error| Failure::check(format!("an issued key cannot be used: {error}")))?;
        Ok(Self { pair, chain })
    }

    fn sign(&self, message: &mut Value) -> Result<(), Failure> {
        let covered =
            signed_bytes(&message.to_string()).map_err(|error| Failure::check(error.to_string()))?;
        let made = self.pair.sign(covered.as_bytes());
        let key = PublicKey::new(self.pair.public_key().as_ref()).fingerprint();
        message["signature"] =
            Signature::new(SignatureAlgorithm::Ed25519, key, made.as_ref()).to_string().into();
        Ok(())
    }
}

/// One connection, with what it is going to send.
pub(super) struct Participant {
    id: String,
    socket: WebSocket<TcpStream>,
    signer: Option<Signer>,
    sent: u64,
    prepared: Vec<String>,
    /// Keys of the session, by fingerprint, for who verifies.
    keys: Vec<PublicKey>,
}

impl Participant {
    pub(super) fn join(url: &str, number: u16, signer: Option<Signer>) -> Result<Self, Failure> {
        let address = url.trim_start_matches("ws://");
        let stream = TcpStream::connect(address).map_err(Failure::io(format!("connect to {url}")))?;
        let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(ANSWER)));
        prepared.map_err(Failure::io("set up a socket"))?;
        let (socket, _) = tungstenite::client(url, stream)
            .map_err(|error| Failure::check(format!("{url} takes no connection: {error}")))?;
        let id = format!("agent:{}", name(number));
        let mut one = Self { id, socket, signer, sent: 0, prepared: Vec::new(), keys: Vec::new() };
        let mut hello = json!({"display_name": one.id, "roles": ["contributor"], "capabilities": []});
        if let Some(signer) = &one.signer {
            hello["credential"] = json!({"type": "x509_chain", "value": signer.chain});
        }
        let hello = one.message("HELLO", &hello)?;
        one.send(hello)?;
        loop {
            let frame = one.hear()?;
            match frame.find("\"message_type\":\"SESSION_INFO\"") {
                Some(_) => return Ok(one),
                None if frame.contains("PROTOCOL_ERROR") => {
                    return Err(Failure::check(format!("{} was not let in: {frame}", one.id)));
                }
                None => {}
            }
        }
    }

    /// Writes, and signs, what is going to be sent: intents that are announced and withdrawn.
    pub(super) fn prepare(&mut self, messages: u32) -> Result<(), Failure> {
        for number in 0..messages {
            let intent = format!("{}-{}", self.id, number / 2);
            let (message_type, payload) = if number % 2 == 0 {
                let scope = json!({"kind": "file_set", "resources": [format!("{}.txt", self.id)]});
                ("INTENT_ANNOUNCE", json!({"intent_id": intent, "objective": "measure", "scope": scope}))
            } else {
                ("INTENT_WITHDRAW", json!({"intent_id": intent, "reason": "measured"}))
            };
            let text = self.message(message_type, &payload)?;
            self.prepared.push(text);
        }
        Ok(())
    }

    /// Sends everything, a window at a time, and hears all of each before the next.
    pub(super) fn work(&mut self, verify: bool) -> Result<(), Failure> {
        let own = format!("\"principal_id\":\"{}\"", self.id);
        let prepared = std::mem::take(&mut self.prepared);
        for window in prepared.chunks(WINDOW) {
            for text in window {
                self.send(text.clone())?;
            }
            let mut open = window.len();
            while open > 0 {
                let frame = self.hear()?;
                if verify {
                    self.verify(&frame)?;
                }
                if frame.contains("PROTOCOL_ERROR") {
                    return Err(Failure::check(format!("{} was refused: {frame}", self.id)));
                }
                open -= usize::from(frame.contains(&own) && frame.contains("\"INTENT_"));
            }
        }
        Ok(())
    }

    fn verify(&mut self, frame: &str) -> Result<(), Failure> {
        let wrong = |why: &str| Failure::check(format!("{why}: {frame}"));
        let message: Value = serde_json::from_str(frame).map_err(|error| wrong(&error.to_string()))?;
        self.learn(&message);
        let signature = message["signature"].as_str().ok_or_else(|| wrong("not signed"))?;
        let signature: Signature = signature.parse().map_err(|_| wrong("no signature"))?;
        let key = self.keys.iter().find(|key| key.fingerprint() == signature.key);
        let key = key.ok_or_else(|| wrong("a key that nobody told of"))?;
        let covered = signed_bytes(frame).map_err(|error| wrong(&error.to_string()))?;
        UnparsedPublicKey::new(&ED25519, key.as_bytes())
            .verify(covered.as_bytes(), &signature.bytes)
            .map_err(|_| wrong("the signature does not fit"))
    }

    /// Takes the keys that the coordinator tells of.
    fn learn(&mut self, message: &Value) {
        for key in message["payload"]["keys"].as_array().into_iter().flatten() {
            self.keys.extend(key["public_key"].as_str().and_then(|key| key.parse().ok()));
        }
    }

    fn message(&mut self, message_type: &str, payload: &Value) -> Result<String, Failure> {
        self.sent += 1;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_micros()).map_err(|error| Failure::check(error.to_string()))?;
        let mut message = json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": message_type,
            "message_id": format!("{}-{}", self.id, self.sent), "session_id": "default",
            "sender": {"principal_id": self.id, "principal_type": "agent", "sender_instance_id": self.id},
            "ts": Timestamp::from_micros(now).to_string(), "payload": payload,
            "watermark": {"kind": "lamport_clock", "value": self.sent},
        });
        if let Some(signer) = &self.signer {
            signer.sign(&mut message)?;
        }
        Ok(message.to_string())
    }

    fn send(&mut self, text: String) -> Result<(), Failure> {
        let sent = self.socket.send(Message::text(text));
        sent.map_err(|error| Failure::check(format!("{} cannot send: {error}", self.id)))
    }

    fn hear(&mut self) -> Result<String, Failure> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let text = text.as_str().to_owned();
                    return Ok(text);
                }
                Ok(_) => {}
                Err(error) => return Err(Failure::check(format!("{} hears nothing: {error}", self.id))),
            }
        }
    }
}
