//! The command line.

pub mod connection;
pub mod exit;
pub mod heartbeat;
pub mod key;
pub mod mcp;
pub mod parse;
pub mod security;
pub mod task;
mod thinking;
pub mod verb;
mod words;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use mpac_wire::{PrincipalId, SessionId};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

use crate::agent::ConnectOptions;
use crate::connection::{Header, Pin, Route};
use crate::console::Layout;
use crate::error::AgentError;

pub use self::key::Key;
pub use self::mcp::Mcp;
pub use self::security::Signatures;
pub use self::thinking::Thinking;
pub use self::verb::Verb;

const AFTER_HELP: &str = "\
There must be a coordinator to join. This one shares a directory and prints the address to give here:
  cargo run -p mpac-ws -- --workspace DIR

Examples:
  One task, then leave:
    mpac-agent ws://127.0.0.1:8766 --name Bob --task \"Make the login compare in constant time\"
  Stay and type tasks, with the work of others shown as it happens (`help` at its prompt lists what can be typed):
    mpac-agent ws://127.0.0.1:8766 --name Bob
  The same from the environment:
    export MPAC_URL=ws://127.0.0.1:8766 MPAC_NAME=Bob
    mpac-agent
  A session of a multi-session coordinator, through a tunnel that wants a header:
    mpac-agent wss://example.org/session/team-a --name Bob --header 'X-Tunnel: token'
  A coordinator with keys and a certificate of its own:
    MPAC_CREDENTIAL=api_key:mpac_... mpac-agent wss://example.org:8766 --name Bob --pin sha256:...
  A verified session, where everything is signed (mpac-agent key new, and mpac-ws cert issue, make the files):
    mpac-agent wss://example.org:8766 --name Bob --key agent-Bob.key.pem --chain agent-Bob.pem --pin sha256:...
  See what it would do, for at most half a dollar:
    mpac-agent ws://127.0.0.1:8766 --name Bob --task \"Fix it\" --dry-run --budget-usd 0.50
  Without a key, with answers from a program of your own (fixtures/brain/README.md tells how):
    mpac-agent ws://127.0.0.1:8766 --name Bob --brain-command \"python3 brain.py\"
  One task for a script to read: what happens as lines of JSON, and what became of it as the last
    mpac-agent task \"Fix it\" --json
  One thing, and leave: who is at work, a commit, a conflict acknowledged (--help of each verb tells more)
    mpac-agent who
    mpac-agent commit money.py --from fixed.py -m \"round half to even\" --json
  As tools in Claude Code, Cursor or another MCP host, which starts it (mpac-agent mcp --help tells how):
    MPAC_URL=ws://127.0.0.1:8766 MPAC_NAME=Bob mpac-agent mcp
  Without a key, with answers from a file (its keys stand in crates/mpac-agent/src/brain/scripted.rs):
    mpac-agent ws://127.0.0.1:8766 --name Bob --script bob.json --task \"Fix it\"

A connection that breaks is tried again by itself, at once and then up to 30 s apart. What was
under way is looked for, and sent again only if it did not arrive; a task goes on where it stood.
  Where a standby may take over (it gets the same --header):
    mpac-agent ws://primary.example:8766 --also ws://standby.example:8766 --name Bob

Environment:
  MPAC_URL, MPAC_NAME, MPAC_SESSION, MPAC_PRINCIPAL_ID, MPAC_PIN, MPAC_CREDENTIAL_FILE
                      the same as the address (--url of verbs), --name, --session, --principal-id, --pin, --credential-file;
                      what stands on the command line counts before them
  ANTHROPIC_API_KEY   the key for Claude; needed unless --brain-command or --script is given
  MPAC_CREDENTIAL     what to join with where the session asks for it, as TYPE:VALUE (api_key:mpac_...)
  MPAC_KEY, MPAC_CHAIN, MPAC_COORDINATOR_KEY, MPAC_RECORD
                      the same as --key, --chain, --coordinator-key, --record
  ANTHROPIC_BASE_URL  another address for the Messages API
  XDG_STATE_HOME      what is typed at the prompt is remembered below it, in mpac-agent/history [default: ~/.local/state];
                      a line that begins with a blank is not
  NO_COLOR            set to anything: no colours
  CLICOLOR_FORCE      set to anything but 0: colours even when the output is no terminal

A dry run joins the session, so the others see that the agent is there; it announces no intent and sends no commit.

Exit codes of verbs stand in their --help. With --task: 0 committed (or nothing had to change, or a dry run), 3 yielded to somebody else, 1 failed, declined, or only some of the files committed, 2 bad usage, 6 broken off, and it is not known whether something was committed.";

