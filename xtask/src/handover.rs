//! `cargo xtask handover`: a session goes from server to server, and nobody is fooled by the one that had it before.
//!
//! Real processes on two ports, `a` and `b`, each with a data directory. First `a` is paused (SIGSTOP) and the standby `b`
//! takes over after its silence; when `a` goes on it is fenced: what it still says has no effect, it ends, and does not start
//! again. Then `a` follows `b`, and gets the session back when `b` is stopped, under exactly the epoch that was announced.
//! Then `b` gets it by command.

mod witness;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use self::witness::Witness;
use crate::crash::person::Person;
use crate::peer::Peer;
use crate::step::{self, Failure};

/// For anything that is awaited.
const LIMIT: Duration = Duration::from_secs(30);
const PEOPLE: u64 = 3;
const COMMITS: usize = 12;
/// For people to be in the middle of their work.
const WORK: Duration = Duration::from_millis(700);

/// A place for a server: it has a port and a directory of its own.
struct Site {
    name: &'static str,
    program: PathBuf,
    port: u16,
    dir: PathBuf,
}

/// Plays all scenes.
///
/// # Errors
/// The first thing that is not as it has to be.
pub(crate) fn run() -> Result<(), Failure> {
    step::run(&mut step::cargo(&["build", "--locked", "-p", "mpac-ws"]))?;
    let dir = tempfile::tempdir().map_err(Failure::io("make a directory"))?;
    let (a, b) = (Site::new("a", dir.path())?, Site::new("b", dir.path())?);
    let mut people: Vec<Person> = (0..PEOPLE).map(Person::new).collect();
    let began = Instant::now();
    let on_b = paused(&a, &b, &mut people)?;
    let on_a = stopped(&a, &b, on_b, &mut people)?;
    let on_b = commanded(&a, &b, on_a, &mut people)?;
    drop(on_b);
    for site in [&a, &b] {
        step::read(&mut site.command(&["audit", "verify"]))?;
    }
    println!(
        "handover: 3 takeovers in {:.1} s, {} commits acknowledged, each there once; epoch {}",
        began.elapsed().as_secs_f64(),
        people.iter().map(Person::committed).sum::<usize>(),
        people.iter().map(Person::epoch).max().unwrap_or_default()
    );
    Ok(())
}

/// `a` falls silent and comes back. Gives the server at `b`.
fn paused(a: &Site, b: &Site, people: &mut [Person]) -> Result<Peer, Failure> {
    let mut server = a.serve()?;
    let standby = b.follow(a, &["--take-over-after-sec", "1"])?;
    work(people, &a.url(), 1)?;
    let mut witness = Witness::join(&a.url(), "agent:witness")?;
    replicated(a, b)?;
    server.signal("STOP")?;
    let since = Instant::now();
    // It lies in the socket of the paused server, which will read it when it goes on.
    witness.commit("lost.txt", "nobody has it")?;
    b.serving(&standby)?;
    println!("a is paused: b serves {:.1} s later", since.elapsed().as_secs_f64());
    work(people, &b.url(), 2)?;
    server.signal("CONT")?;
    let (code, epochs) = witness.end()?;
    check(code == 4002, format!("the old server closed with {code}"))?;
    check(epochs.iter().all(|&epoch| epoch == 1), format!("the old server spoke under {epochs:?}"))?;
    let ended = server.wait_end(LIMIT)?;
    check(ended.code() == Some(1) && server.said("taken over by"), server.tail(5))?;
    standby.wait_for("the word of the old server", LIMIT, |lines| {
        lines.iter().any(|line| line.text.contains("it says nothing more")).then_some(())
    })?;
    does_not_start(&mut a.server(), LIMIT)?;
    let mut witness = Witness::join(&b.url(), "agent:other")?;
    check(witness.epoch == 3, format!("b speaks under {}", witness.epoch))?;
    check(witness.read("lost.txt")?.is_none(), "what the old server accepted is there")?;
    check(witness.read("readme.txt")?.is_some(), "a file that was never committed is missing")?;
    everything_is_there(people, a, b)?;
    println!("a is fenced: it ended, and does not start again");
    Ok(standby)
}

