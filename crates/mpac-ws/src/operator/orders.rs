//! What is to become of a server: several sides ask for its end, and only one of them has it.

use tokio::sync::watch;

/// What the server is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Asked {
    /// To go on.
    #[default]
    Nothing,
    /// To end as if it had been stopped.
    End,
    /// To end: its sessions fall silent just now, because they are that server's.
    Fencing { by: String },
    /// To end: they are silent.
    Fenced { by: String },
    /// To end, and nothing else any more: that standby is given the sessions.
    Given { to: String },
}

/// Shared by those who ask, and by whoever ends the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders(watch::Sender<Asked>);

impl Orders {
    /// Completes when the server has to end.
    pub(crate) async fn ends(&self) {
        let is_over = |asked: &Asked| matches!(asked, Asked::End | Asked::Fenced { .. });
        // The sender is here as well, so it is never gone.
        let _ = self.0.subscribe().wait_for(is_over).await;
    }

    /// The server is to end as if it had been stopped.
    ///
    /// # Errors
    /// When its sessions are somebody else's already, in words.
    pub(crate) fn end(&self) -> Result<(), String> {
        self.change(Asked::End)
    }

    /// The sessions are that server's: nobody is given them from here on. Said before the first of them falls silent.
    ///
    /// # Errors
    /// When somebody was given them already, in words.
    pub(super) fn fencing(&self, by: &str) -> Result<(), String> {
        match self.change(Asked::Fencing { by: by.to_owned() }) {
            Err(_) if !matches!(&*self.0.borrow(), Asked::Given { .. }) => Ok(()),
            changed => changed,
        }
    }

    /// All of them are silent.
    pub(super) fn silent(&self) {
        self.0.send_if_modified(|asked| {
            let Asked::Fencing { by } = asked else { return false };
            *asked = Asked::Fenced { by: std::mem::take(by) };
            true
        });
    }

    /// Waits for a fence that is under way.
    ///
    /// # Errors
    /// When the sessions are somebody else's: whose.
    pub(crate) async fn are_ours(&self) -> Result<(), String> {
        let mut asked = self.0.subscribe();
        match asked.wait_for(|asked| !matches!(asked, Asked::Fencing { .. })).await.as_deref() {
            Ok(Asked::Fenced { by }) => Err(by.clone()),
            _ => Ok(()),
        }
    }

    /// A standby is given the sessions, and nobody fences this server any more.
    ///
    /// # Errors
    /// When they are somebody else's: whose.
    pub(crate) async fn give(&self, to: &str) -> Result<(), String> {
        match self.change(Asked::Given { to: to.to_owned() }) {
            Ok(()) => Ok(()),
            Err(_) => self.are_ours().await,
        }
    }

    /// It was not given them after all.
    pub(crate) fn keep(&self) {
        self.0.send_replace(Asked::End);
    }

    /// Only a server that still has its sessions is asked for anything.
    fn change(&self, to: Asked) -> Result<(), String> {
        let mut changed = Ok(());
        self.0.send_if_modified(|asked| {
            changed = match asked {
                Asked::Nothing | Asked::End => Ok(()),
                Asked::Given { to } => Err(format!("its sessions are handed over to {to}")),
                Asked::Fencing { by } | Asked::Fenced { by } => {
                    Err(format!("its sessions were taken over by {by}"))
                }
            };
            if changed.is_ok() {
                *asked = to;
            }
            changed.is_ok()
        });
        changed
    }
}
