//! What the server says when it is up: what it serves, and how to join from here and from elsewhere.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use mpac_core::SessionConfig;
use mpac_wire::Fingerprint;
use mpac_wire::names::SecurityProfile;

use crate::cli::Settings;
use crate::workspace::Workspace;
use crate::workspace::load::Skipped;

/// Skipped files that are named here; the log names all.
const NAMED: usize = 3;

/// What there is to say.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    pub(crate) settings: &'a Settings,
    /// What the sessions are opened with.
    pub(crate) session: &'a SessionConfig,
    pub(crate) workspace: &'a Workspace,
    pub(crate) skipped: &'a [Skipped],
    /// Where the server really listens.
    pub(crate) address: SocketAddr,
    /// Where sessions are stored, if they are.
    pub(crate) stored: Option<&'a Path>,
    /// The fingerprint of the server's certificate, if it speaks TLS.
    pub(crate) pin: Option<String>,
    /// The fingerprint of the key that the coordinator signs with, if it does.
    pub(crate) signs_with: Option<Fingerprint>,
    /// How other machines see this one, if that can be told.
    pub(crate) reachable_as: Option<IpAddr>,
}

/// The whole text, ending in a newline. The first `ws://` URL in it is the one to connect to.
pub(crate) fn banner(served: &Served<'_>) -> String {
    let Served { settings, address, .. } = served;
    let id = settings.session.as_deref();
    let shown = id.unwrap_or(if settings.multi_session { "demo" } else { DEFAULT_SESSION });
    let path = if settings.multi_session { format!("/session/{shown}") } else { String::new() };
    let scheme = if served.pin.is_some() { "wss" } else { "ws" };
    let here = format!("{scheme}://{}{path}", local(*address));
    let mut text = format!("MPAC coordinator, listening on {here}\n\n");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<12}{value}");
    };
    line("workspace", &workspace_line(served));
    if !served.skipped.is_empty() {
        line("skipped", &skipped_line(served.skipped));
    }
    if let Some(pin) = &served.pin {
        line("certificate", pin);
    }
    if let Some(key) = &served.signs_with {
        line("signs with", &key.to_string());
    }
    line("session", &session_line(served, shown));
    line("write-back", write_back_line(settings));
    line("stored", &stored_line(served));
    let _ = write!(
        text,
        "\nJoin from this machine, with ANTHROPIC_API_KEY set:\n{}",
        commands(served, &here, shown)
    );
    let _ = write!(text, "\nJoin from another machine:\n{}", elsewhere(served, &path, shown));
    text.push_str("\nStop with Ctrl-C.\n");
    text
}

/// The session's id when none is given.
pub(crate) const DEFAULT_SESSION: &str = "default";

fn workspace_line(served: &Served<'_>) -> String {
    match served.workspace.dir() {
        Some(dir) => format!("{} from {}", files(served.workspace.files().count()), dir.display()),
        None => "empty; share a directory with --workspace DIR".to_owned(),
    }
}

fn skipped_line(skipped: &[Skipped]) -> String {
    let named: Vec<String> =
        skipped.iter().take(NAMED).map(|it| format!("{:?} ({})", it.path, it.reason)).collect();
    let more = if skipped.len() > NAMED { ", ... (all of them in the log)" } else { "" };
    format!("{}: {}{more}", files(skipped.len()), named.join(", "))
}

fn session_line(served: &Served<'_>, shown: &str) -> String {
    let Served { settings, session, .. } = served;
    let kind = format!(
        "protocol {}, {}, {}, {}",
        session.level, session.execution_model, session.compliance_profile, session.security_profile
    );
    match (settings.multi_session, &settings.session) {
        (false, _) => format!("{shown} ({kind})"),
        (true, None) => {
            format!("one for every /session/<id> that is joined, up to {} ({kind})", settings.max_sessions)
        }
        (true, Some(id)) => {
            format!(
                "{id}, and one for every other /session/<id> that is joined, up to {} ({kind})",
                settings.max_sessions
            )
        }
    }
}

const fn write_back_line(settings: &Settings) -> &'static str {
    match (settings.write_back, settings.workspace.is_some()) {
        (true, _) => "on: accepted commits are written into the directory",
        (false, true) if settings.multi_session => "off: every session has files of its own",
        (false, true) => "off: the directory is not touched (--write-back turns it on)",
        (false, false) => "off",
    }
}

