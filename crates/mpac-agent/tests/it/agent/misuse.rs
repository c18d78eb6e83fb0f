//! What a verb is asked for and should not do, and says so before it is done.

use clap::Parser;
use mpac_ws::cli::close::Close;
use serde_json::Value;

use super::Host;
use super::program::{local, run, told};
use crate::covers;

#[tokio::test]
async fn a_commit_goes_under_an_own_live_intent_on_its_files_or_not_at_all() {
    covers!("INT-01", "D-093");
    let host = Host::start(&["--protocol-level=0.1.15"]).await;
    let mut intents = Vec::new();
    for (name, file) in [("Ann", "a.py"), ("Bob", "b.py"), ("Bob", "c.py")] {
        let (_, announced) = told(&host, name, &["announce", file, "-m", "mend it"]).await;
        intents.push(announced["intent_id"].as_str().unwrap().to_owned());
    }
    let [hers, his, over] = &intents[..] else { panic!("{intents:?}") };
    assert_eq!(told(&host, "Bob", &["withdraw", over]).await.0, Some(0));
    let (_file, path) = local("new\n");
    let pair = format!("a.py={path}");
    for intent in ["nope", hers, his, over] {
        for verb in [&["commit", "a.py", "--from", &path][..], &["batch", &pair]] {
            let (code, refused) = told(&host, "Bob", &[verb, &["--intent", intent]].concat()).await;
            assert_eq!(code, Some(2), "{intent}: {refused}");
            assert!(refused["message"].as_str().unwrap().contains(intent), "{refused}");
        }
    }
    assert_eq!(told(&host, "Ann", &["cat", "a.py"]).await.1["content"], "old\n");
    let (code, done) = told(&host, "Bob", &["commit", "b.py", "--from", &path, "--intent", his]).await;
    assert_eq!((code, &done["committed"][0]["path"]), (Some(0), &"b.py".into()), "{done}");
}

#[tokio::test]
async fn a_file_is_in_a_batch_once_whatever_its_texts_are() {
    let host = Host::start(&[]).await;
    let ((_old, old), (_new, new)) = (local("old\n"), local("new\n"));
    for texts in [[&old, &new], [&new, &old]] {
        let pairs = [format!("b.py={}", texts[0]), format!("./b.py={}", texts[1])];
        let (code, refused) = told(&host, "Bob", &["batch", &pairs[0], &pairs[1]]).await;
        assert!(code == Some(2) && refused["message"].as_str().unwrap().contains("b.py"), "{refused}");
    }
    assert_eq!(told(&host, "Bob", &["cat", "b.py"]).await.1["content"], "old\n");
}

/// The options of `close` alone.
#[derive(Debug, Parser)]
struct Closing {
    #[command(flatten)]
    close: Close,
}

#[tokio::test]
async fn in_a_closed_session_there_is_no_session() {
    covers!("SES-14");
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let host = Host::start(&["--data-dir", data]).await;
    let _held = host.join("Ann").await;
    let closing = Closing::try_parse_from(["close", "--data-dir", data, "--session", "default"]).unwrap();
    let said = mpac_ws::close::run(&closing.close).await.unwrap();
    assert!(said.contains("start"), "who closes it is told the way on: {said}");
    let (code, refused) = told(&host, "Bob", &["who"]).await;
    assert_eq!((code, &refused["exit_code"]), (Some(5), &Value::from(5)), "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("closed") && message.contains("start"), "{message}");
}

#[tokio::test]
async fn what_no_coordinator_would_keep_is_not_announced() {
    covers!("OCC-08");
    let host = Host::start(&[]).await;
    for path in ["../y", "sub/../a.py", "/abs/a.py", "./", "a\\b"] {
        assert_eq!(run(&host, "Bob", &["announce", path, "-m", "mend it"]).await.0, Some(2), "{path}");
        assert_eq!(run(&host, "Bob", &["update", "i", "--file", path]).await.0, Some(2), "{path}");
        assert_eq!(run(&host, "Bob", &["claim", "i", "--file", path]).await.0, Some(2), "{path}");
    }
    assert_eq!(run(&host, "Bob", &["announce", "a.py", "-m", " "]).await.0, Some(2));
    assert_eq!(run(&host, "Bob", &["update", "i", "-m", ""]).await.0, Some(2));
    assert_eq!(run(&host, "Bob", &["claim", "i", "-m", " "]).await.0, Some(2));
    assert_eq!(told(&host, "Ann", &["who"]).await.1["intents"], Value::Array(Vec::new()));
}
