//! What a role sees, at the sockets.

use serde_json::json;

use super::{api_key, command, place, secret, server};
use crate::covers;

#[tokio::test]
async fn an_observer_sees_who_is_at_work_and_not_on_what_words() {
    covers!("PRV-02");
    let dir = place();
    let shop = place();
    std::fs::write(shop.path().join("a.py"), "print(1)\n").unwrap();
    let key =
        |who: &str, role: &str| secret(&command(dir.path(), &["token", "add", who, "--role", role]).unwrap());
    let (ann, olga) = (key("ann", "contributor"), key("olga", "observer"));
    let workspace = format!("--workspace={}", shop.path().display());
    let config = r#"--session-config={"visibility": {"observer": "coordination"}}"#;
    let host = server(dir.path(), &[&workspace, config]).await;
    let mut ann_s = host.connect("/").await.counts_anew();
    ann_s.hello_with("agent:ann", api_key(&ann)).await;
    let mut olga_s = host.connect("/").await.counts_anew();
    olga_s.who = "agent:olga".to_owned();
    let hello =
        json!({"display_name": "o", "roles": ["observer"], "capabilities": [], "credential": api_key(&olga)});
    olga_s.say("HELLO", hello).await;
    assert_eq!(olga_s.next().await["message_type"], "SESSION_INFO");
    ann_s.announce("i", "a.py").await;
    assert_eq!(ann_s.until("INTENT_ANNOUNCE").await["payload"]["objective"], "work");
    let seen = olga_s.until("INTENT_ANNOUNCE").await;
    assert_eq!(
        (&seen["payload"]["objective"], &seen["payload"]["intent_id"]),
        (&json!("[redacted]"), &json!("i"))
    );
    for request in ["FILE_LIST", "FILE_READ"] {
        for (client, kind) in [(&mut ann_s, "FILE_"), (&mut olga_s, "FILE_ERROR")] {
            client.send(json!({"type": request, "path": "a.py"}).to_string()).await;
            let answer = client.next().await;
            let told = answer["type"].as_str().unwrap();
            assert!(told.starts_with(kind) && (kind == "FILE_ERROR") == (told == "FILE_ERROR"), "{answer}");
        }
    }
}