fn stored_line(served: &Served<'_>) -> String {
    match served.stored {
        Some(dir) => format!("in {}: sessions go on when the server is started again", dir.display()),
        None => "nowhere: sessions end with the server (--data-dir DIR stores them)".to_owned(),
    }
}

/// Our agent and the Python one, for any URL.
fn commands(served: &Served<'_>, url: &str, session: &str) -> String {
    let settings = served.settings;
    // Our agent takes the session from the path, and knows the default one.
    let flag = match (settings.multi_session, session) {
        (true, _) | (false, DEFAULT_SESSION) => String::new(),
        (false, id) => format!(" --session {}", quoted(id)),
    };
    let pin = served.pin.as_ref().map(|pin| format!(" --pin {pin}")).unwrap_or_default();
    if settings.security.security_profile == SecurityProfile::Verified {
        let signs_with = served.signs_with.map(|key| format!(" --coordinator-key {key}")).unwrap_or_default();
        return format!(
            "  cargo run -p mpac-agent -- {}{flag} --name Bob{pin}{signs_with} --key agent-Bob.key.pem --chain agent-Bob.pem --task \
             \"say what to do\"\n  with an Ed25519 key and a certificate for agent:Bob, as `mpac-ws cert issue Bob` makes them\n",
            quoted(url)
        );
    }
    if settings.security.security_profile != SecurityProfile::Open {
        return format!(
            "  MPAC_CREDENTIAL=api_key:KEY cargo run -p mpac-agent -- {}{flag} --name Bob{pin} --task \"say what to do\"\n  with a \
             key that `mpac-ws token add Bob` or `mpac-ws invite Bob` prints, given the same --workspace, --data-dir or --port\n",
            quoted(url)
        );
    }
    let own = format!(
        "  cargo run -p mpac-agent -- {}{flag} --name Bob{pin} --task \"say what to do\"\n",
        quoted(url)
    );
    if settings.security.tls_self_signed {
        // The Python package pins nothing, and nobody vouches for this certificate.
        return own;
    }
    let code = format!(
        "import asyncio, os; from mpac_protocol.agent import MPACAgent; bob = MPACAgent(\"Bob\", \
         os.environ[\"ANTHROPIC_API_KEY\"]); run = asyncio.new_event_loop().run_until_complete; \
         run(bob.connect({}, {})); run(bob.run_interactive()); run(bob.close())",
        python(url),
        python(session)
    );
    format!("{own}  or, with the Python package (pip install mpac):\n  python3 -c {}\n", quoted(&code))
}

fn elsewhere(served: &Served<'_>, path: &str, session: &str) -> String {
    let Served { settings, address, .. } = served;
    if address.ip().is_loopback() {
        let port = if settings.port == 0 { String::new() } else { format!(" --port {}", settings.port) };
        let (profile, people) = match settings.security.security_profile {
            SecurityProfile::Open => {
                (" --security-profile authenticated", ",\n  and let people in with `mpac-ws invite NAME`")
            }
            _ => ("", ""),
        };
        let tls = if served.pin.is_none() { " --tls-self-signed" } else { "" };
        return format!(
            "  not possible now: only this machine can reach {}. Start the server with --host 0.0.0.0{port}{profile}{tls}{people}\n",
            address.ip()
        );
    }
    let host = match served.reachable_as {
        Some(ip) if address.ip().is_unspecified() => SocketAddr::new(ip, address.port()).to_string(),
        None if address.ip().is_unspecified() => format!("NAME-OF-THIS-MACHINE:{}", address.port()),
        _ => address.to_string(),
    };
    let scheme = if served.pin.is_some() { "wss" } else { "ws" };
    commands(served, &format!("{scheme}://{host}{path}"), session)
}

/// How other machines reach a server on this port of this one, as far as that can be told.
pub(crate) fn outward_url(tls: bool, port: u16) -> String {
    let scheme = if tls { "wss" } else { "ws" };
    match outward_address(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)) {
        Some(ip) => format!("{scheme}://{}", SocketAddr::new(ip, port)),
        None => format!("{scheme}://NAME-OF-THIS-MACHINE:{port}"),
    }
}