/// `a` follows, and `b` is stopped while everybody works. Gives the server at `a`.
fn stopped(a: &Site, b: &Site, mut server: Peer, people: &mut [Person]) -> Result<Peer, Failure> {
    let standby = a.follow(b, &[])?;
    let mut witness = Witness::join(&b.url(), "agent:listener")?;
    let url = b.url();
    people.iter_mut().for_each(Person::may_return);
    let next = thread::scope(|scope| {
        let at_work: Vec<_> =
            people.iter_mut().map(|it| scope.spawn(|| it.live(&url, Some(3), &[]))).collect();
        thread::sleep(WORK);
        let next = server.signal("INT").and_then(|()| witness.status("handover")).inspect_err(|_| {
            // Whoever is at work goes on until the server is gone.
            let _ = server.signal("KILL");
        });
        at_work.into_iter().try_for_each(joined)?;
        Ok::<_, Failure>(next?["payload"]["next_coordinator_epoch"].as_u64().unwrap_or_default())
    });
    let next = next.map_err(|failure| Failure::check(format!("{failure}\n{}", server.tail(30))))?;
    let ended = server.wait_end(LIMIT)?;
    check(ended.success(), format!("b ended with {ended}\n{}", server.tail(5)))?;
    let (code, epochs) = witness.end()?;
    check(code == 4002 && epochs.is_empty(), format!("after the handover came {epochs:?}, then {code}"))?;
    a.serving(&standby)?;
    let mut witness = Witness::join(&a.url(), "agent:listener2")?;
    check(witness.epoch == next, format!("a speaks under {}, announced was {next}", witness.epoch))?;
    drop(Witness::join(&a.url(), "agent:other")?.status("assumed")?);
    check(witness.read("lost.txt")?.is_none(), "what was put aside is back")?;
    everything_is_there(people, b, a)?;
    println!("b was stopped under load: a went on as epoch {next}, as announced");
    Ok(standby)
}

/// `b` follows, and is told to take over. Gives the server at `b`.
fn commanded(a: &Site, b: &Site, mut server: Peer, people: &mut [Person]) -> Result<Peer, Failure> {
    let standby = b.follow(a, &[])?;
    people.iter_mut().for_each(Person::may_return);
    work(people, &a.url(), 4)?;
    let since = Instant::now();
    step::read(&mut b.command(&["take-over"]))?;
    let took = since.elapsed().as_secs_f64();
    let ended = server.wait_end(LIMIT)?;
    check(ended.success(), format!("a ended with {ended}\n{}", server.tail(5)))?;
    everything_is_there(people, a, b)?;
    println!("b took over on command in {took:.1} s");
    Ok(standby)
}

impl Site {
    fn new(name: &'static str, above: &Path) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::io("find a free port"))?;
        let port = listener.local_addr().map_err(Failure::io("find a free port"))?.port();
        let dir = above.join(name);
        let shared = dir.join("shared");
        std::fs::create_dir_all(&shared).map_err(Failure::io("make a directory"))?;
        if name == "a" {
            // Only the first has it: the second one knows it from the first.
            std::fs::write(shared.join("readme.txt"), "hello\n").map_err(Failure::io("write a file"))?;
        }
        Ok(Self { name, program: step::target().join("debug/mpac-ws"), port, dir })
    }

    fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut it = Command::new(&self.program);
        it.args(command).arg("--data-dir").arg(self.data());
        it
    }

    fn server(&self) -> Command {
        let mut it = self.command(&[]);
        self.options(&mut it);
        it
    }

    fn options(&self, it: &mut Command) {
        it.args(["--heartbeat-interval-sec", "0.4", "--rate-per-sec", "1000000", "--rate-burst", "1000000"]);
        it.args(["--port", &self.port.to_string(), "--workspace"]).arg(self.dir.join("shared"));
    }

    fn serve(&self) -> Result<Peer, Failure> {
        let server = Peer::start(self.name, &mut self.server(), None)?;
        self.serving(&server)?;
        Ok(server)
    }

    /// Waits until somebody serves here.
    fn serving(&self, server: &Peer) -> Result<(), Failure> {
        let url = self.url();
        awaited(server, "its address", &format!("listening on {url}"))
    }

    /// A standby that has everything.
    fn follow(&self, other: &Self, more: &[&str]) -> Result<Peer, Failure> {
        let mut it = self.command(&["standby", "--from", &other.url()]);
        it.arg("--token-file").arg(other.data().join("control-token")).args(more);
        self.options(&mut it);
        let standby = Peer::start(self.name, &mut it, None)?;
        awaited(&standby, "the end of catching up", "caught up")?;
        Ok(standby)
    }
}

