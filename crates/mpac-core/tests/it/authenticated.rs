//! The authenticated profile: who proves what, and what that is worth.

use mpac_core::config::CredentialRoles;
use mpac_core::{ConfigError, Coordinator, IdSource, Identity, Input, SessionConfig};
use mpac_wire::names::{CredentialType, ErrorCode, PrincipalType, Role, SecurityProfile};
use mpac_wire::payload::{Goodbye, Heartbeat, SessionInfo};
use mpac_wire::{ClaimedTime, ConflictId, Credential, Envelope, Message, Scope, Secret, Timestamp};

use crate::covers;
use crate::world::{Delivery, World, commit_payload, error, heard, intent};

/// What nobody may ever see.
pub(crate) const SECRET: &str = "k-0123456789";

/// An authenticated session in which everybody may be a contributor, and whoever is proven to be so an owner.
pub(crate) fn config() -> SessionConfig {
    let mut config = crate::world::config();
    config.security_profile = SecurityProfile::Authenticated;
    config.role_policy = Some(
        serde_json::from_str(
            r#"{"default_role":"contributor","role_assignments":{"ada":["owner","arbiter"]}}"#,
        )
        .unwrap(),
    );
    config
}

pub(crate) fn proven(name: &str) -> Identity {
    Identity::Proven {
        principal: name.parse().unwrap(),
        method: CredentialType::ApiKey,
        issuer: Some("https://id.example.org/".into()),
        roles: None,
        expires_at: None,
    }
}

pub(crate) fn api_key() -> Credential {
    Credential::new(CredentialType::ApiKey, Secret::new(SECRET))
}

fn expiring(name: &str, at: Timestamp) -> Identity {
    match proven(name) {
        Identity::Proven { principal, method, issuer, roles, .. } => {
            Identity::Proven { principal, method, issuer, roles, expires_at: Some(at) }
        }
        other => other,
    }
}

/// `name` comes on a connection of its own, of which `identity` is known, and says HELLO with `credential`.
pub(crate) fn come(
    world: &mut World,
    name: &str,
    incarnation: u32,
    credential: Option<Credential>,
    identity: Identity,
) -> Vec<Delivery> {
    let conn = world.connect(name);
    world.identities.insert(conn, identity);
    let participant = World::participant_with(name, incarnation, &[Role::Contributor], credential);
    world.people.insert(name.to_owned(), (conn, participant));
    world.hello(name)
}

pub(crate) fn join(world: &mut World, name: &str) -> Vec<Delivery> {
    come(world, name, 1, Some(api_key()), proven(name))
}

pub(crate) fn court(names: &[&str]) -> World {
    let mut world = World::with(config());
    for name in names {
        assert_eq!(heard(&join(&mut world, name), name), ["SESSION_INFO"]);
    }
    world
}

fn info(deliveries: &[Delivery]) -> &SessionInfo {
    let Message::SessionInfo(info) = &deliveries[0].message else { panic!("{}", deliveries[0].line()) };
    info
}

#[test]
fn who_proves_nothing_stays_outside() {
    covers!("SEC-06", "SEC-07", "SEC-08", "SEC-13", "D-123", "HEL-03", "D-018");
    let past = Timestamp::from_micros(0);
    let empty = Credential::new(CredentialType::ApiKey, Secret::new(""));
    let mut over = api_key();
    over.expires_at = Some(ClaimedTime::from(past));
    let rejected = || Identity::Rejected { method: CredentialType::ApiKey };
    let custom = Credential::new("x.own".into(), Secret::new(SECRET));
    let cases = [
        ("no credential", None, Identity::Unproven),
        ("no credential, though the transport knows", None, proven("bob")),
        ("an empty one", Some(empty), proven("bob")),
        ("a bad one", Some(api_key()), rejected()),
        ("no verifier for it", Some(custom), Identity::Unproven),
        ("somebody else's", Some(api_key()), proven("alice")),
        ("one that is over, by the verifier", Some(api_key()), expiring("bob", past)),
        ("one that is over, by itself", Some(over), proven("bob")),
    ];
    for (case, credential, identity) in cases {
        let mut world = court(&["alice"]);
        let before = world.coordinator.snapshot();
        let refused = error(&come(&mut world, "bob", 1, credential, identity), "bob");
        assert_eq!(refused.error_code, ErrorCode::CredentialRejected, "{case}: {}", refused.description);
        let after = world.coordinator.snapshot();
        assert_eq!((&after.participants, &after.anti_replay), (&before.participants, &before.anti_replay));
        // Nothing that is said to all reaches it, and it may say nothing.
        assert_eq!(heard(&world.announce("alice", "i", &["a"]), "bob"), [""; 0], "{case}");
        let unheard = error(&world.say("bob", Heartbeat::new("idle".into())), "bob");
        assert_eq!(unheard.error_code, ErrorCode::InvalidReference, "{case}");
    }
}

