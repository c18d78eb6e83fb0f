//! Credentials that are forged, stolen, ended, or meant for somebody else.

use std::path::Path;

use serde_json::{Value, json};

use super::jwt::{Issuer, claims, encode, header, in_sec, on_another_curve};
use super::member::{ACCEPTED, Member, api_key};
use super::scene::{AUTHENTICATED, PLANTED, Scene, Stage, write};
use super::{Attack, Done, ensure};
use crate::step::{self, Failure};

/// With an identity provider of one key.
const PROVIDER: Stage = Stage {
    flags: &["--jwt-issuer", "https://id.example", "--jwks", "jwks.json"],
    prepare: write_keys,
    ..AUTHENTICATED
};
const MANY: Stage = Stage { flags: &["--multi-session"], ..AUTHENTICATED };

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "signs-with-no-algorithm",
        ids: &["SEC-09"],
        answer: "CREDENTIAL_REJECTED for every spelling of none",
        stage: PROVIDER,
        run: |scene| reject(scene, none()?),
    },
    Attack {
        name: "signs-with-the-public-key",
        ids: &["SEC-09"],
        answer: "CREDENTIAL_REJECTED",
        stage: PROVIDER,
        run: |scene| reject(scene, confused()?),
    },
    Attack {
        name: "brings-its-own-key",
        ids: &["SEC-09"],
        answer: "CREDENTIAL_REJECTED, whatever the header points to",
        stage: PROVIDER,
        run: |scene| reject(scene, own_keys()?),
    },
    Attack {
        name: "shows-a-token-for-others",
        ids: &["SEC-09", "SEC-08"],
        answer: "CREDENTIAL_REJECTED: audience, issuer, subject",
        stage: PROVIDER,
        run: |scene| reject(scene, for_others()?),
    },
    Attack {
        name: "shows-a-token-of-another-time",
        ids: &["SEC-09", "SEC-14"],
        answer: "CREDENTIAL_REJECTED: expired, not yet good, endless",
        stage: PROVIDER,
        run: |scene| reject(scene, of_another_time()?),
    },
    Attack {
        name: "changes-a-good-token",
        ids: &["SEC-09"],
        answer: "CREDENTIAL_REJECTED for every byte",
        stage: PROVIDER,
        run: |scene| reject(scene, changed()?),
    },
    Attack {
        name: "stays-after-its-token-has-ended",
        ids: &["SEC-14"],
        answer: "CREDENTIAL_REJECTED for every message",
        stage: Stage { allowed: &["agent:bob"], ..PROVIDER },
        run: stays,
    },
    Attack {
        name: "shows-a-key-in-another-session",
        ids: &["SEC-07", "SEC-41"],
        answer: "CREDENTIAL_REJECTED, and INVALID_REFERENCE across",
        stage: MANY,
        run: another_session,
    },
    Attack {
        name: "shows-a-revoked-key",
        ids: &["SEC-11"],
        answer: "1008 for who is in, then CREDENTIAL_REJECTED",
        stage: AUTHENTICATED,
        run: revoked,
    },
    Attack {
        name: "guesses-keys",
        ids: &["SEC-11", "D-018", "PRV-05"],
        answer: "CREDENTIAL_REJECTED, 1008 after five",
        stage: AUTHENTICATED,
        run: guesses,
    },
    Attack {
        name: "takes-anothers-invitation",
        ids: &["SEC-11", "SEC-08"],
        answer: "CREDENTIAL_REJECTED once it is taken up",
        stage: AUTHENTICATED,
        run: invitation,
    },
];

fn write_keys(dir: &Path) -> Done {
    write(&dir.join("jwks.json"), &json!({"keys": [Issuer::new(1)?.jwk("k1")]}).to_string())
}

fn issuer() -> Result<Issuer, Failure> {
    Issuer::new(1)
}

fn good() -> Result<String, Failure> {
    Ok(issuer()?.sign(&header("k1"), &claims(&json!({})).to_string()))
}

/// None of these lets anybody in, and a good one does.
fn reject(scene: &mut Scene, tokens: Vec<(String, String)>) -> Done {
    for (what, token) in tokens {
        let mut eve = scene.stranger("agent:bob")?;
        ensure(&what, &eve.hello(&bearer(&token))?, "CREDENTIAL_REJECTED")?;
        if token.len() > 60 {
            scene.keep_secret(&token);
        }
    }
    let mut bob = scene.stranger("agent:bob")?;
    ensure("a good token", &bob.hello(&bearer(&good()?))?, "SESSION_INFO")
}

fn bearer(token: &str) -> Value {
    json!({"type": "bearer_token", "value": token})
}

