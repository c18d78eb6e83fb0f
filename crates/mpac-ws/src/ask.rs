//! Commands that reach a running server through its control door.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cli::standby::TakeOver;
use crate::cli::whose::Whose;
use crate::control::dial::NotReached;
use crate::control::{self, Answer, Request, Role};
use crate::error::Error;

/// For a standby to be a server.
const START: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// `mpac-ws take-over`: returns once the standby serves.
///
/// # Errors
/// When there is no standby, it does not get there, or a server that is there keeps its sessions.
pub async fn take_over(options: &TakeOver) -> Result<String, Error> {
    let data = &options.data_dir;
    let failed = |error: &dyn std::fmt::Display| Error::Control(error.to_string());
    let none = || {
        Error::Control(format!(
            "no standby is running on {}; start one with mpac-ws standby, or, where the other server is gone for good, a server \
             with --take-back",
            data.display()
        ))
    };
    let target = reach(data)?.ok_or_else(none)?;
    match target.ask(&Request::TakeOver {}).await.map_err(|error| failed(&error))? {
        Answer::Done { .. } => {}
        Answer::Refused { reason } => return Err(Error::Control(reason)),
        Answer::Status(_) | Answer::Unmarked { .. } => {
            return Err(Error::Control("the standby answers something else".to_owned()));
        }
    }
    let until = Instant::now() + START;
    while Instant::now() < until {
        if let Some(target) = reach(data)?
            && let Ok(Answer::Status(status)) = target.ask(&Request::Status {}).await
        {
            if let Some(reason) = status.refused {
                return Err(Error::Control(reason));
            }
            if status.role == Role::Server {
                let epochs = status.sessions.iter().map(|(id, epoch)| format!("{id} (epoch {epoch})"));
                let sessions = epochs.collect::<Vec<_>>().join(", ");
                return Ok(format!("taken over, at {}: {sessions}", target.url()));
            }
        }
        sleep(LOOK).await;
    }
    Err(Error::Control("the standby does not get to serve; its log says why".to_owned()))
}

/// `mpac-ws status`: a line for the server, and one for each session and follower.
///
/// # Errors
/// When there is none, or it does not answer.
pub async fn status(whose: &Whose) -> Result<String, Error> {
    let data = whose.found()?;
    let none = || Error::Control(format!("no server is running on {}", data.display()));
    let target = reach(&data)?.ok_or_else(none)?;
    let status = match target.ask(&Request::Status {}).await {
        Ok(Answer::Status(status)) => status,
        Ok(_) => return Err(Error::Control("the server answers something else".to_owned())),
        Err(NotReached::Gone(..)) => return Err(none()),
        Err(error) => return Err(Error::Control(error.to_string())),
    };
    let role = if status.role == Role::Server { "server" } else { "standby" };
    let mut lines = vec![format!("{role} {} at {}", status.program, target.url())];
    lines.extend(status.sessions.iter().map(|(id, epoch)| format!("session {id}: epoch {epoch}")));
    lines.extend(status.followers);
    Ok(lines.join("\n"))
}

pub(crate) fn reach(data: &Path) -> Result<Option<control::dial::Target>, Error> {
    control::of(data).map_err(|source| Error::DataDir { path: data.to_owned(), source })
}
