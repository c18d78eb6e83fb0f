//! An MPAC agent: joins a coordinator, plans with Claude, announces what it is about to do, settles conflicts,
//! and commits files.
//!
//! | module | holds |
//! |---|---|
//! | [`agent`] | a participant as a value, to be embedded: verbs, events, the view |
//! | [`cli`], [`verb`] | the command line, and its verbs on top of that |
//! | [`mcp`] | the tools and resources of a session, for a model in an MCP host |
//! | [`security`], [`key_file`], [`chain`], [`known`], [`signing`] | where messages are signed: our key, whose it is, and whom we believe |
//! | [`witness`] | every frame, written down |
//! | [`connection`], [`arrival`], [`history`] | the socket's tasks, breaks included; what a frame is; what has been seen |
//! | [`session`], [`view`], [`report`] | questions and their answers, the others, lines about them |
//! | [`task`] | the workflow from plan to commit |
//! | [`decide`] | the judgement in it, pure |
//! | [`brain`], [`prompt`], [`tools`] | who thinks: Claude, a program of your own, or a script; what it is asked and how it answers |
//! | [`interactive`], [`console`], [`diff`] | the terminal |
//!
//! The agent holds no rule of the coordinator's: what it may do is for the coordinator to say, and the agent
//! reads the answer.

pub mod agent;
pub mod arrival;
pub mod brain;
pub mod chain;
pub mod cli;
mod clock;
pub mod connection;
pub mod console;
pub mod credential;
pub mod decide;
pub mod diff;
pub mod error;
pub mod history;
pub mod interactive;
pub mod key_file;
pub mod known;
pub mod mcp;
pub mod naming;
mod new_key;
mod private_file;
pub mod prompt;
pub mod report;
pub mod security;
pub mod session;
pub mod signing;
pub mod task;
pub mod tools;
pub mod verb;
pub mod view;
pub mod witness;

use std::io::{ErrorKind, Write as _};

use mpac_wire::Credential;
use mpac_wire::names::{GoodbyeReason, Role};
use mpac_wire::payload::session::{Backend, Hello};

use agent::{Agent, Event, Events, Leaving};
use brain::Brain;
use clap::CommandFactory as _;
use clap_complete::Shell;
use cli::{Cli, Command, Program, Thinking};
use connection::Identity;
use console::{Console, Screen, Style, aside};
use error::AgentError;
use futures::FutureExt as _;
use interactive::Keyboard;
use naming::Naming;
use security::{Connected, Security};
use session::Session;
use task::{TaskOptions, find_out, run_task, undecided};

/// What the agent can do, for HELLO. No more than it does.
const CAPABILITIES: [&str; 6] = [
    "intent.broadcast",
    "intent.withdraw",
    "op.commit",
    "op.batch_commit",
    "conflict.ack",
    "causality.lamport_clock",
];

/// Runs the agent and returns its exit code: 0 committed or left, 1 failed, 2 bad usage, 3 yielded, 6 broken off
/// in the midst of a commit of which nobody knows what became.
///
/// A verb's exit code is that of [`cli::exit`].
pub async fn run(asked: Program) -> u8 {
    let done = match (&asked.command, &asked.join) {
        (Some(Command::Verb(verb)), _) => return verb::run(verb, verb::standard()).await,
        (Some(Command::Mcp(it)), _) => mcp::run(it).await.map(|()| 0),
        (Some(Command::Key(key)), _) => new_key::run(key).and_then(|told| print(told.as_bytes())).map(|()| 0),
        (Some(Command::Completions(it)), _) => completions(it.shell).map(|()| 0),
        (None, Some(cli)) => start(cli, &asked.thinking, &asked.signatures.options()).await,
        (None, None) => Err(AgentError::Usage(
            "say which coordinator to join, as in `mpac-agent ws://127.0.0.1:8766 --name Bob`, or with MPAC_URL and MPAC_NAME; see --help"
                .to_owned(),
        )),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // It may quote what others wrote.
            aside(&format!("error: {}\n", report::one_line(&diff::printable(&error.to_string()))));
            error.exit_code()
        }
    }
}

/// Into memory first: clap_complete panics where it cannot write.
fn completions(shell: Shell) -> Result<(), AgentError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "mpac-agent", &mut script);
    print(&script)
}

fn print(text: &[u8]) -> Result<(), AgentError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(AgentError::Unwritten(error.to_string())),
        // A closed pipe is a reader who has seen enough.
        _ => Ok(()),
    }
}

