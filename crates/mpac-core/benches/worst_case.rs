//! What the most expensive single messages cost that the limits let through, and those they do not.
//!
//! `cargo bench -p mpac-core --bench worst_case` prints a table; each row is the slowest of a few fresh sessions. Fails
//! when a message holds the session up for longer than the limit.

#[path = "load/session.rs"]
mod session;

use std::hint::black_box;
use std::time::{Duration, Instant};

use session::{Session, announce, commit, config, files_scope, withdraw};

/// No message may take longer.
const LIMIT: Duration = Duration::from_secs(1);
/// Fresh sessions for each row.
const ROUNDS: usize = 3;

/// A message after what makes it expensive: prepares a session, and gives the sender and the frame.
type Case = fn() -> (Session, usize, String);

const CASES: [(&str, Case); 43] = [
    ("announce 10,000 files", || announced(Session::new(config(), 2), &files_scope(&files("a", 10_000)))),
    ("announce 10,000 files that one other intent has", || {
        announced(beside(1, &files_scope(&files("a", 10_000))), &files_scope(&files("a", 10_000)))
    }),
    ("announce 10,000 files, 1,000 other intents have one each", || {
        announced(each_one_file(1_000), &files_scope(&files("a", 10_000)))
    }),
    ("withdraw an intent of 1,000 conflicts", || {
        let (mut session, who, text) = announced(each_one_file(1_000), &files_scope(&files("a", 10_000)));
        session.take(who, &text).outputs.clear();
        let text = session.frame(who, "INTENT_WITHDRAW", &withdraw("new"));
        (session, who, text)
    }),
    ("update 10,000 files to 10,000 others", || {
        let mut session = each_one_file(1_000);
        session.say(1, "INTENT_ANNOUNCE", &announce("new", &files_scope(&files("b", 10_000))));
        let payload = format!(r#"{{"intent_id":"new","scope":{}}}"#, files_scope(&files("a", 10_000)));
        let text = session.frame(1, "INTENT_UPDATE", &payload);
        (session, 1, text)
    }),
    ("update that meets 1,000 open conflicts again", || {
        let (mut session, who, text) = announced(each_one_file(1_000), &files_scope(&files("a", 10_000)));
        session.take(who, &text).outputs.clear();
        // Patterns grow in whole: every file is met again.
        let payload = r#"{"intent_id":"new","scope":{"kind":"resource_path","pattern":"a/**"}}"#;
        let text = session.frame(who, "INTENT_UPDATE", payload);
        (session, who, text)
    }),
    ("announce 10,000 files beside a frozen scope of 10,000", || {
        announced(frozen(&files_scope(&files("a", 10_000))), &files_scope(&files("a", 9_999)))
    }),
    ("heartbeat after which 500 freezes end, 10,000 commits", || {
        let mut session = session_that_freezes();
        for n in 0..500 {
            freeze(&mut session, n, &files_scope(&files(&format!("f{n}"), 1)));
        }
        for n in 0..10_000 {
            session.say(1, "OP_COMMIT", &commit(&format!("op{n}"), &format!("x{}", n % 500), "a", n, n + 1));
        }
        for seconds in [310, 70] {
            session.tick = seconds * 1_000_000;
            session.say(0, "HEARTBEAT", r#"{"status":"idle"}"#);
        }
        session.tick = 400_000_000;
        let text = session.frame(0, "HEARTBEAT", r#"{"status":"idle"}"#);
        (session, 0, text)
    }),
    ("withdraw one of 200 that 5,000 deferrals wait for", || {
        let mut config = config();
        config.level = mpac_core::ProtocolLevel::V0_1_14;
        let mut session = Session::new(config, 60);
        session.announce(0, "i", &files("a", 1));
        session.announce(1, "last", &files("b", 1));
        let gone = (0..198).map(|n| format!("gone-{n}"));
        let observed =
            list(&["i".to_owned()].into_iter().chain(gone).chain(["last".to_owned()]).collect::<Vec<_>>());
        for n in 0..5_000 {
            let payload = format!(
                r#"{{"deferral_id":"d{n}","scope":{},"observed_intent_ids":{observed}}}"#,
                files_scope(&files("a", 1))
            );
            session.say(10 + n % 50, "INTENT_DEFERRED", &payload);
        }
        let text = session.frame(0, "INTENT_WITHDRAW", &withdraw("i"));
        (session, 0, text)
    }),
    ("announce 10,000 files beside 100 frozen scopes of 100", || {
        let mut session = session_that_freezes();
        for n in 0..100 {
            freeze(&mut session, n, &files_scope(&files(&format!("f{n}"), 100)));
        }
        session.tick = 400_000_000;
        announced(session, &files_scope(&files("a", 10_000)))
    }),
    ("heartbeat with which 1,035 freezes of 10,000 files begin", || {
        let mut session = about_to_freeze();
        let text = session.frame(1, "HEARTBEAT", r#"{"status":"idle"}"#);
        (session, 1, text)
    }),
    ("batch of 1,000 beside 1,035 freezes of 10,000 files", || {
        let mut session = all_frozen();
        session.announce(1, "new", &files("a", 1_000));
        let text = session.frame(1, "OP_BATCH_COMMIT", &batch_payload("best_effort", "new", 0));
        (session, 1, text)
    }),
    ("announce 10,000 files, all but one frozen 1,035 times", || {
        announced(all_frozen(), &files_scope(&[files("f", 9_999), files("a", 1)].concat()))
    }),
    ("claim 10,000 files of 10,000", claimed),
    ("announce `**` 170 times beside 100 like it", || {
        let deep = |n: usize| pattern(&format!("{}/{n:03}", vec!["**"; 165].join("/")));
        announced(many(100, deep), &deep(0))
    }),
    ("announce `*a*a...` beside 100 like it", || {
        let stars = |n: usize| pattern(&format!("{}{n}", "*a".repeat(250)));
        announced(many(100, stars), &stars(0))
    }),
    ("announce `*a*a...` beside 3,000 long names", || {
        announced(beside(1, &files_scope(&long_names(3_000))), &pattern(&format!("{}b", "*a".repeat(250))))
    }),
    ("announce 3,000 long names beside 100 `*a*a...`", || {
        announced(
            many(100, |n| pattern(&format!("{}{n}", "*a".repeat(250)))),
            &files_scope(&long_names(3_000)),
        )
    }),
    ("announce 3,000 long names beside 100 `**/*a*a.../**`", || {
        let stars = |n: usize| pattern(&format!("**/{}{n}/**", "*a".repeat(245)));
        announced(many(100, stars), &files_scope(&long_names(3_000)))
    }),
    ("announce a folder beside 10,000 other intents", || announced(each_one_file(10_000), &pattern("zz/**"))),
    ("announce 10,000 symbols that 10,000 others use", || symbols("s.f", "t.f")),
    ("announce 10,000 symbols of one name", || symbols("f", "f")),
    ("batch of 1,000 beside 10,000 files, with a registry", || {
        let mut config = config();
        let text = r#"{"mappings":[{"canonical_uri":"r:x","aliases":[{"kind":"file_set","value":"x"}]}]}"#;
        config.resource_registry = serde_json::from_str(text).ok();
        let mut session = Session::new(config, 2);
        session.announce(1, "new", &files("b", 10_000));
        let text = session.frame(1, "OP_BATCH_COMMIT", &batch_payload("best_effort", "new", 9));
        (session, 1, text)
    }),
    ("announce 8,000 symbols that each of 8,000 files uses", || reaching(1, 8_000, "f")),
    ("announce 8,000 symbols and files, 1,000 intents need them", || reaching(1_000, 8_000, "g")),
    ("announce 10,000 files beside 100 that depend on them", || {
        let mut session = Session::new(config(), 2);
        for n in 0..100 {
            let scope = format!(
                r#"{{"kind":"file_set","resources":["x{n}"],"extensions":{{"impact":{}}}}}"#,
                list(&files("a", 1_000))
            );
            session.say(0, "INTENT_ANNOUNCE", &announce(&format!("i{n}"), &scope));
        }
        let impact = list(&(0..100).map(|n| format!("x{n}")).collect::<Vec<_>>());
        let scope = format!(
            r#"{{"kind":"file_set","resources":{},"extensions":{{"impact":{impact}}}}}"#,
            list(&files("a", 10_000))
        );
        announced(session, &scope)
    }),
    ("batch of 1,000 entries", || batch("all_or_nothing", 0)),
    ("batch of 1,000 stale entries", || batch("best_effort", 7)),
    ("batch of 1,000 entries beside 1,000 conflicts", || {
        let (mut session, who, text) = announced(each_one_file(1_000), &files_scope(&files("a", 10_000)));
        session.take(who, &text).outputs.clear();
        let text = session.frame(who, "OP_BATCH_COMMIT", &batch_payload("best_effort", "new", 0));
        (session, who, text)
    }),
    ("commit with a content of 1 MB", || {
        let mut session = Session::new(config(), 2);
        let content = "x".repeat(1_000_000);
        let changes = format!(r#"{{"other":{{"content":"{content}","state_ref_before":"sha256:0"}}}}"#);
        let text = session.frame(1, "OP_COMMIT", &with_changes(&changes));
        (session, 1, text)
    }),
    ("commit with 9,000 files", || {
        let mut session = Session::new(config(), 2);
        let file = |n| format!(r#""a/{n}":{{"content":"{n}","state_ref_before":"sha256:0"}}"#);
        let changes = format!("{{{}}}", (0..9_000).map(file).collect::<Vec<_>>().join(","));
        let text = session.frame(1, "OP_COMMIT", &with_changes(&changes));
        (session, 1, text)
    }),
    ("commit 10,000 after others in an open conflict", || {
        let mut session = beside(1, &files_scope(&files("a", 1)));
        session.say(1, "INTENT_ANNOUNCE", &announce("new", &files_scope(&files("a", 1))));
        for n in 0..10_000 {
            session.say(1, "OP_COMMIT", &commit(&format!("op{n}"), "new", "a/0", n, n + 1));
        }
        let text = session.frame(1, "OP_COMMIT", &commit("last", "new", "a/0", 10_000, 10_001));
        (session, 1, text)
    }),
    ("report on 9,000 intents", || {
        let mut session = each_one_file(9_000);
        let ids = list(&(0..9_000).map(|n| format!("i{n}")).collect::<Vec<_>>());
        let payload = format!(
            r#"{{"conflict_id":"c","category":"scope_overlap","severity":"low","related_intents":{ids}}}"#
        );
        let text = session.frame(1, "CONFLICT_REPORT", &payload);
        (session, 1, text)
    }),
    ("report naming somebody with 1,000 intents 9,000 times", || {
        let mut session = each_one_file(1_000);
        let names = list(&vec![String::from("agent:p0"); 9_000]);
        let payload = format!(
            r#"{{"conflict_id":"c","category":"scope_overlap","severity":"low","involved_principals":{names},"scope_a":{}}}"#,
            files_scope(&["none".into()])
        );
        let text = session.frame(1, "CONFLICT_REPORT", &payload);
        (session, 1, text)
    }),
    ("report on a pattern beside 1,000 patterns", || reported(&"**/*/".repeat(102))),
    ("report on a pattern of 1 MB beside 1,000 (refused)", || reported(&"**/*/".repeat(200_000))),
    ("resolution with 9,000 ids", || {
        let mut session = each_one_file(9_000);
        let ids = list(&(0..9_000).map(|n| format!("i{n}")).collect::<Vec<_>>());
        let payload = format!(
            r#"{{"conflict_id":"c","category":"scope_overlap","severity":"low","related_intents":{ids}}}"#
        );
        session.say(0, "CONFLICT_REPORT", &payload);
        session.join_as_owner();
        let payload =
            format!(r#"{{"conflict_id":"c","decision":"approved","outcome":{{"rejected":{ids}}}}}"#);
        let owner = session.members() - 1;
        let text = session.frame(owner, "RESOLUTION", &payload);
        (session, owner, text)
    }),
    ("resolution that names one of 9,000 operations 20,000 times", || {
        let mut session = Session::new(config(), 2);
        for n in 0..9_000 {
            session.say(1, "OP_COMMIT", &commit(&format!("op{n}"), "none", "a", n, n + 1));
        }
        let ops = list(&(0..9_000).map(|n| format!("op{n}")).collect::<Vec<_>>());
        let payload = format!(
            r#"{{"conflict_id":"c","category":"scope_overlap","severity":"low","related_ops":{ops}}}"#
        );
        session.say(0, "CONFLICT_REPORT", &payload);
        session.join_as_owner();
        let last = list(&vec![String::from("op8999"); 10_000]);
        // Refused in the end, so that it can be sent again and again.
        let outcome = format!(r#"{{"accepted":{last},"merged":{last},"rejected":["nobody"]}}"#);
        let payload = format!(r#"{{"conflict_id":"c","decision":"approved","outcome":{outcome}}}"#);
        let owner = session.members() - 1;
        let text = session.frame(owner, "RESOLUTION", &payload);
        (session, owner, text)
    }),
    ("ids of 256 bytes", || {
        let mut session = Session::new(config(), 2);
        let payload = announce(&"i".repeat(256), &files_scope(&files("a", 1)));
        let text = session.frame(1, "INTENT_ANNOUNCE", &payload);
        (session, 1, text)
    }),
    ("an id of 1 MB (refused)", || {
        let mut session = Session::new(config(), 2);
        let payload = announce(&"i".repeat(1_000_000), &files_scope(&files("a", 1)));
        let text = session.frame(1, "INTENT_ANNOUNCE", &payload);
        (session, 1, text)
    }),
    ("1 MB of brackets (refused)", || (Session::new(config(), 2), 1, "[".repeat(1_000_000))),
    ("120 levels, 4,000 of them beside each other", || {
        let mut session = Session::new(config(), 2);
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        let payload = format!(r#"{{"status":"idle","x":[{}]}}"#, vec![deep.as_str(); 4_000].join(","));
        let text = session.frame(1, "HEARTBEAT", &payload);
        (session, 1, text)
    }),
    ("a summary of 10,000 intents", || {
        (each_one_file(10_000), 1, r#"{"type":"SESSION_SUMMARY","session_id":"s"}"#.into())
    }),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    println!("{:<56} {:>9} {:>11} {:>8}", "one message", "bytes", "worst ms", "outputs");
    let mut slow = Vec::new();
    for (name, case) in CASES {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part)) {
            continue;
        }
        let mut worst = Duration::ZERO;
        let (mut bytes, mut outputs) = (0, 0);
        for _ in 0..ROUNDS {
            let (mut session, who, text) = case();
            bytes = text.len();
            let begin = Instant::now();
            let step = black_box(session.take(who, &text));
            worst = worst.max(begin.elapsed());
            outputs = step.outputs.len();
        }
        println!("{name:<56} {bytes:>9} {:>11.3} {outputs:>8}", worst.as_secs_f64() * 1e3);
        if worst > LIMIT {
            slow.push(name);
        }
    }
    assert!(slow.is_empty(), "longer than {LIMIT:?}: {slow:?}");
}

fn files(folder: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{folder}/{n}")).collect()
}

/// Names that nearly match a pattern of stars.
fn long_names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{}{n}", "a".repeat(300))).collect()
}

fn list(names: &[String]) -> String {
    serde_json::to_string(names).unwrap_or_default()
}

fn pattern(text: &str) -> String {
    format!(r#"{{"kind":"resource_path","pattern":"{text}"}}"#)
}

/// The second participant announces this scope.
fn announced(mut session: Session, scope: &str) -> (Session, usize, String) {
    let text = session.frame(1, "INTENT_ANNOUNCE", &announce("new", scope));
    (session, 1, text)
}

/// The first participant has `count` intents of this scope.
fn beside(count: usize, scope: &str) -> Session {
    many(count, |_| scope.to_owned())
}

fn many(count: usize, scope: impl Fn(usize) -> String) -> Session {
    let mut session = Session::new(config(), 2);
    for n in 0..count {
        session.say(0, "INTENT_ANNOUNCE", &announce(&format!("i{n}"), &scope(n)));
    }
    session
}

/// A report without ids, on a pattern, to which the intents are looked for: 1,000 with a pattern as long as it may be.
fn reported(asked: &str) -> (Session, usize, String) {
    let mut session = many(1_000, |n| pattern(&format!("p{n:03}/**/{}", "a/**/".repeat(100))));
    let payload = format!(
        r#"{{"conflict_id":"c","category":"scope_overlap","severity":"low","involved_principals":["nobody"],"scope_a":{}}}"#,
        pattern(asked)
    );
    let text = session.frame(1, "CONFLICT_REPORT", &payload);
    (session, 1, text)
}

fn each_one_file(count: usize) -> Session {
    let mut session = Session::new(config(), 2);
    for n in 0..count {
        session.announce(0, &format!("i{n}"), &[format!("a/{n}")]);
    }
    session
}

fn session_that_freezes() -> Session {
    let mut config = config();
    config.governance.resolution_timeout_sec = Some(mpac_wire::Seconds::whole(300));
    config.liveness.unavailability_timeout_sec = Some(mpac_wire::Seconds::whole(1_000_000));
    Session::new(config, 2)
}

/// Two intents on one scope, whose conflict freezes with the next message but these.
fn freeze(session: &mut Session, n: usize, scope: &str) {
    session.say(0, "INTENT_ANNOUNCE", &announce(&format!("x{n}"), scope));
    session.say(1, "INTENT_ANNOUNCE", &announce(&format!("y{n}"), scope));
}

fn frozen(scope: &str) -> Session {
    let mut session = session_that_freezes();
    freeze(&mut session, 0, scope);
    session.tick = 310_000_000;
    session.say(0, "HEARTBEAT", r#"{"status":"idle"}"#);
    session.tick = 10;
    session
}

/// 46 intents of one participant on 10,000 files each, in another spelling: 1,035 conflicts, which freeze with the next message.
fn about_to_freeze() -> Session {
    let mut session = session_that_freezes();
    let names: Vec<String> = (0..10_000).map(|n| format!("./f//{n}")).collect();
    for n in 0..46 {
        session.announce(0, &format!("x{n}"), &names);
    }
    session.tick = 310_000_000;
    session
}

fn all_frozen() -> Session {
    let mut session = about_to_freeze();
    session.say(1, "HEARTBEAT", r#"{"status":"idle"}"#);
    session.tick = 10;
    session
}

fn claimed() -> (Session, usize, String) {
    let mut session = beside(1, &files_scope(&files("a", 10_000)));
    session.say(0, "GOODBYE", r#"{"reason":"user_exit","intent_disposition":"transfer"}"#);
    let payload = format!(
        r#"{{"claim_id":"c","original_intent_id":"i0","original_principal_id":"agent:p0","new_intent_id":"new","objective":"o","scope":{}}}"#,
        files_scope(&files("a", 10_000))
    );
    let text = session.frame(1, "INTENT_CLAIM", &payload);
    (session, 1, text)
}

/// An intent whose file another one affects, with as many symbols on both sides as a list may have.
fn symbols(affected: &str, used: &str) -> (Session, usize, String) {
    let mut session = Session::new(config(), 2);
    let names = |module: &str| list(&(0..10_000).map(|n| format!("m{n}.{module}")).collect::<Vec<_>>());
    session.announce(0, "other", &["b".into()]);
    let scope = format!(
        r#"{{"kind":"file_set","resources":["a"],"extensions":{{"impact":["b"],"affects_symbols":{},"impact_symbols":{{"b":{}}}}}}}"#,
        names(affected),
        names(used)
    );
    let text = session.frame(1, "INTENT_ANNOUNCE", &announce("new", &scope));
    (session, 1, text)
}

/// `others` intents that share out what another one reaches, and need one of the symbols that it affects; each of its files
/// uses another one.
fn reaching(others: usize, count: usize, used: &str) -> (Session, usize, String) {
    let reached = files("b", count);
    let mut session = many(others, |n| {
        let own: Vec<String> = reached.iter().skip(n).step_by(others).cloned().collect();
        let scope = files_scope(&own);
        format!(r#"{},"extensions":{{"depends_on_symbols":["f"]}}}}"#, scope.trim_end_matches('}'))
    });
    let affected: Vec<String> = (0..count).map(|n| format!("m{n}.f")).collect();
    let used: Vec<String> = reached.iter().map(|file| format!(r#""{file}":["{used}"]"#)).collect();
    let scope = format!(
        r#"{{"kind":"file_set","resources":["a"],"extensions":{{"impact":{},"affects_symbols":{},"impact_symbols":{{{}}}}}}}"#,
        list(&reached),
        list(&affected),
        used.join(",")
    );
    let text = session.frame(1, "INTENT_ANNOUNCE", &announce("new", &scope));
    (session, 1, text)
}

fn batch_payload(atomicity: &str, intent: &str, before: u64) -> String {
    let entry = |n| {
        format!(
            r#"{{"op_id":"op{n}","target":"a/{n}","op_kind":"replace","state_ref_before":"sha256:{before:016x}","state_ref_after":"sha256:{n:016x}"}}"#
        )
    };
    format!(
        r#"{{"batch_id":"b-{intent}","atomicity":"{atomicity}","intent_id":"{intent}","operations":[{}]}}"#,
        (0..1_000).map(entry).collect::<Vec<_>>().join(",")
    )
}

fn batch(atomicity: &str, before: u64) -> (Session, usize, String) {
    let mut session = Session::new(config(), 2);
    session.announce(1, "new", &files("a", 1_000));
    for n in 0..1_000 {
        session.say(1, "OP_COMMIT", &commit(&format!("first{n}"), "new", &format!("a/{n}"), 9, 0));
    }
    let text = session.frame(1, "OP_BATCH_COMMIT", &batch_payload(atomicity, "new", before));
    (session, 1, text)
}

fn with_changes(changes: &str) -> String {
    let mut payload = commit("op", "none", "a", 0, 1);
    payload.truncate(payload.len() - 1);
    format!(r#"{payload},"file_changes":{changes}}}"#)
}