/// Joins an MPAC session as an agent: plans with Claude, tells the others what it is about to do, learns of
/// overlaps, and commits files.
#[derive(Debug, Parser)]
#[command(
    name = "mpac-agent",
    version,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub struct Program {
    /// Join a session.
    #[command(flatten)]
    pub join: Option<Cli>,
    /// Who thinks, and how much. (Clap knows no optional group with another one inside.)
    #[command(flatten)]
    pub thinking: Thinking,
    /// Signatures, and what is written down.
    #[command(flatten)]
    pub signatures: Signatures,
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does beside joining with a task or a terminal.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One thing done in a session.
    #[command(flatten)]
    Verb(Box<Verb>),
    /// Make a key to sign messages with, or see one
    #[command(subcommand)]
    Key(Key),
    /// Bring an MCP host (Claude Code, Cursor, ...) into a session, as tools for its model
    Mcp(Box<Mcp>),
    /// Print what makes your shell complete this program's verbs and options
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(Completions),
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

const COMPLETIONS_HELP: &str = "\
  bash  mpac-agent completions bash > ~/.local/share/bash-completion/completions/mpac-agent
  zsh   mpac-agent completions zsh > \"${fpath[1]}/_mpac-agent\"
  fish  mpac-agent completions fish > ~/.config/fish/completions/mpac-agent.fish";

/// What joining takes.
#[derive(Debug, Args)]
pub struct Cli {
    /// The coordinator: ws://HOST:PORT, or wss://HOST/session/ID
    #[arg(env = "MPAC_URL")]
    pub url: Option<String>,
    /// Your agent's name, shown to everybody in the session
    #[arg(long, env = "MPAC_NAME")]
    pub name: Option<String>,
    /// Another address of the same coordinator or of its standby, tried after the first; may be repeated
    #[arg(long = "also", value_name = "URL")]
    pub also: Vec<String>,
    /// After a broken connection look for the coordinator for so many seconds; 0 never does
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub reconnect_for_sec: u32,
    /// The session to join [default: ID if the address ends in /session/ID, else "default"]
    #[arg(long, env = "MPAC_SESSION", value_name = "ID")]
    pub session: Option<String>,
    /// What to do; without it the agent is interactive
    #[arg(long, value_name = "TEXT")]
    pub task: Option<String>,
    /// A role to ask for; may be repeated
    #[arg(long = "role", default_value = "contributor", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// The agent's identity [default: "agent:NAME"]
    #[arg(long, env = "MPAC_PRINCIPAL_ID", value_name = "ID")]
    pub principal_id: Option<String>,
    /// An extra header of the WebSocket handshake; may be repeated
    #[arg(long = "header", value_parser = parse_header, value_name = "'Name: value'")]
    pub headers: Vec<Header>,
    /// The coordinator's certificate, by its fingerprint: for one that nobody vouches for
    #[arg(long, env = "MPAC_PIN", value_parser = parse_pin, value_name = "sha256:HEX")]
    pub pin: Option<Pin>,
    /// A file with the credential to join with, as TYPE:VALUE; MPAC_CREDENTIAL is read without it
    #[arg(long, env = "MPAC_CREDENTIAL_FILE", value_name = "FILE")]
    pub credential_file: Option<PathBuf>,
    /// Interactive: commit without asking (with --task it never asks)
    #[arg(long)]
    pub yes: bool,
    /// Interactive: ask how the session stands in the way of mpac 0.2's servers; ours tell it unasked, those of mpac 0.1 hang up on it
    #[arg(long, conflicts_with = "task")]
    pub ask_summary: bool,
    /// How changes are shown; auto takes side-by-side from 120 columns on
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub diff: Layout,
}

/// What the command line says, checked.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where to connect.
    pub route: Route,
    /// The session to join.
    pub session: SessionId,
    /// The own identity.
    pub principal: PrincipalId,
}

impl Cli {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// [`AgentError::Usage`] naming the option and the remedy.
    pub fn place(&self) -> Result<Place, AgentError> {
        if self.task.as_ref().is_some_and(|task| task.trim().is_empty()) {
            let text = "--task is empty; say what to do, or leave it out to be asked";
            return Err(AgentError::Usage(text.to_owned()));
        }
        let (route, identity) = self.options()?.place()?;
        Ok(Place { route, session: identity.session, principal: identity.principal })
    }

