//! The shared files of a driven session.

use mpac_wire::StateRef;
use serde_json::{Value, json};

use crate::covers;
use crate::drive_rig::{Drive, brief};

fn commit(op: &str, before: &str, after: &str) -> Value {
    json!({
        "op_id": op, "target": "a.py", "op_kind": "replace",
        "state_ref_before": StateRef::of(before).as_str(), "state_ref_after": StateRef::of(after).as_str(),
        "file_changes": {"a.py": {"content": after, "state_ref_before": StateRef::of(before).as_str()}},
    })
}

fn sideband(drive: &mut Drive, request: Value) -> Value {
    let out = drive.out(9.0, "message", json!({"envelope": request}));
    assert_eq!(out.len(), 1, "{out:?}");
    assert_eq!((&out[0]["to"], &out[0]["kind"]), (&json!("sender"), &json!("sideband")));
    out[0]["message"].clone()
}

#[test]
fn files_are_listed_read_and_updated_by_commits() {
    covers!("OCC-07", "SRV-06", "SRV-11", "D-091");
    let mut drive = Drive::open(json!({"workspace": {"b.py": "", "a.py": "one\n"}}));
    drive.hello(0.0, "ann");
    let stale = brief(&drive.say(1.0, "ann", "OP_COMMIT", commit("op-0", "zero\n", "two\n")));
    assert_eq!(stale, ["sender coordinator PROTOCOL_ERROR STALE_STATE_REF"]);
    let out = drive.say(2.0, "ann", "OP_COMMIT", commit("op-1", "one\n", "two\n"));
    assert_eq!(brief(&out), ["all relay OP_COMMIT", "all sideband FILE_UPDATED"]);
    let news = json!({
        "type": "FILE_UPDATED", "path": "a.py", "state_ref": StateRef::of("two\n").as_str(), "updated_by": "ann",
    });
    assert_eq!(out[1]["message"], news);
    assert!(out[0]["envelope"]["payload"].get("file_changes").is_none());
    let list = sideband(&mut drive, json!({"type": "FILE_LIST"}));
    let entry = |path: &str, content: &str| json!({"path": path, "state_ref": StateRef::of(content).as_str(), "size": content.len()});
    assert_eq!(list["files"], json!([entry("a.py", "two\n"), entry("b.py", "")]));
    let read = sideband(&mut drive, json!({"type": "FILE_READ", "path": "a.py"}));
    assert_eq!((&read["type"], &read["content"]), (&json!("FILE_CONTENT"), &json!("two\n")));
    let missing = sideband(&mut drive, json!({"type": "FILE_READ", "path": "../a.py"}));
    assert_eq!(missing["error"], "File not found");
    let summary = sideband(&mut drive, json!({"type": "SESSION_SUMMARY"}));
    assert_eq!(summary["session"]["participant_count"], 1);
}

#[test]
fn who_shares_no_files_hears_of_none_but_can_read_what_was_committed() {
    let mut drive = Drive::open(json!({}));
    drive.hello(0.0, "ann");
    let out = drive.say(1.0, "ann", "OP_COMMIT", commit("op-1", "", "two\n"));
    assert_eq!(brief(&out), ["all relay OP_COMMIT"]);
    let read = sideband(&mut drive, json!({"type": "FILE_READ", "path": "a.py"}));
    assert_eq!(read["content"], "two\n");
}

#[test]
fn a_session_that_opens_with_its_first_hello_has_nothing_to_show_before() {
    let mut drive = Drive::open(json!({"workspace": {"a.py": "one\n"}, "opens_with_hello": true}));
    assert_eq!(sideband(&mut drive, json!({"type": "FILE_LIST"}))["files"], json!([]));
    assert_eq!(
        sideband(&mut drive, json!({"type": "SESSION_SUMMARY"}))["session"]["error"],
        "session_not_found"
    );
    drive.hello(9.0, "ann");
    assert_eq!(sideband(&mut drive, json!({"type": "FILE_LIST"}))["files"][0]["path"], "a.py");
}
