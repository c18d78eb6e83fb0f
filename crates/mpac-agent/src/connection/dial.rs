//! Opening the socket: `ws://` in the clear, `wss://` over TLS.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use super::pin::Pin;
use super::tls;
use crate::arrival::MAX_FRAME_IN;
use crate::error::AgentError;

/// How long opening may take, TLS and handshake included.
pub(super) const DIAL_LIMIT: Duration = Duration::from_secs(15);
/// The same after a break, when there may be other addresses to try.
pub(super) const REDIAL_LIMIT: Duration = Duration::from_secs(5);

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
pub(super) type SocketSink = SplitSink<Socket, Frame>;
pub(super) type SocketStream = SplitStream<Socket>;

/// An extra header of the handshake, such as a tunnel's token.
pub type Header = (HeaderName, HeaderValue);

/// Where to connect, and with which headers.
#[derive(Debug, Clone)]
pub struct Target {
    request: Request<()>,
    pin: Option<Pin>,
    /// Shown to a server that asks for one.
    certificate: Option<Arc<CertifiedKey>>,
}

impl Target {
    /// Checks the address.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when it is no `ws://` or `wss://` address.
    pub fn new(url: &str, headers: Vec<Header>) -> Result<Self, AgentError> {
        let usage =
            |why: &str| AgentError::Usage(format!("{url} {why}; give an address like ws://127.0.0.1:8766"));
        let (url, pin) = match url.split_once('#') {
            None => (url, None),
            Some((address, pin)) => {
                let pin = Pin::parse(pin).ok_or_else(|| usage("has no fingerprint behind its #"))?;
                (address, Some(pin))
            }
        };
        let mut request =
            url.into_client_request().map_err(|error| usage(&format!("is no address ({error})")))?;
        if !matches!(request.uri().scheme_str(), Some("ws" | "wss")) {
            return Err(usage("does not begin with ws:// or wss://"));
        }
        request.headers_mut().extend(headers);
        Ok(Self { request, pin, certificate: None })
    }

    /// Takes the certificate of this fingerprint and no other, unless the address names one.
    #[must_use]
    pub fn pinned(mut self, pin: Option<&Pin>) -> Self {
        self.pin = self.pin.or_else(|| pin.cloned());
        self
    }

    /// Shows this certificate to a server that asks for one (SEC-10, SEC-12).
    #[must_use]
    pub fn with_certificate(mut self, certificate: Option<Arc<CertifiedKey>>) -> Self {
        self.certificate = certificate;
        self
    }

    /// `HOST:PORT`, by which a coordinator is remembered.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        let uri = self.request.uri();
        let default = if uri.scheme_str() == Some("wss") { 443 } else { 80 };
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        format!("{host}:{}", uri.port_u16().unwrap_or(default))
    }

    /// Whether nobody can listen on the way there: TLS, or a way that does not leave this machine.
    #[must_use]
    pub fn is_private(&self) -> bool {
        let uri = self.request.uri();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        uri.scheme_str() == Some("wss") || is_here
    }

    /// The address as text.
    #[must_use]
    pub fn url(&self) -> String {
        self.request.uri().to_string()
    }

    /// `<id>` when the path is `/session/<id>`, up to the next `/` (the path of a multi-session coordinator).
    #[must_use]
    pub fn session_in_path(&self) -> Option<&str> {
        let id = self.request.uri().path().strip_prefix("/session/")?.split('/').next()?;
        (!id.is_empty()).then_some(id)
    }
}

/// Why there is no socket.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: AgentError,
    /// Another attempt would be turned down as well.
    pub(super) is_final: bool,
}

pub(super) async fn dial(target: &Target, limit: Duration) -> Result<Socket, Failed> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_FRAME_IN)).max_frame_size(Some(MAX_FRAME_IN));
    let tls = match tls::client(target.pin.as_ref(), target.certificate.as_ref()) {
        Ok(tls) => tls.map(|client| Connector::Rustls(Arc::new(client))),
        Err(error) => {
            let error = AgentError::CannotConnect { url: target.url(), why: error.to_string() };
            return Err(Failed { error, is_final: true });
        }
    };
    let request = target.request.clone();
    let open = tokio_tungstenite::connect_async_tls_with_config(request, Some(config), true, tls);
    match tokio::time::timeout(limit, open).await {
        Ok(Ok((socket, _response))) => Ok(socket),
        Ok(Err(error)) => {
            Err(Failed { is_final: turns_us_down(&error), error: explain(target.url(), &error) })
        }
        Err(_) => {
            let why = format!("no answer within {} s; check host, port and firewall", limit.as_secs());
            Err(Failed { error: AgentError::CannotConnect { url: target.url(), why }, is_final: false })
        }
    }
}

/// A server behind a proxy may be away for a moment (502, 503); one that wants another credential stays like that.
fn turns_us_down(error: &Error) -> bool {
    matches!(error, Error::Http(response) if matches!(response.status().as_u16(), 401 | 403))
}

