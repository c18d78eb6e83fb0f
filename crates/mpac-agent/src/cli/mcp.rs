//! `mpac-agent mcp`.

use clap::Args;

use super::connection::Joining;

/// What it is, for `--help`.
pub const HELP: &str = "\
Speaks the Model Context Protocol on standard input and output, so the host starts it; nothing else goes to standard output, and
what is worth knowing goes to standard error. It joins the session as soon as it is started. Where that fails, the tools say why
and every call tries again. When the host goes (its end of the pipe closes), what was announced here is withdrawn.

Claude Code:
  claude mcp add mpac --env MPAC_URL=ws://127.0.0.1:8766 --env MPAC_NAME=Bob -- mpac-agent mcp
Cursor (.cursor/mcp.json), and any other host:
  {\"mcpServers\": {\"mpac\": {\"command\": \"mpac-agent\", \"args\": [\"mcp\"],
    \"env\": {\"MPAC_URL\": \"ws://127.0.0.1:8766\", \"MPAC_NAME\": \"Bob\"}}}}

Exit codes: 0 the host went, or it was stopped; 1 the pipe failed; 2 bad usage.";

/// Options of `mcp`.
#[derive(Debug, Args)]
#[command(mut_arg("json", |arg| arg.hide(true)), after_help = HELP)]
pub struct Mcp {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a documented group of options would get this as its heading")]
    pub joining: Joining,
}
