//! What the operator reads: lines on stderr, and nobody waits for their reader.
//!
//! A busy session says a line for each message, so that what one costs is a good part of what a message costs.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::thread::sleep;
use std::time::Duration;

use tracing::field::Field;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Format, Full, Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FormatFields, SubscriberBuilder};

use crate::clock;
use crate::error::Error;

/// Lines that may wait for whoever reads stderr; more are lost, and counted.
const LINES: usize = 8192;
/// Bytes of them that are written at once: as many as a pipe takes without somebody else's in between (`PIPE_BUF`).
const AT_ONCE: usize = 4096;
/// How long the lines that follow one may wait, so that they are written together. A process that is killed has not written those of
/// its last milliseconds.
const GATHER: Duration = Duration::from_millis(5);

/// Stderr, written to by a thread of its own: a pipe that nobody reads must hold up neither a session nor the stop. When this is
/// dropped, what waits is written, if that takes no longer than a second.
#[derive(Debug)]
pub struct Stderr {
    lines: NonBlocking,
    _written_at_the_end: WorkerGuard,
}

impl Stderr {
    /// Starts the thread.
    pub fn open() -> Self {
        let gathering = Gathering(BufWriter::with_capacity(AT_ONCE, io::stderr()));
        let (lines, guard) =
            NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).finish(gathering);
        Self { lines, _written_at_the_end: guard }
    }

    /// A line, if it has room.
    pub fn say(&self, line: &str) {
        // In one piece: each call is an entry of its own in the queue.
        let _ = self.lines.clone().write_all(format!("{line}\n").as_bytes());
    }

    /// Lines that had no room so far.
    pub fn lost(&self) -> usize {
        self.lines.error_counter().dropped_lines()
    }

    /// Writes from now on what this program and its libraries tell, as far as `filter` lets it through; in colours on a terminal,
    /// unless `NO_COLOR` is set.
    ///
    /// # Errors
    /// When there is no such filter.
    pub fn log(&self, filter: &str) -> Result<(), Error> {
        let parsed = EnvFilter::try_new(filter)
            .map_err(|error| Error::Log { filter: filter.to_owned(), reason: error.to_string() })?;
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        written()
            .with_env_filter(parsed)
            .with_writer(self.lines.clone())
            .with_ansi(io::stderr().is_terminal() && !is_plain)
            .init();
        Ok(())
    }
}

/// How a line looks: time, level, message, fields.
fn written() -> SubscriberBuilder<impl for<'w> FormatFields<'w> + Send + Sync + 'static, Format<Full, Now>> {
    tracing_subscriber::fmt()
        .with_target(false)
        .with_timer(Now)
        .fmt_fields(debug_fn(write_field).delimited(" "))
}

/// Writes at once what has come, and then waits for more: on one core, a thread that is woken for each line takes the core from the
/// sessions, with four calls into the system to fall asleep again.
struct Gathering<W: Write>(BufWriter<W>);

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// Called when nothing more waits, and at the end.
    fn flush(&mut self) -> io::Result<()> {
        if !self.0.buffer().is_empty() {
            // Who should be told that nobody can be told? And the thread would forget, over an error, that it has to end.
            let _ = self.0.flush();
            sleep(GATHER);
        }
        Ok(())
    }
}

/// The time of the sessions: where the system's clock is set back, it goes on until that has caught up. The library's own takes three
/// times as long.
struct Now;

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", clock::now())
    }
}

/// The message as it is, anything else with its name.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let mut clean = Clean(writer);
    match field.name() {
        "message" => write!(clean, "{value:?}"),
        name => write!(clean, "{name}={value:?}"),
    }
}

/// Lets no terminal codes through: some of what is written comes from strangers. The library looks for them character by character.
struct Clean<W>(W);

impl<W: fmt::Write> fmt::Write for Clean<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The second byte of the codes beyond ASCII is behind this first one. Without a way out in the middle, many bytes are
        // looked at in one step.
        let suspect = |byte: u8| matches!(byte, 0..b' ' | 0x7F | 0xC2);
        if !text.bytes().fold(false, |found, byte| found | suspect(byte)) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| match c {
            '\n' | '\t' => self.0.write_char(c),
            c if c.is_control() => write!(self.0, "{}", c.escape_default()),
            c => self.0.write_char(c),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::ErrorKind;
    use std::sync::{Arc, LazyLock, Mutex};
    use std::time::Instant;

    use tracing::Dispatch;
    use tracing::subscriber::{NoSubscriber, with_default};

    use super::*;

    /// Where there is only one subscriber, whether a line is wanted is asked of the thread that comes by it first: another test's,
    /// which has none, and then nobody hears of it. So there are two.
    static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

    /// What the operator reads of what this thread does.
    pub(crate) fn told(act: impl FnOnce()) -> String {
        LazyLock::force(&ANOTHER);
        let kept = Kept::default();
        let writer = kept.clone();
        with_default(written().with_ansi(false).with_writer(move || writer.clone()).finish(), act);
        kept.text()
    }

    /// Keeps what is written in one call.
    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().concat()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn terminal_codes_are_spelled_and_everything_else_is_as_it_was() {
        let clean = |text: &str| {
            let mut clean = Clean(String::new());
            clean.write_str(text).unwrap();
            clean.0
        };
        for same in ["", "a line: \"é\" {}\\ ° ü 語", "two\n\tlines"] {
            assert_eq!(clean(same), same);
        }
        assert_eq!(
            clean("\u{1b}[31mred\r\u{7}\u{7f}\u{9b}0m é"),
            "\\u{1b}[31mred\\r\\u{7}\\u{7f}\\u{9b}0m é"
        );
    }

    #[test]
    fn a_line_is_the_time_the_level_the_message_and_its_fields() {
        let text = told(|| tracing::warn!(conns = 2, name = "a\rb", "it is {}", "\u{1b}so"));
        let (time, rest) = text.split_at("2026-01-02T03:04:05.123456Z".len());
        mpac_wire::Timestamp::parse(time).unwrap();
        assert_eq!(rest, "  WARN it is \\u{1b}so conns=2 name=\"a\\rb\"\n");
    }

    #[test]
    fn lines_that_come_together_are_written_together_and_none_is_lost() {
        let kept = Kept::default();
        let gathering = Gathering(BufWriter::with_capacity(AT_ONCE, kept.clone()));
        let (mut lines, guard) = NonBlockingBuilder::default().lossy(false).finish(gathering);
        let expected: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        let begun = Instant::now();
        for line in expected.split_inclusive('\n') {
            lines.write_all(line.as_bytes()).unwrap();
        }
        drop(guard);
        assert_eq!(kept.text(), expected);
        // Beside those that a full buffer leads to, there is one at the most before each wait.
        let most =
            expected.len() / (AT_ONCE - 10) + 2 + (begun.elapsed().as_millis() / GATHER.as_millis()) as usize;
        let writes = kept.0.lock().unwrap();
        assert!(writes.len() <= most, "{} writes, at most {most}", writes.len());
        assert!(writes.iter().all(|write| write.ends_with(b"\n")), "no line is torn");
    }

    /// Takes nothing.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error_which_would_keep_the_thread_from_ending() {
        let mut gathering = Gathering(BufWriter::with_capacity(AT_ONCE, Closed));
        gathering.write_all(b"a line\n").unwrap();
        gathering.flush().unwrap();
        gathering.flush().unwrap();
    }
}
