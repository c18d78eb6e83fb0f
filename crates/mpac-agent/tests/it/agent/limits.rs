//! Servers that take so many messages at a time.

use mpac_agent::agent::Event;

use super::{Host, heard, patiently};

#[tokio::test]
async fn who_is_hung_up_on_for_its_pace_comes_back_and_goes_on() {
    let host = Host::start(&["--rate-per-sec=20", "--rate-burst=40"]).await;
    let (ann, mut events) = host.join("Ann").await;
    patiently(async {
        for _ in 0..60 {
            assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "old\n");
        }
    })
    .await;
    let why = heard(&mut events, |event| match event {
        Event::ConnectionLost { why, .. } => Some(why),
        _ => None,
    });
    let why = why.await;
    assert!(why.contains("too many messages"), "{why}");
}