async fn start(cli: &Cli, thinking: &Thinking, security: &Security) -> Result<u8, AgentError> {
    let place = cli.place()?;
    let secret = credential::given(cli.credential_file.as_deref())?;
    let (recorder, history) = history::channel();
    let mut brain = thinking.brain(cli.name.as_deref().unwrap_or_default(), history.clone())?;
    let options = thinking.task_options();
    let Some(task) = &cli.task else {
        let mut joining = cli.options()?;
        joining.credential = secret;
        joining.security = security.clone();
        joining.backend = backend(&*brain);
        let joined = Agent::connect_noting(joining, (recorder, history)).await?;
        return stay(cli, joined, &mut *brain, options).await;
    };
    let identity = Identity { principal: place.principal.clone(), session: place.session };
    let Connected { connection, credential, warning } =
        security.connect(place.route, identity, secret, recorder).await?;
    if let Some(warning) = warning {
        aside(&format!("warning: {}\n", diff::printable(&warning)));
    }
    let name = cli.name.as_deref().unwrap_or_default();
    let mut session = Session::new(place.principal, connection, Console::on(Screen::stdout(cli.diff)));
    if let Err(error) = session.join(hello(name, &cli.roles, credential, &*brain).into()).await {
        if session.is_in() {
            session.leave(GoodbyeReason::Error).await;
        }
        return Err(error);
    }
    one_task(session, &mut *brain, &mut Naming::new(name), &options, task).await
}

fn hello(name: &str, roles: &[String], credential: Option<Credential>, brain: &dyn Brain) -> Hello {
    let mut hello = Hello::new(name.to_owned(), CAPABILITIES.map(str::to_owned).to_vec());
    hello.roles = Some(roles.iter().map(|role| Role::from(role.as_str())).collect());
    hello.credential = credential;
    hello.backend = backend(brain);
    hello
}

fn backend(brain: &dyn Brain) -> Option<Backend> {
    brain.model_id().map(|model| Backend::new(model, "anthropic".to_owned()))
}

/// The terminal, until its person leaves.
async fn stay(
    cli: &Cli,
    (agent, mut events): (Agent, Events),
    brain: &mut dyn Brain,
    options: TaskOptions,
) -> Result<u8, AgentError> {
    let opened = Keyboard::open(cli.name.as_deref().unwrap_or_default(), cli.diff);
    let ended = match opened {
        Ok(mut keyboard) => {
            // By which key the coordinator signs, and what else there was to say before somebody listened.
            while let Some(Some(event)) = events.next().now_or_never() {
                if let Event::Trust { description, alarming } = event {
                    let style = if alarming { Style::Yellow } else { Style::Dim };
                    keyboard.console().say(style, &report::one_line(&description));
                }
            }
            let ended = agent.run_interactive(brain, options, &mut keyboard, !cli.yes).await;
            keyboard.let_go();
            ended
        }
        Err(error) => Err(error),
    };
    // Where it is over, there is nobody to say goodbye to.
    let _ = agent.leave(Leaving::default()).await;
    ended.map(|()| 0)
}

/// One task; Ctrl-C and the polite kill withdraw and leave.
async fn one_task(
    mut session: Session,
    brain: &mut dyn Brain,
    naming: &mut Naming,
    options: &TaskOptions,
    task: &str,
) -> Result<u8, AgentError> {
    let interrupted = verb::interrupted();
    let outcome = {
        let work = run_task(&mut session, brain, naming, options, task);
        tokio::select! {
            outcome = work => Some(outcome),
            () = interrupted => None,
        }
    };
    let Some(outcome) = outcome else {
        let done = options.tally.outcome();
        let found = find_out(&mut session, &options.tally).await;
        session.abandon("cancelled");
        session.console().say(Style::Yellow, "cancelled; what was committed stays");
        session.leave(GoodbyeReason::UserExit).await;
        // Only the end of its intent was broken off.
        if let Some(done) = done {
            return Ok(done.exit_code());
        }
        return match undecided(AgentError::Interrupted, found) {
            AgentError::Interrupted => Ok(1),
            error => Err(error),
        };
    };
    let reason = if outcome.is_ok() { GoodbyeReason::from("completed") } else { GoodbyeReason::Error };
    session.leave(reason).await;
    outcome.map(|outcome| outcome.exit_code())
}