#[test]
fn a_credential_of_another_shape_is_refused_and_not_repeated() {
    covers!("SEC-06", "PRV-05", "HEL-19");
    for (authenticated, code) in [(true, ErrorCode::CredentialRejected), (false, ErrorCode::MalformedMessage)]
    {
        for shape in [format!("\"{SECRET}\""), format!(r#"{{"type":7,"value":"{SECRET}"}}"#), "{}".to_owned()]
        {
            let mut world = World::with(if authenticated { config() } else { crate::world::config() });
            let conn = world.connect("bob");
            world.identities.insert(conn, proven("bob"));
            let mut bob = World::participant_with("bob", 1, &[Role::Contributor], Some(api_key()));
            let good = bob.hello(world.stamp(), None).to_json();
            let bad = good.replace(&serde_json::to_string(&api_key()).unwrap(), &shape);
            assert_ne!(good, bad);
            let refused = error(&world.frame(conn, &bad), "bob");
            assert_eq!(refused.error_code, code, "{shape}");
            assert!(refused.description.starts_with("payload.credential"), "{}", refused.description);
            assert!(!refused.description.contains(SECRET), "{}", refused.description);
        }
    }
}

#[test]
fn session_info_says_what_was_verified() {
    covers!("SEC-01", "SEC-15", "SEC-16", "HEL-10", "HEL-11", "D-020", "CAP-07");
    let mut world = World::with(config());
    let joined = join(&mut world, "bob");
    let told = info(&joined);
    assert_eq!(told.security_profile, SecurityProfile::Authenticated);
    assert_eq!(told.identity_verified, Some(true));
    assert_eq!(told.identity_method, Some(CredentialType::ApiKey));
    assert_eq!(told.identity_issuer.as_deref(), Some("https://id.example.org/"));
    assert!(joined[0].text.contains(r#""security_config":{"replay_window_sec":300}"#), "{}", joined[0].text);
    // The open profile takes anybody, and says of whom it knows more.
    let cases = [
        (None, Identity::Unproven, Some(false)),
        (Some(api_key()), Identity::Unproven, Some(false)),
        (Some(api_key()), proven("bob"), Some(true)),
    ];
    for (credential, identity, verified) in cases {
        let mut world = World::new();
        let joined = come(&mut world, "bob", 1, credential, identity);
        assert_eq!(info(&joined).security_profile, SecurityProfile::Open, "the default");
        assert_eq!(info(&joined).identity_verified, verified);
    }
    // Where somebody verifies, what is no good is refused.
    let rejected = Identity::Rejected { method: CredentialType::ApiKey };
    let refused = error(&come(&mut World::new(), "bob", 1, Some(api_key()), rejected), "bob");
    assert_eq!(refused.error_code, ErrorCode::CredentialRejected);
}

#[test]
fn who_is_proven_once_must_prove_again_when_it_is_over() {
    covers!("SEC-14");
    let mut world = World::with(config());
    let end = Timestamp::from_micros(world.now.micros() + 60_000_000);
    come(&mut world, "bob", 1, Some(api_key()), expiring("bob", end));
    world.wait(59.999);
    assert_eq!(heard(&world.announce("bob", "i", &["a"]), "bob"), ["INTENT_ANNOUNCE"]);
    world.wait(0.001);
    let refused = error(&world.announce("bob", "j", &["b"]), "bob");
    assert_eq!(refused.error_code, ErrorCode::CredentialRejected);
    assert_eq!(world.coordinator.view().intent(&intent("j")), None);
    let conn = world.people["bob"].0;
    world.frame(conn, r#"{"type":"SESSION_SUMMARY"}"#);
    assert!(last_answer(&world).contains("not authorized"));
    // The same credential does not help, a fresh one does.
    assert_eq!(error(&world.hello("bob"), "bob").error_code, ErrorCode::CredentialRejected);
    world.identities.insert(conn, proven("bob"));
    assert_eq!(heard(&world.hello("bob"), "bob"), ["SESSION_INFO"]);
    assert_eq!(heard(&world.announce("bob", "j", &["b"]), "bob"), ["INTENT_ANNOUNCE"]);
    // GOODBYE is heard at any time.
    world.identities.insert(conn, expiring("bob", Timestamp::from_micros(world.now.micros() + 1)));
    world.hello("bob");
    world.wait(1.0);
    assert_eq!(heard(&world.say("bob", Goodbye::new("user_exit".into())), "bob"), ["GOODBYE"]);
}

#[test]
fn the_newest_connection_that_proves_itself_wins() {
    covers!("HEL-14", "D-016");
    let mut world = court(&["bob"]);
    let old = world.people["bob"].0;
    // Nobody takes a name without proof.
    come(&mut world, "bob", 2, None, Identity::Unproven);
    assert_eq!(world.hung_up, []);
    assert_eq!(heard(&come(&mut world, "bob", 3, Some(api_key()), proven("bob")), "bob"), ["SESSION_INFO"]);
    assert_eq!(world.hung_up, [(old, 4001)]);
    world.input(Input::Disconnect { conn: old });
    assert_eq!(heard(&world.announce("bob", "i", &["x"]), "bob"), ["INTENT_ANNOUNCE"]);
}

#[test]
fn a_message_speaks_for_the_one_who_proved_who_it_is() {
    covers!("SEC-04", "SEC-05", "D-015", "D-017");
    let mut world = court(&["alice", "bob"]);
    world.announce("alice", "i", &["a"]);
    for name in ["alice", "service:coordinator-s"] {
        let withdraw = mpac_wire::payload::IntentWithdraw::new(intent("i"));
        let stamp = world.stamp();
        let mut envelope = world.people.get_mut("bob").unwrap().1.write(stamp, withdraw);
        envelope.sender.principal_id = name.parse().unwrap();
        let refused = error(&world.send("bob", &envelope), "bob");
        assert_eq!(refused.error_code, ErrorCode::AuthorizationFailed);
    }
    // Nor is it let in under the coordinator's name, whatever was proven.
    let name = "service:coordinator-s";
    let refused = error(&come(&mut world, name, 1, Some(api_key()), proven(name)), name);
    assert_eq!(refused.error_code, ErrorCode::AuthorizationFailed);
}

#[test]
fn roles_come_from_the_policy_and_the_credential_together() {
    covers!("ROL-02", "ROL-08", "ROL-10", "D-123", "GOV-12");
    let mut bare = crate::world::config();
    bare.security_profile = SecurityProfile::Authenticated;
    let now = Timestamp::parse(crate::world::START).unwrap();
    let open = |config: SessionConfig| Coordinator::new(config, IdSource::new(7), now).map(drop);
    assert_eq!(open(bare.clone()), Err(ConfigError::NoRolePolicy(SecurityProfile::Authenticated)));
    bare.credential_roles = CredentialRoles::Limit;
    let with = |roles: Option<&[Role]>| Identity::Proven {
        principal: "ada".parse().unwrap(),
        method: CredentialType::BearerToken,
        issuer: None,
        roles: roles.map(<[Role]>::to_vec),
        expires_at: None,
    };
    let joined = |config: &SessionConfig, kind: PrincipalType, roles: Option<&[Role]>| {
        let mut world = World::with(config.clone());
        let conn = world.connect("ada");
        world.identities.insert(conn, with(roles));
        let asked = [Role::Owner, Role::Arbiter];
        let mut ada = World::participant_with("ada", 1, &asked, Some(api_key()));
        let mut hello = ada.hello(world.stamp(), None);
        hello.sender.principal_type = kind;
        let answer = world.frame(conn, &hello.to_json());
        match &answer[0].message {
            Message::SessionInfo(info) => Ok(info.granted_roles.clone()),
            _ => Err(error(&answer, "ada").error_code),
        }
    };
    let human = PrincipalType::Human;
    assert_eq!(joined(&bare, human.clone(), Some(&[Role::Owner])), Ok(vec![Role::Owner]));
    assert_eq!(joined(&bare, human.clone(), None), Err(ErrorCode::AuthorizationFailed));
    assert_eq!(joined(&bare, human.clone(), Some(&[Role::Reviewer])), Err(ErrorCode::AuthorizationFailed));
    let all = [Role::Owner, Role::Arbiter];
    assert_eq!(joined(&bare, PrincipalType::Agent, Some(&all)), Ok(all.to_vec()));
    let both = config();
    // An agent is no arbiter unless the policy says that agents may be.
    assert_eq!(joined(&both, PrincipalType::Agent, Some(&all)), Ok(vec![Role::Owner]));
    assert_eq!(joined(&both, human.clone(), Some(&all)), Ok(all.to_vec()));
    assert_eq!(joined(&both, human.clone(), Some(&[Role::Arbiter])), Ok(vec![Role::Arbiter]));
    assert_eq!(joined(&both, human, Some(&[Role::Contributor])), Ok(vec![Role::Contributor]));
}

#[test]
fn what_is_judged_by_its_causes_says_what_its_sender_had_seen() {
    covers!("ENV-12", "GOV-08", "D-030");
    let messages: [Message; 3] = [
        commit_payload("o", None, "a.py", "one\n", "two\n").into(),
        mpac_wire::payload::ConflictReport::new(ConflictId::new("c").unwrap(), "x.y".into(), "low".into())
            .into(),
        mpac_wire::payload::Resolution::new(ConflictId::new("c").unwrap(), "approved".into()).into(),
    ];
    let without = |world: &mut World, message: Message| {
        let stamp = world.stamp();
        let mut envelope = world.people.get_mut("bob").unwrap().1.write(stamp, message);
        envelope.watermark = None;
        world.send("bob", &envelope)
    };
    for message in messages {
        let kind = message.message_type();
        let refused = error(&without(&mut court(&["bob"]), message), "bob");
        assert_eq!(refused.error_code, ErrorCode::MalformedMessage, "{kind}");
        assert!(refused.description.contains("watermark"), "{kind}: {}", refused.description);
    }
    // The open profile takes the commit, and the operator hears of it; a report must say it somewhere.
    let mut world = World::of(&["bob"]);
    world.announce("bob", "i", &["a.py"]);
    let commit = commit_payload("o", Some("i"), "a.py", "one\n", "two\n");
    assert_eq!(heard(&without(&mut world, commit.into()), "bob"), ["OP_COMMIT"]);
    let [remark] = &world.remarks()[..] else { panic!("{:?}", world.remarks()) };
    assert!(remark.to_string().starts_with("OP_COMMIT m"), "{remark}");
    let mut report =
        mpac_wire::payload::ConflictReport::new("c".parse().unwrap(), "x.y".into(), "low".into());
    report.related_intents = Some(vec![intent("i")]);
    let refused = error(&without(&mut world, report.clone().into()), "bob");
    assert_eq!(refused.error_code, ErrorCode::MalformedMessage);
    report.based_on_watermark = Some(mpac_wire::Watermark::lamport(1));
    assert_eq!(heard(&without(&mut world, report.into()), "bob"), ["CONFLICT_REPORT"]);
    assert_eq!(world.remarks().len(), 1);
}

/// The text of the sideband answer that the last input led to.
fn last_answer(world: &World) -> &str {
    let outputs = &world.steps.last().unwrap().outputs[..];
    let [mpac_core::Output::Answer { text, .. }] = outputs else { panic!("{outputs:?}") };
    text
}

#[test]
fn whoever_is_not_let_in_sees_nothing() {
    covers!("D-126", "OCC-15", "SEC-41", "PRV-02");
    let mut world = court(&["bob"]);
    let stranger = world.connect("eve");
    for (request, path) in [
        (r#"{"type":"FILE_LIST"}"#, ""),
        (r#"{"type":"FILE_READ","path":"a.py"}"#, "a.py"),
        (r#"{"type":"FILE_READ"}"#, ""),
        (r#"{"type":"SESSION_SUMMARY"}"#, ""),
    ] {
        world.frame(stranger, request);
        let refused = format!(r#"{{"type":"FILE_ERROR","path":"{path}","error":"not authorized"}}"#);
        assert_eq!(last_answer(&world), refused, "{request}");
        let friend = world.people["bob"].0;
        world.frame(friend, request);
        let outputs = &world.steps.last().unwrap().outputs;
        assert!(!format!("{outputs:?}").contains("not authorized"), "{request}");
    }
    // Whoever has left is a stranger again.
    world.say("bob", Goodbye::new("user_exit".into()));
    let conn = world.people["bob"].0;
    world.frame(conn, r#"{"type":"FILE_LIST"}"#);
    assert!(last_answer(&world).contains("not authorized"));
}

#[test]
fn scopes_of_several_kinds_have_names_in_common() {
    covers!("SCO-13");
    let mut world = court(&["bob"]);
    assert_eq!(heard(&world.announce("bob", "i", &["a"]), "bob"), ["INTENT_ANNOUNCE"]);
    let announce = |world: &mut World, id: &str, scope: Scope| {
        let stamp = world.stamp();
        let bob = &mut world.people.get_mut("bob").unwrap().1;
        let envelope: Envelope = bob.announce(stamp, intent(id), "o".to_owned(), scope, None);
        world.send("bob", &envelope)
    };
    let refused = error(&announce(&mut world, "j", Scope::tasks(["t"])), "bob");
    assert_eq!(refused.error_code, ErrorCode::MalformedMessage);
    assert!(refused.description.contains("canonical_uris"));
    let mut named = Scope::tasks(["t"]);
    named.canonical_uris = Some(vec!["resource://s/t".to_owned()]);
    assert_eq!(heard(&announce(&mut world, "j", named), "bob")[0], "INTENT_ANNOUNCE");
    // From here on every scope needs them, also when the first kind is over.
    world.withdraw("bob", "i");
    let refused = error(&announce(&mut world, "k", Scope::files(["b"])), "bob");
    assert_eq!(refused.error_code, ErrorCode::MalformedMessage);
    // In the open profile nobody asks.
    let mut open = World::of(&["bob"]);
    open.announce("bob", "i", &["a"]);
    assert_eq!(heard(&announce(&mut open, "j", Scope::tasks(["t"])), "bob")[0], "INTENT_ANNOUNCE");
}