fn explain(url: String, error: &Error) -> AgentError {
    let why = match error {
        Error::Io(io) if io.kind() == ErrorKind::ConnectionRefused => return AgentError::NobodyThere { url },
        Error::Io(io) if io.kind() == ErrorKind::InvalidData => {
            match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(error) => tls_trouble(error),
                None => format!("{io}; check the host name and the port"),
            }
        }
        Error::Io(io) => format!("{io}; check the host name and the port"),
        Error::Http(response) => format!(
            "the server answered HTTP {} instead of opening a WebSocket; check the path and any --header a tunnel needs",
            response.status().as_u16()
        ),
        Error::Tls(error) => format!("TLS: {error}"),
        Error::Protocol(_) if url.starts_with("ws:") => {
            "what answers speaks no WebSocket in the clear; if the coordinator speaks TLS use wss://, with the --pin that it \
             prints when it starts"
                .to_owned()
        }
        Error::Protocol(error) => format!("{error}; is that a coordinator's address?"),
        other => other.to_string(),
    };
    AgentError::CannotConnect { url, why }
}

/// Nobody is sent to `ws://` because a certificate is not trusted: that would hand their credential to whoever listens.
fn tls_trouble(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        // The pin's own words.
        rustls::Error::General(why) => why.clone(),
        // A bad signature: there is an authority of that name, and it is another one.
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "nobody whom this machine trusts vouches for the coordinator's certificate; give its fingerprint with --pin (it \
             prints it when it starts), or name the authority's certificate in SSL_CERT_FILE"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the coordinator's certificate has expired; check this machine's clock, and ask whoever runs the coordinator for a \
             new one"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(why) => format!(
            "the coordinator's certificate is not good: {why}; use a name that it is for, or ask whoever runs the coordinator"
        ),
        rustls::Error::InvalidMessage(_) => {
            "what answers speaks no TLS; use ws:// if the coordinator is an open one without".to_owned()
        }
        other => format!("TLS: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_sends_nobody_into_the_clear() {
        use rustls::CertificateError as Certificate;
        let told = |error: rustls::Error| {
            let io = Error::Io(std::io::Error::new(ErrorKind::InvalidData, error));
            explain("wss://h:8766/".to_owned(), &io).to_string()
        };
        for certificate in [
            Certificate::UnknownIssuer,
            Certificate::Expired,
            Certificate::NotValidForName,
            Certificate::Revoked,
        ] {
            let told = told(rustls::Error::InvalidCertificate(certificate));
            assert!(!told.contains("ws:// "), "{told}");
        }
        let unknown = told(rustls::Error::InvalidCertificate(Certificate::UnknownIssuer));
        assert!(unknown.contains("--pin") && unknown.contains("SSL_CERT_FILE"), "{unknown}");
        let other_pin = told(rustls::Error::General("not the one that --pin names".to_owned()));
        assert!(other_pin.ends_with("not the one that --pin names"), "{other_pin}");
        let plain = told(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        assert!(plain.contains("use ws://"), "{plain}");
    }

    #[test]
    fn who_speaks_in_the_clear_to_tls_is_told_of_wss() {
        let error =
            || Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::HandshakeIncomplete);
        assert!(explain("ws://h:8766/".to_owned(), &error()).to_string().contains("use wss://"));
        assert!(!explain("wss://h:8766/".to_owned(), &error()).to_string().contains("use wss://"));
    }

    fn session(url: &str) -> Option<String> {
        Target::new(url, Vec::new()).unwrap().session_in_path().map(str::to_owned)
    }

    #[test]
    fn the_session_is_read_from_the_path() {
        assert_eq!(session("ws://127.0.0.1:8766/session/team-a"), Some("team-a".to_owned()));
        assert_eq!(session("ws://h/session/team-a/more?x=1"), Some("team-a".to_owned()));
        assert_eq!(session("ws://127.0.0.1:8766"), None);
        assert_eq!(session("ws://127.0.0.1:8766/session/"), None);
        assert_eq!(session("ws://127.0.0.1:8766/other/team-a"), None);
    }

    #[test]
    fn what_leaves_this_machine_without_tls_is_not_private() {
        let is_private = |url: &str| Target::new(url, Vec::new()).unwrap().is_private();
        for url in ["wss://example.org", "ws://localhost:1", "ws://127.0.0.9", "ws://[::1]:1/session/a"] {
            assert!(is_private(url), "{url}");
        }
        for url in ["ws://example.org", "ws://10.0.0.1", "ws://localhost.example.org", "ws://[2001:db8::1]"] {
            assert!(!is_private(url), "{url}");
        }
    }

    #[test]
    fn a_fingerprint_may_stand_behind_the_address() {
        let pin = format!("sha256:{}", "ab".repeat(32));
        let target = Target::new(&format!("wss://h:1/session/a#{pin}"), Vec::new()).unwrap();
        assert_eq!(target.pin, Pin::parse(&pin));
        assert_eq!(target.session_in_path(), Some("a"));
        let other = Pin::parse(&"cd".repeat(32));
        assert_eq!(target.pinned(other.as_ref()).pin, Pin::parse(&pin), "the address has the last word");
        assert!(Target::new("wss://h:1#sha256:12", Vec::new()).is_err());
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        for url in ["127.0.0.1:8766", "http://127.0.0.1:8766", "", "ws://"] {
            let error = Target::new(url, Vec::new()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{url}");
            assert!(error.to_string().contains("ws://127.0.0.1:8766"), "{error}");
        }
    }
}
