//! Reading the keys while something goes on: a task, or nothing but what others do.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::command::Command;
use super::desk::Desk;
use super::help::nearest;
use super::keyboard::{Keyboard, Typed};
use super::question::{Answer, Asked, COMMIT, NOBODY};
use crate::brain::{Note, Notes};
use crate::console::Style;
use crate::diff;
use crate::report::one_line;
use crate::task::Question;

/// How attending ended.
pub(super) enum Attended<T> {
    /// The work ended.
    Done(T),
    Cancelled,
    Leaving,
    /// This is to be worked on.
    Task(String),
}

/// Between the person and the work.
pub(super) struct Attendant<'a> {
    pub(super) desk: Desk,
    keyboard: &'a mut Keyboard,
    questions: mpsc::UnboundedReceiver<Question>,
    heard: mpsc::UnboundedReceiver<Note>,
    /// Who else wants to hear what the brain says.
    listener: Option<Notes>,
    asked: Option<Asked>,
    /// Yes to all of this task.
    agreed: bool,
    /// The input has ended.
    over: bool,
}

impl<'a> Attendant<'a> {
    pub(super) fn new(
        desk: Desk,
        keyboard: &'a mut Keyboard,
        questions: mpsc::UnboundedReceiver<Question>,
        heard: mpsc::UnboundedReceiver<Note>,
        listener: Option<Notes>,
    ) -> Self {
        Self { desk, keyboard, questions, heard, listener, asked: None, agreed: false, over: false }
    }

    /// Reads the keys until the work ends, or a key ends it. `task`: what it works on, if it is one.
    pub(super) async fn attend<T>(
        &mut self,
        work: impl Future<Output = T>,
        task: Option<&str>,
    ) -> Attended<T> {
        self.agreed = false;
        self.desk.task = task.map(|task| (task.to_owned(), Instant::now()));
        if task.is_some() {
            self.desk.board.begin();
        }
        let attended = self.keys(pin!(work)).await;
        self.desk.board.end();
        self.keyboard.redraw();
        (self.desk.task, self.asked) = (None, None);
        while let Ok(note) = self.heard.try_recv() {
            self.hear(note);
        }
        // One that came with the end is answered with no: nobody is to be asked about work that is over.
        while self.questions.try_recv().is_ok() {}
        attended
    }

    async fn keys<T>(&mut self, mut work: Pin<&mut impl Future<Output = T>>) -> Attended<T> {
        let works = self.desk.task.is_some();
        let mut ticks = ticks(self.keyboard.shows_every());
        loop {
            if self.over && !works {
                return Attended::Leaving;
            }
            // From a pipe a line is taken when it is wanted.
            if !self.over && (self.keyboard.is_terminal() || self.asked.is_some() || !works) {
                self.keyboard.ready();
            }
            let typed = tokio::select! {
                done = &mut work => return Attended::Done(done),
                Some(question) = self.questions.recv() => {
                    self.ask(question);
                    continue;
                }
                Some(note) = self.heard.recv() => {
                    self.hear(note);
                    continue;
                }
                _ = ticks.tick(), if works => {
                    self.tick();
                    continue;
                }
                typed = self.keyboard.next(), if !self.over => typed,
            };
            let line = match typed {
                Typed::Hangup => return Attended::Leaving,
                // Who sends lines through a pipe has no other way to stop it all.
                Typed::Interrupt if !self.keyboard.is_terminal() => return Attended::Leaving,
                Typed::Interrupt if self.asked.take_if(|asked| matches!(asked, Asked::Task(_))).is_some() => {
                    continue;
                }
                Typed::Interrupt => return Attended::Cancelled,
                Typed::End if self.keyboard.is_terminal() || !works => return Attended::Leaving,
                Typed::End => {
                    self.over = true;
                    if self.asked.take().is_some() {
                        self.desk.say(Style::Bold, NOBODY);
                    }
                    continue;
                }
                Typed::Line(line) => line,
            };
            match self.answered(&line) {
                Reply::Command(Command::Quit) => return Attended::Leaving,
                Reply::Command(Command::Task(_)) if works => {
                    self.desk.say(Style::Dim, "a task is running; Ctrl-C cancels it");
                }
                Reply::Command(Command::Task(task)) => return Attended::Task(task),
                Reply::Command(command) => {
                    if let Some(done) = self.beside(work.as_mut(), &command).await {
                        return Attended::Done(done);
                    }
                }
                Reply::Taken => {}
            }
        }
    }

