//! Telling a server that its sessions are elsewhere, until it has heard.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::{Before, FILE, pending, told};
use crate::control::dial::{NotReached, Target};
use crate::control::token::Token;
use crate::control::{Answer, Request, Status};

/// Between two tries to reach the one before: at first, and at the most. One that is started again accepts for so long what
/// is then lost.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// Tells the servers that are noted in `data` that their sessions are here, each until it has heard. `own` is what this server is
/// known by, and `silent` says that the one before found out by itself; of several nobody knows which that is.
pub(crate) async fn tell(
    data: &Path,
    epochs: BTreeMap<String, u64>,
    (by, own): (String, &str),
    silent: &Notify,
) {
    let before = match pending(data) {
        Ok(before) => before,
        Err(error) => return warn!("the server before cannot be told: {error}"),
    };
    let is_one = before.len() == 1;
    let here = Here { epochs: &epochs, by: &by, own, before: &before };
    let telling = before.iter().map(async |before| {
        tokio::select! {
            () = here.persist(Target::new(&before.server, Token::given(&before.token))) => {}
            () = silent.notified(), if is_one => info!("{}: it says nothing more, it found out by itself", before.server),
        }
        if let Err(error) = told(data, before) {
            warn!("{FILE} cannot be written, so {} will be told again: {error}", before.server);
        }
    });
    join_all(telling).await;
}

/// This server, and what it has.
struct Here<'a> {
    epochs: &'a BTreeMap<String, u64>,
    /// Where it listens.
    by: &'a str,
    /// What it is known by.
    own: &'a str,
    /// Who had not heard when the telling began.
    before: &'a [Before],
}

