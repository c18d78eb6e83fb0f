//! What a verb is asked for and should not do, and says so before it is done.

use super::Host;
use super::program::{local, told};
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