    /// Carries a command out while the work goes on; what the work came to, if it ended. Ctrl-C gives the command up.
    async fn beside<T>(
        &mut self,
        mut work: Pin<&mut impl Future<Output = T>>,
        command: &Command,
    ) -> Option<T> {
        let mut done = None;
        {
            let mut carried = pin!(self.desk.carry_out(command));
            loop {
                tokio::select! {
                    biased;
                    () = &mut carried => return done,
                    () = self.keyboard.stopped() => break,
                    ended = &mut work, if done.is_none() => done = Some(ended),
                }
            }
        }
        self.desk.say(Style::Yellow, "given up");
        done
    }

    fn ask(&mut self, question: Question) {
        if self.agreed {
            return question.answer(true);
        }
        if self.over {
            // A question that is dropped is answered with no.
            return self.desk.say(Style::Bold, NOBODY);
        }
        self.asked = Some(Asked::Commit(Box::new(question)));
        self.desk.board.ask(true);
        self.desk.say(Style::Bold, COMMIT);
        self.keyboard.redraw();
    }

    /// Takes a line as an answer, if something was asked; else it is a command, or made one.
    fn answered(&mut self, line: &str) -> Reply {
        let works = self.desk.task.is_some();
        let Some(asked) = self.asked.take() else { return self.command(line, works) };
        let Some(answer) = asked.read(line) else {
            return match Command::parse(line) {
                // Whatever it is, it is no yes.
                Command::Unknown(_) | Command::Nothing => {
                    self.desk.say(Style::Bold, &asked.help());
                    self.asked = Some(asked);
                    Reply::Taken
                }
                command => {
                    // A sentence that was asked about is forgotten, and a change waits on.
                    self.asked = Some(asked).filter(|asked| matches!(asked, Asked::Commit(_)));
                    Reply::Command(command)
                }
            };
        };
        match (asked, answer) {
            (asked, Answer::Explain) => {
                self.desk.say(Style::Bold, &asked.help());
                self.asked = Some(asked);
            }
            (Asked::Task(task), Answer::Yes) => return Reply::Command(Command::Task(task)),
            (Asked::Task(_), _) => self.desk.say(Style::Dim, "forgotten"),
            (Asked::Commit(question), Answer::Show) => {
                let look = self.desk.console.look();
                let lines = diff::shown(&question.path, &question.before, &question.after, look);
                self.desk.console.block(&lines);
                self.desk.say(Style::Bold, COMMIT);
                self.asked = Some(Asked::Commit(question));
            }
            (Asked::Commit(question), answer) => {
                self.agreed = answer == Answer::All;
                self.desk.board.ask(false);
                question.answer(answer != Answer::No);
            }
        }
        Reply::Taken
    }

    fn command(&mut self, line: &str, works: bool) -> Reply {
        let command = Command::parse(line);
        let Command::Unknown(word) = &command else { return Reply::Command(command) };
        let sentence = line.trim();
        let words = sentence.split_whitespace().count();
        // A long line is more likely a sentence than a slip.
        let near = nearest(word).filter(|name| words < 3 || *name == "task");
        let text = match (near, words == 1) {
            (Some(name), _) => format!("`{word}` is no command; did you mean `{name}`?"),
            (None, false) if works => {
                format!("`{word}` is no command, and a task is running already; Ctrl-C cancels it")
            }
            (None, false) if self.keyboard.is_terminal() => {
                self.asked = Some(Asked::Task(sentence.to_owned()));
                format!("`{word}` is no command. Is this a task for the agent? y or n")
            }
            _ => format!("`{word}` is no command; `task {word} ...` would work on it, `help` lists all"),
        };
        self.desk.say(Style::Yellow, &one_line(&text));
        Reply::Taken
    }

    fn hear(&mut self, note: Note) {
        if let Note::Used(spent) = &note {
            self.desk.spent += spent;
        }
        if let Some(listener) = &self.listener {
            listener.say(note);
        }
    }

    fn tick(&mut self) {
        if !self.desk.board.is_moving() {
            return;
        }
        if self.keyboard.redraws() {
            self.keyboard.redraw();
        } else {
            let told = self.desk.board.shown(usize::MAX);
            self.desk.say(Style::Dim, &format!("  {told}"));
        }
    }
}

/// What became of a line.
enum Reply {
    Taken,
    Command(Command),
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once, and tells nothing.
    ticks.reset();
    ticks
}