fn none() -> Result<Vec<(String, String)>, Failure> {
    let good = good()?;
    let (_, body_and_signature) = good.split_once('.').unwrap_or_default();
    let (body, _) = body_and_signature.split_once('.').unwrap_or_default();
    let mut tokens = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let head = encode(json!({"alg": none, "typ": "JWT", "kid": "k1"}).to_string());
        tokens.push((format!("{none:?} without a signature"), format!("{head}.{body}.")));
        tokens.push((format!("{none:?} with a signature"), format!("{head}.{body_and_signature}")));
        tokens.push((format!("{none:?} in two parts"), format!("{head}.{body}")));
    }
    Ok(tokens)
}

fn confused() -> Result<Vec<(String, String)>, Failure> {
    let body = claims(&json!({})).to_string();
    let mut tokens = Vec::new();
    for alg in ["HS256", "HS384", "HS512"] {
        let head = json!({"alg": alg, "typ": "JWT", "kid": "k1"});
        tokens.push((alg.to_owned(), issuer()?.sign_with_public_key(&head, &body)));
    }
    // Says what it should, and is not what it says.
    tokens.push(("EdDSA by HMAC".to_owned(), issuer()?.sign_with_public_key(&header("k1"), &body)));
    Ok(tokens)
}

fn own_keys() -> Result<Vec<(String, String)>, Failure> {
    let (forger, body) = (Issuer::new(2)?, claims(&json!({})).to_string());
    let with = |name: &str, value: Value| {
        let mut head = header("k1");
        head[name] = value;
        forger.sign(&head, &body)
    };
    let es256 = json!({"alg": "ES256", "typ": "JWT", "kid": "k1"});
    Ok([
        ("another key of that name", forger.sign(&header("k1"), &body)),
        ("a key in the header", with("jwk", forger.jwk("k1"))),
        ("a place of keys in the header", with("jku", json!("http://127.0.0.1:1/keys.json"))),
        ("a certificate in the header", with("x5c", json!(["MA=="]))),
        ("a name of no key", forger.sign(&header("k2"), &body)),
        ("a name that is a path", forger.sign(&header("../../../others/secret.txt"), &body)),
        ("no name", forger.sign(&json!({"alg": "EdDSA"}), &body)),
        ("a key on another curve", on_another_curve(&es256, &body)?),
        ("a key on another curve that says it is not", on_another_curve(&header("k1"), &body)?),
    ]
    .map(|(what, token)| (what.to_owned(), token))
    .into())
}

fn signed(cases: &[(&str, Value)]) -> Result<Vec<(String, String)>, Failure> {
    let issuer = issuer()?;
    let sign = |(what, other): &(&str, Value)| {
        ((*what).to_owned(), issuer.sign(&header("k1"), &claims(other).to_string()))
    };
    Ok(cases.iter().map(sign).collect())
}

fn for_others() -> Result<Vec<(String, String)>, Failure> {
    signed(&[
        ("another session", json!({"aud": "other"})),
        ("no audience", json!({"aud": null})),
        ("an audience that only begins like it", json!({"aud": "default.evil.example"})),
        ("a list without it", json!({"aud": ["other", "third"]})),
        ("another issuer", json!({"iss": "https://evil.example"})),
        ("an issuer with a slash", json!({"iss": "https://id.example/"})),
        ("no issuer", json!({"iss": null})),
        ("another subject", json!({"sub": "agent:ann"})),
        ("a subject in capitals", json!({"sub": "AGENT:BOB"})),
        ("no subject", json!({"sub": null})),
        ("an empty subject", json!({"sub": ""})),
        ("a list of subjects", json!({"sub": ["agent:bob"]})),
    ])
}

fn of_another_time() -> Result<Vec<(String, String)>, Failure> {
    signed(&[
        ("expired just now", json!({"exp": in_sec(-1)})),
        ("expired long ago", json!({"exp": 1})),
        ("before all time", json!({"exp": -1})),
        ("not yet good", json!({"nbf": in_sec(120)})),
        ("endless", json!({"exp": null})),
        ("an end in words", json!({"exp": "never"})),
        ("an end beyond numbers", json!({"exp": 1e300})),
    ])
}

fn changed() -> Result<Vec<(String, String)>, Failure> {
    let good = good()?;
    let mut tokens: Vec<(String, String)> = (0..good.len())
        .step_by(13)
        .filter(|at| good.as_bytes()[*at] != b'.' && at + 1 != good.len())
        .map(|at| {
            let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
            (format!("byte {at}"), format!("{}{other}{}", &good[..at], &good[at + 1..]))
        })
        .collect();
    tokens.push(("a fourth part".to_owned(), format!("{good}.x")));
    tokens.push(("a space behind".to_owned(), format!("{good} ")));
    tokens.push(("padding".to_owned(), format!("{good}==")));
    tokens.push(("nothing".to_owned(), String::new()));
    tokens.push(("dots".to_owned(), "..".to_owned()));
    tokens.push(("a megabyte".to_owned(), "A.".repeat(200_000)));
    Ok(tokens)
}