fn awaited(peer: &Peer, what: &str, text: &str) -> Result<(), Failure> {
    let found =
        peer.wait_for(what, LIMIT, |lines| lines.iter().any(|line| line.text.contains(text)).then_some(()));
    found.map_err(|failure| Failure::check(format!("{failure}\n{}", peer.tail(20))))
}

fn work(people: &mut [Person], url: &str, round: u64) -> Result<(), Failure> {
    thread::scope(|scope| {
        let work: Vec<_> =
            people.iter_mut().map(|it| scope.spawn(move || it.commits(url, round, COMMITS))).collect();
        work.into_iter().try_for_each(joined)
    })
}

fn joined(it: thread::ScopedJoinHandle<'_, Result<(), String>>) -> Result<(), Failure> {
    it.join().unwrap_or_else(|_| Err("a client panicked".to_owned())).map_err(Failure::check)
}

/// Everybody joins and looks for everything that anybody was told was committed.
fn everything_is_there(people: &mut [Person], from: &Site, at: &Site) -> Result<(), Failure> {
    let all: Vec<(String, String)> = people.iter().flat_map(Person::acknowledged).collect();
    let person = people.first_mut().ok_or_else(|| Failure::check("there is nobody"))?;
    person.may_return();
    let looked = person.live(&at.url(), None, &all);
    looked.map_err(|what| Failure::check(format!("from {} to {}: {what}", from.name, at.name)))
}

/// Waits until `b` has what `a` has now.
fn replicated(a: &Site, b: &Site) -> Result<(), Failure> {
    let wanted = entries(a)?;
    let until = Instant::now() + LIMIT;
    while entries(b)? < wanted {
        check(Instant::now() < until, "the standby does not get there")?;
    }
    Ok(())
}

/// A fenced server ends at once and says what to do; one that starts after all is stopped.
fn does_not_start(fenced: &mut Command, limit: Duration) -> Result<(), Failure> {
    let mut server = Peer::start("the fenced server", fenced, None)?;
    let status = server.wait_end(limit);
    let status = status.map_err(|failure| Failure::check(format!("{failure}\n{}", server.tail(5))))?;
    let is_refused = status.code() == Some(2) && server.said("standby --from");
    check(is_refused, format!("the fenced server ended with {status}\n{}", server.tail(5)))
}

/// How many entries are in the log there.
fn entries(site: &Site) -> Result<u64, Failure> {
    let text = step::read(&mut site.command(&["audit", "verify"]))?;
    let number = text.split(" entries").next().and_then(|before| before.rsplit(' ').next());
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| Failure::check(format!("no number in {text}")))
}

fn check(is_right: bool, otherwise: impl Into<String>) -> Result<(), Failure> {
    if is_right { Ok(()) } else { Err(Failure::check(otherwise)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fenced_server_that_starts_is_found_and_stopped() {
        let started = |script: &str, limit| {
            let found = does_not_start(Command::new("sh").args(["-c", script]), limit);
            found.map_err(|failure| failure.to_string())
        };
        let at_once = Duration::from_millis(100);
        let listens = started("echo listening; exec tail -f /dev/null", at_once).unwrap_err();
        assert!(listens.starts_with("the fenced server did not end within"), "{listens}");
        assert_eq!(started("echo 'mpac-ws standby --from x' >&2; exit 2", LIMIT), Ok(()));
        assert!(started("exit 2", LIMIT).unwrap_err().contains("ended with"));
    }
}
