//! Why a connection ended, and whether it is worth another one.

use std::io::ErrorKind;

use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How a connection ended that we did not close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Break {
    /// Try again: the way or the coordinator failed, or another takes over.
    Again(String),
    /// Try again, and another address first: who is at this one does not coordinate any more.
    Elsewhere(String),
    /// Another connection would end the same way.
    Final(String),
}

impl Break {
    pub(super) fn of_error(error: &Error) -> Self {
        match error {
            // The same frame would come again.
            Error::Capacity(_) => Self::Final(error.to_string()),
            // What a process that was killed leaves behind.
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::gone(),
            // As TLS puts it.
            Error::Io(io) if matches!(io.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => {
                Self::gone()
            }
            _ => Self::Again(error.to_string()),
        }
    }

    fn gone() -> Self {
        Self::Again("the other end is gone without a word".to_owned())
    }

    /// By its close code (`spec/wire.md` §1.1). A coordinator that goes away, fails or hands over, or wants us to be slower, is
    /// worth another attempt; one that turns us down, or has put another connection in our place, is not.
    pub(super) fn of_close(frame: Option<CloseFrame>) -> Self {
        let Some(frame) = frame else { return Self::Again("the other end closed it".to_owned()) };
        let code = u16::from(frame.code);
        let known = match code {
            1001 => " (the server goes away)",
            1008 => " (the server turns us down)",
            1011 => " (the server failed)",
            1012 => " (the server restarts)",
            1013 => " (the server is too busy)",
            4001 => " (another connection has taken our place)",
            4002 => " (the session was handed over)",
            4004 => " (the address names no session)",
            _ => "",
        };
        let reason = if frame.reason.is_empty() { String::new() } else { format!(": {}", frame.reason) };
        let text = format!("close code {code}{known}{reason}");
        match code {
            1008 if is_pace(&frame.reason) => Self::Again(text),
            1000 | 1001 | 1005 | 1006 | 1011..=1014 | 4002 => Self::Again(text),
            _ => Self::Final(text),
        }
    }
}

/// Whether a server turns us down for how much was said at a time, as those of this project put it: after a pause it takes the
/// same from us. What too many people have said to a session that nobody has opened is not meant.
fn is_pace(reason: &str) -> bool {
    ["too many messages:", "too many messages,"].iter().any(|words| reason.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, reason: &'static str) -> Break {
        Break::of_close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
    }

    #[test]
    fn a_server_that_goes_fails_or_hands_over_is_tried_again() {
        for code in [1000, 1001, 1011, 1012, 1013, 4002] {
            assert!(matches!(of(code, ""), Break::Again(_)), "{code}");
        }
        assert!(matches!(Break::of_close(None), Break::Again(_)));
        assert!(matches!(Break::of_error(&Error::ConnectionClosed), Break::Again(_)));
        for kind in [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof] {
            let broken = Break::of_error(&Error::Io(kind.into()));
            assert_eq!(broken, Break::Again("the other end is gone without a word".to_owned()));
        }
    }

    #[test]
    fn a_server_that_turns_us_down_is_not() {
        for code in [1002, 1003, 1007, 1008, 1009, 4001, 4004, 4999] {
            assert!(matches!(of(code, ""), Break::Final(_)), "{code}");
        }
    }

    #[test]
    fn a_server_that_was_told_too_much_at_a_time_is_tried_again() {
        for reason in [
            "too many messages: the rate limit of this server is exceeded",
            "too many messages, on all connections of this principal together",
        ] {
            assert!(matches!(of(1008, reason), Break::Again(_)), "{reason}");
        }
        let unopened = of(1008, "too many messages to a session that nobody has opened");
        assert!(matches!(unopened, Break::Final(_)), "{unopened:?}");
    }

    #[test]
    fn the_reason_is_told_in_words() {
        assert_eq!(
            of(1008, "too fast"),
            Break::Final("close code 1008 (the server turns us down): too fast".to_owned())
        );
        assert_eq!(of(1000, ""), Break::Again("close code 1000".to_owned()));
    }
}
