//! JSON Web Tokens of an identity provider, and credentials that another program judges.

use std::fs;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use clap::Parser as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use mpac_ws::cli::Settings;
use mpac_ws::server::Server;
use serde_json::{Value, json};

use super::{command, place, said, secret, server};
use crate::covers;

/// An issuer with one key.
struct Issuer {
    private: Vec<u8>,
    public: Vec<u8>,
}

impl Issuer {
    fn new() -> Self {
        let key = Ed25519KeyPair::generate().unwrap();
        let private = key.to_pkcs8v1().unwrap().as_ref().to_vec();
        Self { private, public: key.public_key().as_ref().to_vec() }
    }

    fn jwks(&self, id: &str) -> String {
        let x = base64(&self.public);
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x, "alg": "EdDSA"}]}).to_string()
    }

    fn sign(&self, id: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(id.to_owned());
        encode(&header, claims, &EncodingKey::from_ed_der(&self.private)).unwrap()
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..=three.len() {
            text.push(DIGITS[(bits >> (18 - 6 * place) & 63) as usize] as char);
        }
    }
    text
}

fn in_sec(sec: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + sec
}

/// The claims of a good token, with those of `other` over them.
fn claims(other: Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example", "aud": "default", "sub": "agent:bob", "exp": in_sec(300), "roles": ["contributor"],
    });
    for (key, value) in other.as_object().unwrap() {
        claims[key] = value.clone();
    }
    claims
}

fn bearer(token: &str) -> Value {
    json!({"type": "bearer_token", "value": token})
}

fn flags(dir: &Path) -> [String; 2] {
    ["--jwt-issuer=https://id.example".to_owned(), format!("--jwks={}", dir.join("jwks.json").display())]
}

#[tokio::test]
async fn a_token_is_good_for_its_subject_here_and_now_and_by_its_issuers_key() {
    covers!("SEC-09", "SEC-08", "HEL-10");
    let (dir, issuer, forger) = (place(), Issuer::new(), Issuer::new());
    fs::write(dir.path().join("jwks.json"), issuer.jwks("k1")).unwrap();
    let host = server(dir.path(), &flags(dir.path()).each_ref().map(String::as_str)).await;
    let good = issuer.sign("k1", &claims(json!({})));
    let mut bob = host.connect("/").await.counts_anew();
    let info = bob.hello_with("agent:bob", bearer(&good)).await;
    assert_eq!(info["payload"]["identity_method"], "bearer_token", "{info}");
    assert_eq!(info["payload"]["identity_issuer"], "https://id.example");
    let mut parts = good.split('.');
    let (_, body, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let none = base64(br#"{"alg":"none","typ":"JWT","kid":"k1"}"#);
    let mut confused = Header::new(Algorithm::HS256);
    confused.kid = Some("k1".to_owned());
    let by_public_key =
        encode(&confused, &claims(json!({})), &EncodingKey::from_secret(&issuer.public)).unwrap();
    let rejected = [
        ("nothing signed", format!("{none}.{body}.")),
        ("nothing signed, with a signature", format!("{none}.{body}.{signature}")),
        ("the public key as a secret", by_public_key),
        ("another key of that name", forger.sign("k1", &claims(json!({})))),
        ("a name of no key", issuer.sign("k2", &claims(json!({})))),
        ("another issuer", issuer.sign("k1", &claims(json!({"iss": "https://evil.example"})))),
        ("another session", issuer.sign("k1", &claims(json!({"aud": "other"})))),
        ("expired", issuer.sign("k1", &claims(json!({"exp": in_sec(-1)})))),
        ("expired by a fraction", issuer.sign("k1", &claims(json!({"exp": in_sec(-1) as f64 + 0.9})))),
        ("not yet", issuer.sign("k1", &claims(json!({"nbf": in_sec(120)})))),
        ("without an end", issuer.sign("k1", &claims(json!({"exp": null})))),
        ("without a subject", issuer.sign("k1", &claims(json!({"sub": null})))),
        ("somebody else's", issuer.sign("k1", &claims(json!({"sub": "agent:ann"})))),
        ("rubbish", "a.b.c".to_owned()),
    ];
    for (what, token) in rejected {
        assert_eq!(said(&host, "/", "agent:bob", bearer(&token)).await, "CREDENTIAL_REJECTED", "{what}");
    }
    bob.is_alive().await;
    // As `time.time() + 300` makes it.
    let fraction = issuer.sign("k1", &claims(json!({"exp": in_sec(300) as f64 + 0.25})));
    assert_eq!(said(&host, "/", "agent:bob", bearer(&fraction)).await, "SESSION_INFO");
}

#[tokio::test]
async fn keys_of_the_issuer_may_change_while_the_server_runs() {
    let (dir, old, new) = (place(), Issuer::new(), Issuer::new());
    let file = dir.path().join("jwks.json");
    fs::write(&file, old.jwks("k1")).unwrap();
    let host = server(dir.path(), &flags(dir.path()).each_ref().map(String::as_str)).await;
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, new.jwks("k2")).unwrap();
    // File systems count time in steps.
    while fs::metadata(&file).unwrap().modified().unwrap() == before {
        fs::write(&file, new.jwks("k2")).unwrap();
    }
    let by_new = bearer(&new.sign("k2", &claims(json!({}))));
    assert_eq!(said(&host, "/", "agent:bob", by_new).await, "SESSION_INFO");
    let by_old = bearer(&old.sign("k1", &claims(json!({}))));
    assert_eq!(said(&host, "/", "agent:bob", by_old).await, "CREDENTIAL_REJECTED");
}

#[tokio::test]
async fn tokens_that_the_server_made_itself_are_good_beside_them() {
    let dir = place();
    fs::write(dir.path().join("jwks.json"), Issuer::new().jwks("k")).unwrap();
    let own = secret(&command(dir.path(), &["token", "add", "bob", "--as=bearer_token"]).unwrap());
    let host = server(dir.path(), &flags(dir.path()).each_ref().map(String::as_str)).await;
    assert_eq!(said(&host, "/", "agent:bob", bearer(&own)).await, "SESSION_INFO");
}

#[cfg(unix)]
#[tokio::test]
async fn another_program_judges_custom_credentials() {
    covers!("SEC-13");
    let dir = place();
    let script = dir.path().join("judge.sh");
    // By what is shown: an answer, rubbish, a failure, or nothing at all.
    let text = r#"read line
case "$line" in
  *good*) echo '{"accept":true,"principal_id":"agent:bob","roles":["contributor"],"issuer":"judge"}' ;;
  *rubbish*) echo maybe ;;
  *fail*) exit 3 ;;
  *) echo '{"accept":false}' ;;
esac"#;
    fs::write(&script, text).unwrap();
    let flag = format!("--credential-command=/bin/sh {}", script.display());
    let host = server(dir.path(), &[&flag]).await;
    let custom = |value: &str| json!({"type": "custom", "value": value});
    assert_eq!(said(&host, "/", "agent:bob", custom("good")).await, "SESSION_INFO");
    assert_eq!(said(&host, "/", "agent:ann", custom("good")).await, "CREDENTIAL_REJECTED");
    for value in ["rubbish", "fail", "bad"] {
        assert_eq!(said(&host, "/", "agent:bob", custom(value)).await, "CREDENTIAL_REJECTED", "{value}");
    }
    let flags = ["--port=0", "--security-profile=authenticated", "--credential-command=/no/such/program"];
    let settings = Settings::try_parse_from([&["mpac-ws"], &flags[..]].concat()).unwrap();
    let refused = Server::bind(settings).await.err().unwrap().to_string();
    assert!(refused.contains("there is no such program"), "{refused}");
}
