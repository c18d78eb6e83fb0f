//! Lists that do not fit into one answer.

use std::collections::BTreeSet;

use mpac_agent::agent::Announce;
use serde_json::json;

use super::super::Host;
use super::Model;

#[tokio::test]
async fn what_one_peer_fills_is_told_to_its_end_by_further_calls() {
    let host = Host::start(&["--rate-per-sec=1000000", "--rate-burst=1000000"]).await;
    let (eve, _events) = host.join("Eve").await;
    let mut files = vec!["a.py".to_owned()];
    for n in 0..70 {
        // Some are on the same file; each of those is in conflict with the others.
        let file = if n < 5 { "a.py".to_owned() } else { format!("{n}.py") };
        let own = (0..100).map(|more| format!("src/{n}/{more:020}.py")).chain([file.clone()]);
        eve.announce(Announce::files(&"flood ".repeat(100), own)).await.unwrap();
        files.extend((n >= 5).then_some(file));
    }
    let (ann, _events) = host.join("Ann").await;
    let hers = ann.announce(Announce::files("hers", ["b.py"])).await.unwrap().intent;
    let mut ben = Model::start(&host, "Ben").await;
    let (_, task) = ben.done("begin_task", json!({"objective": "his", "files": files})).await;

    let (text, _) = ben.done("get_file_state", json!({"path": "a.py"})).await;
    assert!(text.contains("more of these are not told here"), "{text}");
    for (tool, list, id, number) in
        [("who_is_working", "intents", "intent_id", 72), ("list_conflicts", "conflicts", "conflict_id", 80)]
    {
        let (mut ids, mut others, mut calls, mut asked) = (BTreeSet::new(), 0, 0, json!({}));
        loop {
            let (text, value) = ben.done(tool, asked).await;
            assert!(text.len() < 40_000 && value.to_string().len() < 50_000, "{}", text.len());
            assert!(!text.contains("Nobody") && !text.contains("No conflicts"), "{text}");
            let told = value[list].as_array().unwrap();
            ids.extend(told.iter().map(|it| it[id].to_string()));
            others += value["people"].as_array().map_or(0, Vec::len);
            calls += 1;
            let has_more = value["more"] == json!(true);
            assert_eq!(text.contains(&format!("after={}", value["cursor"])), has_more, "{text}");
            if !has_more {
                break;
            }
            asked = json!({"after": value["cursor"]});
        }
        assert!(ids.len() == number && calls > 1, "{} {calls}", ids.len());
        if list == "intents" {
            assert!(ids.contains(&json!(hers).to_string()) && ids.contains(&task["intent_id"].to_string()));
            assert_eq!(others, 2);
        }
    }
}
