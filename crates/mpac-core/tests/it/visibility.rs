//! What members see of others' work where the configuration limits them, by their roles (PRV-02, PRV-03).

use mpac_core::config::Sight;
use mpac_core::{ConfigError, Input, Notice, Output, Recipients, SessionConfig};
use mpac_wire::names::{Decision, Role, SecurityProfile};
use mpac_wire::payload::{Goodbye, IntentAnnounce, IntentWithdraw, Outcome, Resolution};
use mpac_wire::redact::BLANK;
use mpac_wire::{Message, Scope};

use crate::authenticated::{api_key, proven};
use crate::covers;
use crate::world::{Delivery, World, commit_payload, heard, intent};

/// Ada owns and sees everything, Rita reviews and sees no contents, Alice and Bob contribute and see no words, Olga only
/// looks on.
fn limited(mut config: SessionConfig) -> SessionConfig {
    let policy = r#"{"default_role":"contributor","role_assignments":
        {"ada":["owner"],"rita":["reviewer"],"olga":["observer"]}}"#;
    config.role_policy = Some(serde_json::from_str(policy).unwrap());
    config.visibility.by_role = [
        (Role::Reviewer, Sight::NoContents),
        (Role::Contributor, Sight::NoWords),
        (Role::Observer, Sight::Coordination),
    ]
    .into();
    config
}

fn world() -> World {
    court(limited(crate::authenticated::config()))
}

fn court(config: SessionConfig) -> World {
    let mut world = World::with(config);
    for (name, role) in [
        ("ada", Role::Owner),
        ("rita", Role::Reviewer),
        ("alice", Role::Contributor),
        ("bob", Role::Contributor),
        ("olga", Role::Observer),
    ] {
        let conn = world.connect(name);
        world.identities.insert(conn, proven(name));
        let participant = World::participant_with(name, 1, &[role], Some(api_key()));
        world.people.insert(name.to_owned(), (conn, participant));
        assert_eq!(heard(&world.hello(name), name), ["SESSION_INFO"]);
    }
    world
}

/// The objective that `who` was told of, in one message of this type.
fn objective(deliveries: &[Delivery], who: &str) -> Option<String> {
    deliveries.iter().filter(|it| it.to == who).find_map(|it| match &it.message {
        Message::IntentAnnounce(announce) => Some(announce.objective.clone()),
        Message::IntentUpdate(update) => update.objective.clone(),
        _ => None,
    })
}

#[test]
fn words_go_to_those_who_may_read_them_and_to_whoever_said_them() {
    covers!("PRV-02", "PRV-03");
    let mut world = world();
    let told = world.announce("alice", "i", &["a.py"]);
    for (who, expected) in [
        ("ada", "alice does i"),
        ("rita", "alice does i"),
        ("alice", "alice does i"),
        ("bob", BLANK),
        ("olga", BLANK),
    ] {
        assert_eq!(objective(&told, who).as_deref(), Some(expected), "{who}");
        assert_eq!(heard(&told, who), ["INTENT_ANNOUNCE"]);
    }
    // What the coordinator says of it as well: Alice falls silent.
    for who in ["ada", "rita", "bob", "olga"] {
        world.wait(20.0);
        world.say(who, mpac_wire::payload::Heartbeat::new("idle".into()));
    }
    let told = world.wait(20.0);
    for (who, expected) in
        [("ada", "[SUSPENDED: owner_unavailable] alice does i"), ("bob", BLANK), ("olga", BLANK)]
    {
        assert_eq!(objective(&told, who).as_deref(), Some(expected), "{who}");
    }
}

