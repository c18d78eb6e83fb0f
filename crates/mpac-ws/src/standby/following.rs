//! Following, connection after connection, until it is time to take over.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{error, info, warn};

use super::desk::Desk;
use super::silence::Silence;
use super::{End, open};
use crate::control::dial::{NotReached, Target};
use crate::control::{Answer, Request, Role};
use crate::fencing;
use crate::follow::Follower;
use crate::follow::copy::Copy;
use crate::follow::receive::{Heard, Held, Link, Lost};
use crate::follow::replica::Failed;
use crate::session::Template;
use crate::store::elsewhere::{Elsewhere, Why};

/// Between two tries to reach the server: at first, and at the most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// For a server that was asked to hand over.
const HANDOVER: Duration = Duration::from_secs(30);
/// A server that could not be asked, and says nothing for so long on the connection that is there, is gone. It says something
/// four times a second.
const QUIET: Duration = Duration::from_secs(2);
/// Between two lines while much is coming.
const PROGRESS: Duration = Duration::from_secs(2);

pub(super) struct Following {
    pub(super) target: Target,
    pub(super) role: Follower,
    pub(super) data: PathBuf,
    pub(super) mark: Elsewhere,
    pub(super) silence: Silence,
    pub(super) held: Held,
    /// What its sessions would go on with.
    pub(super) template: Arc<Template>,
    pub(super) said: Said,
    /// Whether the server is on its way to its end, so that it is not taken for gone when it is.
    pub(super) ending: bool,
}

/// What was said last, so that it is said once.
#[derive(Debug, Default)]
pub(super) struct Said {
    standing: bool,
    lost: bool,
    progress: Option<Instant>,
    /// Who is there in its server's place, perhaps.
    unproven: String,
    /// Which keys are not here.
    pub(super) keys: Vec<String>,
}

/// What became of the question whether the server hands over.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// It does, and has until then.
    HandsOver(Instant),
    /// It was not reached, and is taken for gone if nothing comes until then.
    Unanswered(Instant),
}

impl Following {
    pub(super) async fn run(
        &mut self,
        stop: &mut Pin<&mut impl Future<Output = ()>>,
        desk: &Desk,
    ) -> Result<End, String> {
        if self.mark.why == Why::Given {
            let is_given = tokio::select! {
                is_given = self.is_given() => is_given,
                () = stop.as_mut() => return Ok(End::Stopped),
            };
            if is_given.map_err(|error| error.to_string())? {
                info!("the server has handed its sessions over before, and no server has begun on them here");
                return Ok(End::Released);
            }
        }
        let mut pause = PAUSE.0;
        loop {
            let lost = match self.connected(stop, desk, &mut pause).await {
                Ok(end) => return Ok(end),
                Err(lost) if !lost.passes() => return Err(lost.to_string()),
                Err(lost) => lost,
            };
            self.said.standing = false;
            if std::mem::take(&mut self.ending) {
                // What it has and we have not would be lost.
                desk.refuses(format!(
                    "{} has not handed over ({lost}); if it does not come back, ask again",
                    self.target.url()
                ));
            }
            if !std::mem::replace(&mut self.said.lost, true) {
                warn!("lost: {lost}; trying again");
                desk.says("lost".to_owned());
            }
            let is_there = self.is_there(&lost);
            if matches!(lost, Lost::Failed(_)) {
                // What was half taken is read back as far as it is on the disk.
                self.held = Held::new(open(self.data.clone()).await.map_err(|error| error.to_string())?);
            }
            tokio::select! {
                () = stop.as_mut() => return Ok(End::Stopped),
                // Of a connection that broke it is not known whether anybody is there; and whoever answers is.
                () = desk.wanted(), if is_gone(&lost) => return Ok(End::Taken),
                () = desk.overdue() => self.too_late(desk),
                () = self.silence.is_over(), if !is_there => return Ok(self.silent()),
                () = sleep(pause) => pause = (pause * 2).min(PAUSE.1),
            }
            if is_there {
                self.silence.broken();
            }
        }
    }

