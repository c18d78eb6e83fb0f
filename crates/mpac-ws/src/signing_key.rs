//! `mpac-ws signing-key`: the key that coordinators sign with, shown and replaced.

use std::path::Path;

use crate::ask;
use crate::cli::signing_key::{Show, SigningKey};
use crate::control::dial::NotReached;
use crate::control::{Answer, Request};
use crate::error::Error;
use crate::signing::key_file::{Keys, Place};

/// Does what was asked, and gives the lines that say so.
///
/// # Errors
/// When there is no such key or server, or the server refuses; then nothing has changed.
pub async fn run(command: &SigningKey) -> Result<String, Error> {
    match command {
        SigningKey::Show(show) => self::show(show).await,
        SigningKey::Rotate(whose) => {
            let data = whose.found()?;
            asked(&data, &Request::RotateKey {}).await?.ok_or_else(|| {
                Error::Control(format!(
                    "no server is running on {}: participants have to hear of a new key, so start it and ask again",
                    data.display()
                ))
            })
        }
    }
}

async fn show(show: &Show) -> Result<String, Error> {
    let data = show.whose.found()?;
    if show.signing_key.is_none()
        && let Some(text) = asked(&data, &Request::SigningKey {}).await?
    {
        return Ok(text);
    }
    // There is always one, in the data directory.
    let Some(place) = Place::of(show.signing_key.as_deref(), Some(&data)) else { return Ok(String::new()) };
    let file = place.current().to_owned();
    Keys::read(place)?.map(|keys| keys.told()).ok_or_else(|| {
        Error::Control(format!(
            "{} is not there: a server makes one at its first start with --security-profile authenticated or verified; where it \
             was started with --signing-key, say that here too",
            file.display()
        ))
    })
}

/// What the server says; `None` where none runs.
async fn asked(data: &Path, request: &Request) -> Result<Option<String>, Error> {
    let Some(target) = ask::reach(data)? else { return Ok(None) };
    match target.ask(request).await {
        Ok(Answer::Done { text }) => Ok(Some(text)),
        Ok(Answer::Refused { reason }) => Err(Error::Control(reason)),
        Ok(Answer::Status(_) | Answer::Unmarked { .. }) => {
            Err(Error::Control("the server answers something else".to_owned()))
        }
        Err(error @ NotReached::Silent(_)) => Err(Error::Control(error.to_string())),
        // What a server that was killed left, perhaps with somebody else on its port.
        Err(_) => Ok(None),
    }
}