impl Here<'_> {
    async fn persist(&self, before: Target) {
        let request = Request::Fence { epochs: self.epochs.clone(), by: self.by.to_owned() };
        let mut pause = PAUSE.0;
        let (mut said, mut unproven) = (false, String::new());
        loop {
            let answer = match before.ask(&Request::Status {}).await {
                // A name or an address may have moved with the sessions.
                Ok(Answer::Status(status)) if status.instance.as_deref() == Some(self.own) => {
                    return warn!(
                        "{} is this server now: the one that was there cannot be told",
                        before.url()
                    );
                }
                // They may have gone on from here, and back to it: then it tells us, and is the one that goes on (REC-25). A later
                // epoch alone says nothing: a server that was started again and again has one too, and has not heard.
                Ok(Answer::Status(status)) if self.took_over_later(&status, before.token()).await => None,
                Ok(_) => Some(before.ask(&request).await),
                Err(error) => Some(Err(error)),
            };
            match answer {
                None => {
                    if !std::mem::replace(&mut said, true) {
                        warn!("{} has taken the sessions over later, and is not told now", before.url());
                    }
                }
                Some(Ok(Answer::Done { text })) => return info!("{}: {text}", before.url()),
                // A next start would know of nothing.
                Some(Ok(Answer::Unmarked { reason })) => {
                    warn!("{}: {reason}; it is told again when it comes back", before.url());
                }
                Some(Ok(Answer::Refused { reason })) => {
                    return warn!("{} is not fenced: {reason}", before.url());
                }
                Some(Ok(Answer::Status(_))) => {
                    return warn!("{} is not fenced: it answers something else", before.url());
                }
                Some(Err(error @ NotReached::Unproven(..))) => {
                    let reason = error.to_string();
                    if unproven != reason {
                        error!(
                            "{reason}: the server before cannot be told that its sessions are here; trying again"
                        );
                        unproven = reason;
                    }
                }
                Some(Err(error)) => {
                    if !std::mem::replace(&mut said, true) {
                        let again = if matches!(error, NotReached::Token(_)) { "" } else { " for now" };
                        warn!(
                            "{error}: the server before cannot be told{again} that its sessions are here; trying again"
                        );
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Whether a server has taken the sessions over from this one, under later epochs. Its address for this one need not lead here
    /// from here; so whoever is not seen to be another may be us.
    async fn took_over_later(&self, status: &Status, token: &Token) -> bool {
        if !(status.tells && is_later(&status.sessions, self.epochs)) {
            return false;
        }
        for server in &status.told {
            // Of those that this one tells too, or has told, none is itself: that would have been seen.
            if self.before.iter().any(|before| before.server == *server) {
                continue;
            }
            match Target::new(server, token.clone()).ask(&Request::Status {}).await {
                Ok(Answer::Status(it)) if it.instance.as_deref().is_some_and(|it| it != self.own) => {}
                _ => return true,
            }
        }
        status.told.is_empty()
    }
}

/// Whether one of these sessions is above what it is here.
fn is_later(there: &BTreeMap<String, u64>, here: &BTreeMap<String, u64>) -> bool {
    there.iter().any(|(id, epoch)| here.get(id).is_some_and(|ours| epoch > ours))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::ws::rejection::WebSocketUpgradeRejection;
    use axum::extract::ws::{WebSocket, WebSocketUpgrade};
    use axum::extract::{Request as HttpRequest, State};
    use tokio::net::TcpListener;

    use super::*;
    use crate::control::Role;
    use crate::control::serve::{self, Operator};
    use crate::fencing::note;

    /// A server with sessions: what it says of itself at first, and to being fenced, and what it is asked. Asked again, it is at
    /// our address.
    #[derive(Clone)]
    struct There {
        token: Token,
        first: Status,
        fenced: Answer,
        asked: Arc<Mutex<Vec<Request>>>,
    }

    impl Operator for There {
        fn token(&self) -> Option<&Token> {
            Some(&self.token)
        }

        async fn command(&self, request: Request) -> Answer {
            let mut asked = self.asked.lock().unwrap();
            asked.push(request);
            match &asked[..] {
                [Request::Status {}] => Answer::Status(self.first.clone()),
                [.., Request::Status {}] => {
                    Answer::Status(Status { instance: Some("own".to_owned()), ..self.first.clone() })
                }
                _ => self.fenced.clone(),
            }
        }

        async fn follow(self, _: WebSocket) {}
    }

    #[tokio::test]
    async fn a_server_that_is_at_the_address_of_the_one_before_does_not_fence_itself() {
        assert!(matches!(asked("own", 3, false).await[..], [Request::Status {}]));
    }

    #[tokio::test]
    async fn nobody_fences_who_has_taken_the_sessions_over_later() {
        let twice = asked("another", 5, true).await;
        assert!(matches!(twice[..], [Request::Status {}, Request::Status {}]), "{twice:?}");
        // One that was started often has a late epoch too, and one that took over before us tells somebody.
        for (epoch, tells) in [(5, false), (3, true)] {
            let fenced = asked("another", epoch, tells).await;
            assert!(matches!(fenced[..], [Request::Status {}, Request::Fence { .. }]), "{fenced:?}");
        }
    }

    #[tokio::test]
    async fn a_server_whose_directory_is_not_marked_is_told_again() {
        let unmarked = Answer::Unmarked { reason: "the disk is read only".to_owned() };
        let again = asked_until("another", (3, false), unmarked).await;
        assert!(
            matches!(again[..], [Request::Status {}, Request::Fence { .. }, Request::Status {}]),
            "{again:?}"
        );
    }

    async fn asked(instance: &str, epoch: u64, tells: bool) -> Vec<Request> {
        asked_until(instance, (epoch, tells), Answer::Done { text: "it says nothing more".to_owned() }).await
    }

    /// What a server is asked by one that has `s` in epoch 4, until that one says no more.
    async fn asked_until(instance: &str, (epoch, tells): (u64, bool), fenced: Answer) -> Vec<Request> {
        let dir = tempfile::tempdir().unwrap();
        let (url, asked) = serving(Status { tells, ..status(instance, epoch, &[]) }, fenced).await;
        note(dir.path(), &Target::new(&url, Token::given("t"))).unwrap();
        tell(dir.path(), [("s".to_owned(), 4)].into(), ("ws://here:1".to_owned(), "own"), &Notify::new())
            .await;
        assert_eq!(pending(dir.path()).unwrap(), []);
        std::mem::take(&mut *asked.lock().unwrap())
    }

    fn status(instance: &str, epoch: u64, told: &[&str]) -> Status {
        Status {
            role: Role::Server,
            program: String::new(),
            sessions: [("s".to_owned(), epoch)].into(),
            followers: Vec::new(),
            refused: None,
            instance: Some(instance.to_owned()),
            tells: true,
            told: told.iter().map(|&server| server.to_owned()).collect(),
        }
    }

    /// A server: its address, and what it was asked.
    async fn serving(first: Status, fenced: Answer) -> (String, Arc<Mutex<Vec<Request>>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().fallback(
            async |State(it): State<There>,
                   upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
                   request: HttpRequest| {
                serve::answer(upgrade, (request.uri().path(), request.headers()), it)
            },
        );
        let app =
            app.with_state(There { token: Token::given("t"), first, fenced, asked: Arc::clone(&asked) });
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, asked)
    }

    #[tokio::test]
    async fn whoever_tells_somebody_else_is_told_however_late_its_epoch_is() {
        let dir = tempfile::tempdir().unwrap();
        // It died for good, and both were told so.
        let dead = "ws://127.0.0.1:1";
        note(dir.path(), &Target::new(dead, Token::given("t"))).unwrap();
        let refused = Answer::Refused { reason: String::new() };
        // Each is asked once.
        let (other, _) = serving(status("other", 9, &[]), refused.clone()).await;
        let (third, _) = serving(status("third", 9, &[]), refused.clone()).await;
        let (own, _) = serving(status("own", 4, &[]), refused).await;
        let epochs = [("s".to_owned(), 4)].into();
        let before = pending(dir.path()).unwrap();
        // Told meanwhile, it is still none that could be this one.
        told(dir.path(), &before[0]).unwrap();
        let here = Here { epochs: &epochs, by: "ws://here:1", own: "own", before: &before };
        for (told, is_later) in [
            (&[][..], true),
            (&[dead], false),
            (&[&other], false),
            (&[dead, &third], false),
            (&[&own], true),
            (&[dead, &own], true),
            (&["ws://127.0.0.1:2"], true),
        ] {
            let took_over = here.took_over_later(&status("another", 5, told), &Token::given("t")).await;
            assert_eq!(took_over, is_later, "{told:?}");
        }
    }
}