    /// Whether nobody has taken back what was given to this copy. Whoever did serves there, and is followed as before.
    async fn is_given(&mut self) -> io::Result<bool> {
        match self.target.ask(&Request::Status {}).await {
            Ok(Answer::Status(status)) if status.role == Role::Server => {
                warn!("{} has its sessions again, which it had handed over", self.target.url());
                self.mark.why = Why::Standby;
                self.mark.write(&self.data)?;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// One connection, to its end or ours.
    async fn connected(
        &mut self,
        stop: &mut Pin<&mut impl Future<Output = ()>>,
        desk: &Desk,
        pause: &mut Duration,
    ) -> Result<End, Lost> {
        let hello = Link::hello(self.role.clone(), &mut self.held).await?;
        let mut link = tokio::select! {
            link = Link::new(&self.target, hello) => link?,
            () = stop.as_mut() => return Ok(End::Stopped),
            () = self.silence.is_over() => return Ok(self.silent()),
        };
        let (mut is_standing, mut asked, mut again) = (false, None, Instant::now());
        loop {
            let frame = tokio::select! {
                // What came is looked at before the clock: whoever slept does not take that for silence.
                biased;
                () = stop.as_mut() => return Ok(End::Stopped),
                frame = link.next() => frame?,
                // Before that its server does not know us, or could not hand over before it ends.
                () = wanted(desk, again), if is_standing && asked.is_none() => {
                    asked = self.ask_for_it(desk).await;
                    if let Some(Asked::Unanswered(until)) = asked {
                        again = until;
                    }
                    continue;
                }
                () = desk.overdue(), if asked.is_none() => {
                    self.too_late(desk);
                    continue;
                }
                () = overdue(asked) => match asked.take() {
                    Some(Asked::HandsOver(_)) => {
                        self.ending = false;
                        desk.refuses(format!("{} has not handed over", self.target.url()));
                        continue;
                    }
                    _ => return Ok(End::Taken),
                },
                () = self.silence.is_over() => return Ok(self.silent()),
            };
            // Whoever says something is there, and is asked again.
            asked = asked.filter(|asked| matches!(asked, Asked::HandsOver(_)));
            self.silence.broken();
            match link.handle(frame, &mut self.held).await? {
                Heard::More => self.progress().await,
                Heard::Server { program, heartbeat_interval, before } => {
                    fencing::keep(&self.data, &before).map_err(Failed::Disk)?;
                    self.target.token().adopted_by(&self.data).map_err(Failed::Disk)?;
                    self.silence.fits(&heartbeat_interval).map_err(Failed::Fault)?;
                    info!("following {}, {program}", self.target.url());
                    (self.said.lost, *pause) = (false, PAUSE.0);
                }
                Heard::Standing => {
                    is_standing = true;
                    self.standing(desk).await?;
                }
                Heard::Ended => {
                    self.ending = true;
                    info!("the server has stopped, and everything of it is here");
                }
                Heard::Released { epochs, beside } => {
                    info!("the server has handed its sessions over: {epochs:?}");
                    // Nobody else has them from here on, whatever becomes of the start.
                    self.mark.why = Why::Given;
                    let noted =
                        self.mark.write(&self.data).and_then(|()| fencing::stand_beside(&self.data, &beside));
                    if let Err(error) = noted {
                        error!(
                            "{}: it cannot be marked, so only this start has them: {error}",
                            self.data.display()
                        );
                    }
                    return Ok(End::Released);
                }
                Heard::Elsewhere(server) => {
                    let reason = format!("its sessions went to {server}; follow that one");
                    return Err(Failed::Fault(reason).into());
                }
            }
        }
    }

    /// A server that is there can hand over, and nothing is lost. `None` where it does not: then nothing is taken either.
    async fn ask_for_it(&mut self, desk: &Desk) -> Option<Asked> {
        let Follower::Standby { address: to, .. } = self.role.clone() else { return None };
        let now = Instant::now;
        match self.target.ask(&Request::HandOver { to }).await {
            Ok(Answer::Done { .. }) => {
                self.ending = true;
                Some(Asked::HandsOver(now() + HANDOVER))
            }
            Ok(answer) => {
                let reason = if let Answer::Refused { reason } = answer {
                    reason
                } else {
                    "it answers something else".to_owned()
                };
                desk.refuses(format!("{} does not hand over: {reason}", self.target.url()));
                None
            }
            Err(error) => {
                warn!("{error}: it cannot hand over; its sessions are taken if it says nothing more");
                Some(Asked::Unanswered(now() + QUIET))
            }
        }
    }

    /// Whether the server may be there, and only cannot be followed: that is no silence, and lasts until somebody acts.
    fn is_there(&mut self, lost: &Lost) -> bool {
        let Lost::NotReached(NotReached::Unproven(..)) = lost else { return false };
        let reason = lost.to_string();
        if self.said.unproven != reason {
            error!("{reason}; as long as that is so, nothing is taken");
            self.said.unproven = reason;
        }
        true
    }

    fn too_late(&self, desk: &Desk) {
        desk.refuses(format!(
            "{} is there, and could not be asked to hand over, or this standby has not caught up with it",
            self.target.url()
        ));
    }

    fn silent(&self) -> End {
        warn!("nothing was heard from {} for too long: its sessions are taken", self.target.url());
        End::Taken
    }

    async fn standing(&mut self, desk: &Desk) -> Result<(), Failed> {
        if self.mark.why == Why::Partial {
            self.mark.why = Why::Standby;
            self.mark.write(&self.data)?;
            desk.is_complete();
        }
        self.silence.counts();
        self.lacks_keys().await;
        if std::mem::replace(&mut self.said.standing, true) {
            return Ok(());
        }
        let template = Arc::clone(&self.template);
        let found = self.held.with(move |copy| Ok((copy.entries(), cannot_go_on(copy, &template)))).await;
        if let Ok((entries, reasons)) = found {
            info!("caught up: {entries} entries");
            desk.says(format!("caught up with {}", self.target.url()));
            for reason in reasons {
                error!("{reason}: start this standby with the options of its server, or it cannot take over");
            }
        }
        Ok(())
    }

    async fn progress(&mut self) {
        let is_due = self.said.progress.is_none_or(|last| last.elapsed() >= PROGRESS);
        if self.said.standing || !is_due {
            return;
        }
        self.said.progress = Some(Instant::now());
        if let Ok(entries) = self.held.with(|copy| Ok(copy.entries())).await {
            info!("catching up: {entries} entries so far");
        }
    }
}

/// What would stop sessions from going on here, now that there is time to act.
fn cannot_go_on(copy: &Copy, template: &Template) -> Vec<String> {
    let sessions = copy.replicas().filter(|it| !it.is_closed()).filter_map(|it| it.replay().session());
    let refused = sessions.filter_map(|(core, kept)| {
        let reason = template.could_go_on(core, kept).err()?;
        Some(format!("session {} could not go on: {reason}", kept.config.session_id))
    });
    refused.collect()
}

/// Whether nobody is there.
const fn is_gone(lost: &Lost) -> bool {
    matches!(lost, Lost::NotReached(NotReached::Gone(..) | NotReached::Silent(_)))
}

/// Completes when somebody wants the takeover, and not before `again`: a server that said something meanwhile may say no more.
async fn wanted(desk: &Desk, again: Instant) {
    sleep_until(again).await;
    desk.wanted().await;
}

/// Completes when it is over, if something was asked.
async fn overdue(asked: Option<Asked>) {
    match asked {
        Some(Asked::HandsOver(until) | Asked::Unanswered(until)) => {
            drop(timeout_at(until, std::future::pending::<()>()).await);
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