fn stays(scene: &mut Scene) -> Done {
    let ends = in_sec(2);
    let token = issuer()?.sign(&header("k1"), &claims(&json!({"exp": ends})).to_string());
    let mut bob = scene.stranger("agent:bob")?;
    ensure("HELLO", &bob.hello(&bearer(&token))?, "SESSION_INFO")?;
    let mut count = 0;
    while in_sec(0) <= ends {
        count += 1;
        let said = bob.announce(&format!("i{count}"), "bobs.txt")?;
        // The second itself may have come meanwhile.
        if said != ACCEPTED {
            break;
        }
        bob.say("INTENT_WITHDRAW", &json!({"intent_id": format!("i{count}"), "reason": "done"}))?;
        // Slower than the server's limit.
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    ensure("his announcement", &bob.announce(PLANTED, "bobs.txt")?, "CREDENTIAL_REJECTED")?;
    let files = bob.ask(&json!({"type": "FILE_READ", "path": "shared.txt"}))?;
    ensure("his files", &files["error"], &json!("not authorized"))?;
    ensure("the same token again", &bob.hello(&bearer(&token))?, "CREDENTIAL_REJECTED")
}

fn another_session(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &["--session", "bank"])?;
    let mut bob = scene.stranger_in("agent:bob", "bank")?;
    ensure("where it is good", &bob.hello(&api_key(&key))?, "SESSION_INFO")?;
    let mut eve = scene.stranger_in("agent:bob", "shop")?;
    ensure("where it is not", &eve.hello(&api_key(&key))?, "CREDENTIAL_REJECTED")?;
    // From inside one session into the other.
    "shop".clone_into(&mut bob.session);
    ensure("across", &bob.announce(PLANTED, "shared.txt")?, "INVALID_REFERENCE")?;
    ensure("across, by HELLO", &bob.hello(&api_key(&key))?, "INVALID_REFERENCE")
}

fn revoked(scene: &mut Scene) -> Done {
    let key = scene.key("eve", &[])?;
    let mut eve: Member = scene.stranger("agent:eve")?;
    ensure("HELLO", &eve.hello(&api_key(&key))?, "SESSION_INFO")?;
    let id = key.split('_').nth(1).unwrap_or_default();
    step::read(&mut scene.command(&["token", "revoke", id]))?;
    ensure("the end", &eve.socket.end()?, &1008)?;
    let mut again = scene.stranger("agent:eve")?;
    again.lamport = eve.lamport;
    ensure("HELLO again", &again.hello(&api_key(&key))?, "CREDENTIAL_REJECTED")
}

fn guesses(scene: &mut Scene) -> Done {
    let key = scene.key("bob", &[])?;
    let id = key.split('_').nth(1).unwrap_or_default();
    let guesses = [
        format!("mpac_{id}_"),
        format!("mpac_{id}_{}", "0".repeat(64)),
        format!("{key}0"),
        key.to_uppercase(),
        format!("mpac_{id}_*"),
    ];
    for round in 0..4 {
        let mut eve = scene.stranger("agent:bob")?;
        for guess in &guesses[..4] {
            ensure("a guess", &eve.hello(&api_key(guess))?, "CREDENTIAL_REJECTED")?;
        }
        let last = eve.envelope("HELLO", &super::member::hello(&api_key(&guesses[4])));
        eve.send(&last.to_string())?;
        ensure(&format!("the end of round {round}"), &eve.socket.end()?, &1008)?;
    }
    let mut bob = scene.stranger("agent:bob")?;
    ensure("the owner", &bob.hello(&api_key(&key))?, "SESSION_INFO")
}

fn invitation(scene: &mut Scene) -> Done {
    let printed = step::read(&mut scene.command(&["invite", "bob", "--url", "ws://127.0.0.1:1"]))?;
    let key =
        printed.split("api_key:").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    let key = key.trim_matches('\'').to_owned();
    scene.keep_secret(&key);
    let mut bob = scene.stranger("agent:bob")?;
    ensure("the invited", &bob.hello(&api_key(&key))?, "SESSION_INFO")?;
    let mut eve = scene.stranger("agent:bob")?;
    eve.instance = "agent:bob:eves".to_owned();
    ensure("somebody else with it", &eve.hello(&api_key(&key))?, "CREDENTIAL_REJECTED")?;
    scene.crash()?;
    let mut eve = scene.stranger("agent:bob")?;
    eve.instance = "agent:bob:eves".to_owned();
    ensure("after a crash", &eve.hello(&api_key(&key))?, "CREDENTIAL_REJECTED")
}