    /// Where to join, and as whom, without secrets and keys.
    ///
    /// # Errors
    /// [`AgentError::Usage`] when the address or the name is missing.
    pub(crate) fn options(&self) -> Result<ConnectOptions, AgentError> {
        let usage = |text: &str| AgentError::Usage(text.to_owned());
        // A variable that is set to nothing says nothing.
        let url = self.url.as_deref().filter(|url| !url.is_empty()).ok_or_else(|| {
            usage("say where the coordinator is, as in `mpac-agent ws://127.0.0.1:8766 --name Bob`, or with MPAC_URL")
        })?;
        if !url.contains("://") {
            let is_verb = Program::command().find_subcommand(url).is_some();
            return Err(AgentError::Usage(match is_verb {
                true => format!(
                    "`{url}` comes first, and all options after it, as in `mpac-agent {url} --name Bob`"
                ),
                false => {
                    format!(
                        "`{url}` is no verb (see --help) and no address, which begins with ws:// or wss://"
                    )
                }
            }));
        }
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| usage("say whose agent this is, with --name or MPAC_NAME, as in --name Bob"))?;
        let mut options = ConnectOptions::new(url, name);
        options.session.clone_from(&self.session);
        options.principal_id.clone_from(&self.principal_id);
        options.roles.clone_from(&self.roles);
        options.also.clone_from(&self.also);
        options.headers.clone_from(&self.headers);
        options.pin.clone_from(&self.pin);
        options.patience = Duration::from_secs(self.reconnect_for_sec.into());
        options.asks_summary = self.ask_summary;
        Ok(options)
    }
}

pub(crate) fn parse_pin(text: &str) -> Result<Pin, String> {
    Pin::parse(text)
        .ok_or_else(|| "give the 64 hexadecimal digits of a SHA-256, as the coordinator prints it".to_owned())
}

pub(crate) fn parse_header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name =
        HeaderName::try_from(name.trim()).map_err(|_| format!("`{}` is no header name", name.trim()))?;
    let value = HeaderValue::try_from(value.trim())
        .map_err(|_| "the value has characters no header can hold".to_owned())?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(arguments: &[&str]) -> Result<Place, AgentError> {
        let all = ["mpac-agent"].iter().chain(arguments);
        Program::try_parse_from(all).unwrap().join.unwrap().place()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Program::command().debug_assert();
    }

    #[test]
    fn a_verb_is_no_address_and_an_address_no_verb() {
        let parse = |arguments: &[&str]| Program::try_parse_from(["mpac-agent"].iter().chain(arguments));
        let verb = parse(&["who", "--url", "ws://h:1"]).unwrap();
        assert!(verb.join.is_none());
        assert!(matches!(verb.command, Some(Command::Verb(verb)) if matches!(*verb, Verb::Who(_))));
        let task = parse(&["ws://h:1", "--name", "Bob", "--task", "who"]).unwrap();
        assert!(task.join.is_some() && task.command.is_none());
        for wrong in [&["ws://h:1", "--name", "Bob", "who"][..], &["commit", "a.py"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse(&[]).unwrap().join.is_none());
    }

    #[test]
    fn options_before_a_verb_are_told_their_place() {
        for verb in ["who", "log"] {
            let told = place(&["--name", "Bob", verb]).unwrap_err().to_string();
            assert!(
                told.contains("comes first") && told.contains(&format!("mpac-agent {verb} --name")),
                "{told}"
            );
        }
        assert!(place(&["--name", "Bob", "whoo"]).unwrap_err().to_string().contains("no verb"));
    }

    #[test]
    fn the_session_comes_from_the_option_then_the_path_then_is_default() {
        let session = |arguments: &[&str]| place(arguments).unwrap().session.to_string();
        assert_eq!(session(&["ws://h:1", "--name", "Bob"]), "default");
        assert_eq!(session(&["ws://h:1/session/a", "--name", "Bob"]), "a");
        assert_eq!(session(&["ws://h:1/session/a", "--name", "Bob", "--session", "b"]), "b");
    }

    #[test]
    fn the_principal_follows_the_name_unless_given() {
        assert_eq!(place(&["ws://h:1", "--name", "Bob"]).unwrap().principal.as_str(), "agent:Bob");
        let given = place(&["ws://h:1", "--name", "Bob", "--principal-id", "agent:bob@laptop"]).unwrap();
        assert_eq!(given.principal.as_str(), "agent:bob@laptop");
    }

    #[test]
    fn other_addresses_are_checked_like_the_first() {
        let also = |url: &str| place(&["ws://h:1", "--name", "Bob", "--also", "ws://h:2", "--also", url]);
        assert!(also("wss://h:3/session/a").is_ok());
        let error = also("h:3").unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().starts_with("h:3 "), "{error}");
    }

    #[test]
    fn headers_are_name_and_value() {
        let (name, value) = parse_header("Authorization: Bearer a:b").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer a:b"));
        assert!(parse_header("no colon").is_err());
        assert!(parse_header("bad name: x").is_err());
        assert!(parse_header("x: a\nb").is_err());
    }

    #[test]
    fn empty_values_are_usage_mistakes() {
        for arguments in [
            ["ws://h:1", "--name", " "].as_slice(),
            &["ws://h:1", "--name", "Bob", "--task", " "],
            &["ws://h:1", "--name", "Bob", "--session", ""],
            &["ws://h:1", "--name", "Bob", "--principal-id", ""],
            &["ws://h:1", "--name", ""],
            &["ws://h:1"],
            &["--name", "Bob"],
            &["whoo", "--name", "Bob"],
        ] {
            assert_eq!(place(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }
}
