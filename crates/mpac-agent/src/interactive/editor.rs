//! What the line editor knows of this program: completion, hints, colours, and what was typed in earlier runs.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Context, Editor, Helper};

use super::board::Board;
use super::complete::complete;
use super::help::entry;
use crate::console::{Palette, Screen, Style};
use crate::diff::columns;

/// The line editor of this program.
pub(super) type LineEditor = Editor<Aid, DefaultHistory>;

/// How many lines are remembered.
const REMEMBERED: usize = 1_000;
/// A file that is larger is none of ours.
const MOST_BYTES: u64 = 4 << 20;
/// What goes on is shown behind the prompt in no more columns than this, and in no less than that.
const STATUS_COLUMNS: (usize, usize) = (60, 10);

/// An editor, and where it remembers lines, if anywhere. A line that begins with a blank is not remembered.
///
/// # Errors
/// Where there is no standard input.
pub(super) fn open(aid: Aid, past: Option<PathBuf>) -> Result<(LineEditor, Option<PathBuf>), ReadlineError> {
    let config = Config::builder()
        .max_history_size(REMEMBERED)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        // Colours are ours to choose, and what goes on is drawn where colours are.
        .color_mode(ColorMode::Forced)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(aid));
    // To remember is a convenience: where it is not possible, this run does without.
    let past =
        past.filter(|path| may_hold_lines(path) && (!path.exists() || editor.load_history(path).is_ok()));
    Ok((editor, past))
}

/// A file of lines, or the place for one.
fn may_hold_lines(path: &Path) -> bool {
    match std::fs::metadata(path) {
        Ok(there) => there.is_file() && there.len() <= MOST_BYTES,
        Err(_) => path.parent().is_some_and(|dir| create_private(dir).is_ok()),
    }
}

/// A directory for its owner alone; one that is there stays as it is.
fn create_private(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

/// Remembers a line, in the file at once: a program that is killed has remembered it. An answer to a question is no line
/// to come back to.
pub(super) fn remember(editor: &mut LineEditor, past: Option<&Path>, line: &str) {
    if line.trim().chars().count() < 2 {
        return;
    }
    let added = editor.add_history_entry(line).unwrap_or(false);
    if let Some(path) = past.filter(|_| added) {
        // As above.
        let _ = editor.append_history(path);
    }
}

/// Helps the editor.
#[derive(Debug)]
pub(super) struct Aid {
    pub(super) board: Arc<Board>,
    pub(super) palette: Palette,
    pub(super) screen: Arc<Screen>,
    /// How many columns the prompt takes.
    pub(super) prompt_columns: usize,
}

/// What stands behind the cursor.
#[derive(Debug)]
pub(super) struct Behind(String);

impl Hint for Behind {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

/// Begins the room for what goes on, which is drawn anew each time: the editor hands back nothing but the text. It looks
/// like a blank.
const STATUS_MARK: char = '\u{a0}';

impl Hinter for Aid {
    type Hint = Behind;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Behind> {
        let room = self.screen.columns()?.saturating_sub(self.prompt_columns + 1);
        if line.is_empty() {
            let room = room.min(STATUS_COLUMNS.0);
            let text: String = std::iter::once(STATUS_MARK).chain(" ".repeat(room).chars().skip(1)).collect();
            return (room >= STATUS_COLUMNS.1).then_some(Behind(text));
        }
        let verb = line.strip_suffix(' ').filter(|verb| pos == line.len() && !verb.contains(' '))?;
        let text = entry(&verb.to_lowercase())?.takes.to_owned();
        let fits = !text.is_empty() && columns(line) + columns(&text) < room;
        fits.then_some(Behind(text))
    }
}

impl Highlighter for Aid {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(self.palette.paint(Style::Bold, prompt))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if !hint.starts_with(STATUS_MARK) {
            return Cow::Owned(self.palette.paint(Style::Dim, hint));
        }
        let room = columns(hint);
        let text = self.board.shown(room);
        let fill = " ".repeat(room.saturating_sub(columns(&text)));
        Cow::Owned(format!("{}{fill}", self.palette.paint(Style::Dim, &text)))
    }
}

impl Completer for Aid {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        // The editor's position is a boundary between letters.
        let (start, found) = complete(line.get(..pos).unwrap_or(line), &self.board.names());
        let pair = |text: String| Pair { display: text.trim_end().to_owned(), replacement: text };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl Validator for Aid {}

impl Helper for Aid {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Layout;
    use crate::diff::printable;

    fn aid() -> Aid {
        let screen = Arc::new(Screen::of(Layout::Auto, || Some(40)));
        Aid { board: Arc::default(), palette: Palette::PLAIN, screen, prompt_columns: 5 }
    }

    fn hint(aid: &Aid, line: &str) -> Option<String> {
        let history = DefaultHistory::new();
        aid.hint(line, line.len(), &Context::new(&history)).map(|hint| hint.0)
    }

    #[test]
    fn what_goes_on_keeps_its_place_behind_the_prompt() {
        let aid = aid();
        let place = hint(&aid, "").unwrap();
        assert_eq!(columns(&place), 34, "it fits the line");
        assert_eq!(aid.highlight_hint(&place), " ".repeat(34));
        aid.board.begin();
        aid.board.progress("planning over a great many files, which takes a while");
        let shown = aid.highlight_hint(&place);
        assert!(shown.starts_with("0:00 planning") && columns(&shown) == 34, "{shown}");
        assert_eq!(printable(&shown), shown);
    }

    #[test]
    fn a_verb_alone_is_told_what_it_takes_where_that_fits() {
        let aid = aid();
        assert_eq!(hint(&aid, "view "), Some("FILE".to_owned()));
        assert_eq!(hint(&aid, "resolve "), None, "too long for this terminal");
        for line in ["view", "view a", "who ", "mend "] {
            assert_eq!(hint(&aid, line), None, "{line}");
        }
    }

    #[test]
    fn lines_are_remembered_by_the_next_run_and_by_their_owner_alone() {
        let dir = std::env::temp_dir().join(format!("mpac-past-{}", std::process::id()));
        let path = dir.join("state/history");
        let lines = || {
            let (editor, past) = open(aid(), Some(path.clone())).unwrap();
            (editor.history().iter().cloned().collect::<Vec<_>>(), past)
        };
        let (mut editor, past) = open(aid(), Some(path.clone())).unwrap();
        for line in ["task mend it", "who", "who", "y", " task in secret", "task a\nb"] {
            remember(&mut editor, past.as_deref(), line);
        }
        assert_eq!(lines().0, ["task mend it", "who", "task a\nb"]);
        #[cfg(unix)]
        for (path, mode) in [(&path, 0o600), (&dir.join("state"), 0o700)] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
        std::fs::write(&path, b"\xff\xfe\n").unwrap();
        assert_eq!(lines().1, None, "what is no history stays as it is");
        assert_eq!(std::fs::read(&path).unwrap(), b"\xff\xfe\n");
        let nowhere = [path.join("below-a-file/history"), dir.clone()];
        for nowhere in nowhere {
            let (mut editor, past) = open(aid(), Some(nowhere)).unwrap();
            remember(&mut editor, past.as_deref(), "who");
            assert_eq!((editor.history().iter().count(), past), (1, None));
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