/// What clients may call a server that listens on `address` because of `host`.
pub(crate) fn names(host: &str, listens: IpAddr) -> Vec<String> {
    let shown = outward_address(listens).unwrap_or(listens);
    let mut names: Vec<String> = [host.to_owned(), shown.to_string()]
        .into_iter()
        .filter(|name| name != "0.0.0.0" && name != "::")
        .collect();
    names.dedup();
    names
}

/// A listener on every address is reached from here by the loopback one.
pub(crate) fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The address this machine would speak from, asked of its own routing table; nothing is sent.
pub(crate) fn outward_address(listening_on: IpAddr) -> Option<IpAddr> {
    if !listening_on.is_unspecified() {
        return None;
    }
    // 192.0.2.1 is set aside for documentation: no machine has it, and connecting a datagram socket sends nothing.
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

/// Whether people on other machines could do what they like.
pub(crate) fn is_exposed(settings: &Settings, at: IpAddr) -> bool {
    !at.is_loopback() && settings.security.security_profile == SecurityProfile::Open
}

/// What an operator should know before it is too late.
pub(crate) fn warning(settings: &Settings, address: SocketAddr) -> Option<String> {
    let (ip, port) = (address.ip(), address.port());
    if is_exposed(settings, ip) {
        return Some(format!(
            "the session is open and {ip} can be reached from other machines: anybody who reaches port {port} can read and \
             change the shared files. Use it in networks you trust only"
        ));
    }
    let security = &settings.security;
    let in_the_clear = security.tls_cert.is_none() && !security.tls_self_signed && !ip.is_loopback();
    (in_the_clear && security.security_profile == SecurityProfile::Authenticated).then(|| {
        format!(
            "there is no TLS and {ip} can be reached from other machines: whoever listens in between reads the keys of those who \
             join and all shared files. Add --tls-self-signed, or --tls-cert and --tls-key; without, use it behind something \
             that speaks TLS for it"
        )
    })
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// For a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// For Python, whose string literals are close enough to JSON's.
fn python(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::session::Template;
    use crate::workspace::File;

    #[test]
    fn keys_that_go_through_the_clear_are_warned_of() {
        let warned = |flags: &[&str], address: &str| {
            let settings = Settings::try_parse_from([&["mpac-ws"], flags].concat()).unwrap();
            warning(&settings, address.parse().unwrap())
        };
        let told = warned(&["--security-profile=authenticated"], "192.0.2.7:1").unwrap();
        assert!(told.contains("--tls-self-signed"), "{told}");
        assert_eq!(warned(&["--security-profile=authenticated"], "127.0.0.1:1"), None);
        assert_eq!(warned(&["--security-profile=authenticated", "--tls-self-signed"], "192.0.2.7:1"), None);
    }

    fn text(flags: &[&str], address: &str, skipped: &[Skipped]) -> String {
        let settings = Settings::try_parse_from([&["mpac-ws"], flags].concat()).unwrap();
        let is_tls = settings.security.tls_self_signed || settings.security.tls_cert.is_some();
        let mut workspace = Workspace::default();
        workspace.put("a.py", File::new("x".into()));
        let address = address.parse().unwrap();
        let session = Template::new(&settings, Workspace::default()).unwrap().configured().clone();
        banner(&Served {
            settings: &settings,
            session: &session,
            workspace: &workspace,
            skipped,
            address,
            stored: None,
            pin: is_tls.then(|| "sha256:1a2b".to_owned()),
            signs_with: None,
            reachable_as: None,
        })
    }

    fn first_url(text: &str) -> &str {
        let start = text.find("ws://").unwrap();
        text[start..].split_whitespace().next().unwrap()
    }

    #[test]
    fn the_first_url_is_the_one_to_connect_to() {
        assert_eq!(first_url(&text(&[], "127.0.0.1:8766", &[])), "ws://127.0.0.1:8766");
        assert_eq!(first_url(&text(&[], "0.0.0.0:81", &[])), "ws://127.0.0.1:81");
        assert_eq!(first_url(&text(&[], "[::1]:81", &[])), "ws://[::1]:81");
        assert_eq!(
            first_url(&text(&["--multi-session"], "127.0.0.1:1", &[])),
            "ws://127.0.0.1:1/session/demo"
        );
    }

    #[test]
    fn the_session_is_shown_as_it_is_not_as_the_flags_say() {
        let config = r#"{"protocol_level":"0.1.15","compliance_profile":"governance"}"#;
        let shown = text(&["--session-config", config], "127.0.0.1:1", &[]);
        assert!(shown.contains("protocol 0.1.15, post_commit, governance, open"), "{shown}");
    }

    #[test]
    fn writing_back_is_offered_only_where_it_can_be_had() {
        let one = text(&["--workspace=x"], "127.0.0.1:1", &[]);
        let many = text(&["--workspace=x", "--multi-session"], "127.0.0.1:1", &[]);
        assert!(one.contains("--write-back turns it on") && !many.contains("--write-back"), "{one}{many}");
    }

    #[test]
    fn the_session_is_in_the_command_only_where_it_is_needed() {
        assert!(text(&[], "127.0.0.1:1", &[]).contains("-- ws://127.0.0.1:1 --name Bob"));
        let named = text(&["--session", "team a"], "127.0.0.1:1", &[]);
        assert!(named.contains("-- ws://127.0.0.1:1 --session 'team a' --name Bob"), "{named}");
        assert!(named.contains(r#"connect("ws://127.0.0.1:1", "team a"))"#), "{named}");
    }

    #[test]
    fn a_local_server_says_how_to_open_it_up() {
        assert!(
            text(&["--port", "9"], "127.0.0.1:9", &[])
                .contains("--host 0.0.0.0 --port 9 --security-profile authenticated")
        );
        assert!(
            text(&[], "192.0.2.7:8766", &[])
                .contains("another machine:\n  cargo run -p mpac-agent -- ws://192.0.2.7:8766")
        );
        assert!(text(&[], "0.0.0.0:8766", &[]).contains("ws://NAME-OF-THIS-MACHINE:8766"));
    }

    #[test]
    fn what_it_says_to_run_can_be_run() {
        let local = |flags: &[&str]| text(flags, "127.0.0.1:1", &[]);
        assert!(local(&[]).contains(" --security-profile authenticated --tls-self-signed,\n"));
        // Only one of the two certificates can be chosen.
        let own = local(&["--tls-cert=c", "--tls-key=k"]);
        assert!(own.contains("--security-profile authenticated,\n") && !own.contains("self-signed"), "{own}");
        assert!(own.contains("python3"), "{own}");
        let self_signed = local(&["--tls-self-signed"]);
        assert!(
            self_signed.contains("--pin sha256:1a2b") && !self_signed.contains("python3"),
            "{self_signed}"
        );
    }

    #[test]
    fn where_keys_are_needed_the_banner_says_how_to_get_one() {
        let text = text(&["--security-profile=authenticated"], "192.0.2.7:8766", &[]);
        assert!(text.contains("MPAC_CREDENTIAL=api_key:KEY") && text.contains("mpac-ws invite"), "{text}");
        assert!(!text.contains("python3"), "it would be refused: {text}");
    }

    #[test]
    fn skipped_files_are_counted_and_the_first_are_named() {
        let skipped: Vec<Skipped> = ["0.png", "1\n\x1b[1m.png", "2.png", "3.png", "4.png"]
            .map(|path| Skipped { path: path.to_owned(), reason: "not UTF-8 text".to_owned() })
            .into();
        let text = text(&[], "127.0.0.1:1", &skipped);
        let named = r#"5 files: "0.png" (not UTF-8 text), "1\n\u{1b}[1m.png" (not UTF-8 text), "2.png""#;
        assert!(text.contains(named), "{text}");
        assert!(text.contains("in the log") && !text.contains("3.png"), "{text}");
    }

    #[test]
    fn an_open_session_on_a_network_is_warned_about() {
        let settings = Settings::try_parse_from(["mpac-ws"]).unwrap();
        assert_eq!(warning(&settings, "127.0.0.1:1".parse().unwrap()), None);
        assert!(
            warning(&settings, "0.0.0.0:1".parse().unwrap()).unwrap().contains("anybody who reaches port 1")
        );
    }
}