#[test]
fn operations_and_files_are_for_those_who_need_them() {
    covers!("PRV-02");
    let mut world = world();
    world.announce("alice", "i", &["a.py"]);
    let mut commit = commit_payload("o", Some("i"), "a.py", "one\n", "two\n");
    commit.summary = Some("what I did".to_owned());
    let told = world.say("alice", commit);
    let summary = |who: &str| {
        told.iter().filter(|it| it.to == who).find_map(|it| match &it.message {
            Message::OpCommit(commit) => commit.summary.clone(),
            _ => None,
        })
    };
    let seen = ["ada", "rita", "alice", "bob", "olga"].map(summary);
    let seen = seen.each_ref().map(Option::as_deref);
    assert_eq!(seen, [Some("what I did"), Some("what I did"), Some("what I did"), Some(BLANK), None]);
    let step = world.steps.last().unwrap();
    let updated = step.outputs.iter().find_map(|output| match output {
        Output::Notice(Notice::FileUpdated { to: Recipients::Only(to), .. }) => Some(to.clone()),
        _ => None,
    });
    let names: Vec<String> = updated.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["ada", "alice", "bob", "rita"], "a name of a file, and no content");
    for (who, list, read) in
        [("ada", true, true), ("rita", true, false), ("bob", true, false), ("olga", false, false)]
    {
        for (request, may) in
            [(r#"{"type":"FILE_LIST"}"#, list), (r#"{"type":"FILE_READ","path":"a.py"}"#, read)]
        {
            let conn = world.people[who].0;
            world.frame(conn, request);
            let answer = &world.steps.last().unwrap().outputs[0];
            match answer {
                Output::Workspace { .. } => assert!(may, "{who} {request}"),
                Output::Answer { text, .. } => {
                    assert!(
                        !may && text.contains("FILE_ERROR") && text.contains("not authorized"),
                        "{who} {text}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_summary_says_no_more_than_its_reader_may_see() {
    covers!("PRV-02", "PRV-03");
    let mut world = world();
    world.announce("alice", "i", &["a.py"]);
    for (who, words) in [("ada", true), ("rita", true), ("bob", false), ("olga", false)] {
        let conn = world.people[who].0;
        world.frame(conn, r#"{"type":"SESSION_SUMMARY"}"#);
        let Output::Answer { text, .. } = &world.steps.last().unwrap().outputs[0] else { panic!("{who}") };
        assert!(text.contains("\"i\""), "{who} sees the intent: {text}");
        assert_eq!(text.contains("alice does i"), words, "{who}: {text}");
    }
}

#[test]
fn whoever_leaves_hears_its_own_goodbye() {
    covers!("BYE-09", "D-056", "D-132", "PRV-02");
    let mut world = world();
    let told = world.say("alice", Goodbye::new("user_exit".into()));
    for who in ["ada", "alice", "bob", "olga", "rita"] {
        assert_eq!(heard(&told, who), ["GOODBYE"], "{who}");
    }
    let told = world.say("ada", Goodbye::new("user_exit".into()));
    assert_eq!(heard(&told, "alice"), [""; 0], "and nothing more");
}

#[test]
fn a_decision_that_is_told_again_is_told_in_no_more_words() {
    covers!("PRV-02", "HEL-18");
    let mut world = world();
    world.announce("alice", "i", &["a.py"]);
    world.announce("bob", "j", &["a.py"]);
    world.say("bob", commit_payload("o", Some("j"), "a.py", "one\n", "two\n"));
    let conn = world.people["bob"].0;
    world.input(Input::Disconnect { conn });
    let mut resolution = Resolution::new(world.conflict(), Decision::PolicyOverride);
    let mut outcome = Outcome::new();
    (outcome.rejected, outcome.rollback) = (Some(vec!["o".to_owned()]), Some("undo".to_owned()));
    (resolution.outcome, resolution.rationale) = (Some(outcome), Some("she was first".to_owned()));
    let rationale = |deliveries: &[Delivery], who: &str| {
        deliveries.iter().filter(|it| it.to == who).find_map(|it| match &it.message {
            Message::Resolution(resolution) => resolution.rationale.clone(),
            _ => None,
        })
    };
    let told = world.say("ada", resolution);
    assert_eq!(rationale(&told, "alice").as_deref(), Some(BLANK));
    world.reconnect("bob");
    assert_eq!(rationale(&world.hello("bob"), "bob").as_deref(), Some(BLANK));
}

#[test]
fn what_is_left_out_of_a_summary_takes_no_room_in_its_frame() {
    covers!("PRV-02", "D-134");
    let mut config = limited(crate::authenticated::config());
    config.limits.max_bytes = 3_000;
    let mut world = court(config);
    for id in ["i", "j"] {
        let announce = IntentAnnounce::new(intent(id), "long ".repeat(400), Scope::files([id]));
        assert_eq!(heard(&world.say("alice", announce), "alice"), ["INTENT_ANNOUNCE"]);
    }
    for (who, fits) in [("ada", false), ("rita", false), ("bob", true), ("olga", true)] {
        let conn = world.people[who].0;
        world.frame(conn, r#"{"type":"SESSION_SUMMARY"}"#);
        let Output::Answer { text, .. } = &world.steps.last().unwrap().outputs[0] else { panic!("{who}") };
        let is_summary = text.contains(r#""active_intent_count":2"#);
        assert_eq!((is_summary, text.contains("too large")), (fits, !fits), "{who}: {text}");
    }
}

#[test]
fn what_is_signed_is_shown_whole_or_not_at_all() {
    covers!("PRV-02", "D-128");
    let mut config = limited(crate::verified::config());
    config.visibility.by_role =
        [(Role::Contributor, Sight::NoWords), (Role::Owner, Sight::NoContents)].into();
    let mut world = World::with(config);
    for (name, n) in [("ada", 1), ("alice", 2), ("bob", 3)] {
        crate::verified::join(&mut world, name, n);
    }
    let told = world.announce("alice", "i", &["a.py"]);
    assert_eq!(objective(&told, "ada").as_deref(), Some("alice does i"));
    assert_eq!(heard(&told, "bob"), [""; 0], "it would not fit its signature");
    let told = world.say("alice", commit_payload("o", Some("i"), "a.py", "one\n", "two\n"));
    assert_eq!(heard(&told, "alice"), ["OP_COMMIT"]);
    assert_eq!(heard(&told, "ada"), [""; 0], "it holds a content");
    // What has nothing to leave out goes on as it came, and still fits.
    let told = world.say("alice", IntentWithdraw::new(intent("i")));
    let texts: Vec<&str> = told.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(
        (heard(&told, "bob"), heard(&told, "ada")),
        (vec!["INTENT_WITHDRAW i".to_owned()], vec!["INTENT_WITHDRAW i".to_owned()])
    );
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
}

#[test]
fn where_anybody_may_be_anybody_nothing_can_be_hidden() {
    covers!("PRV-02");
    let mut config = limited(crate::world::config());
    assert_eq!(config.validate(), Err(ConfigError::VisibleToAll));
    config.security_profile = SecurityProfile::Authenticated;
    assert_eq!(config.validate(), Ok(()));
    let visibility = &config.visibility;
    assert_eq!(visibility.of(&[Role::Observer, Role::Contributor]), Sight::NoWords, "the better of the two");
    assert_eq!(
        visibility.of(&[Role::Participant, Role::Observer]),
        Sight::Coordination,
        "the one that is listed"
    );
    assert_eq!(visibility.of(&[Role::Arbiter]), Sight::Everything);
}
