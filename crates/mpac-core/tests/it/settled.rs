//! What became of own work whose answer was lost, and how it shows later.

use mpac_core::participant::{News, Over, Presence, Withheld};
use mpac_wire::Seconds;
use mpac_wire::payload::IntentWithdraw;

use crate::covers;
use crate::lone::{Lone, announce, commit};
use crate::world::intent;

#[test]
fn a_withdrawal_of_what_the_coordinator_does_not_know_ends_it_here_too() {
    covers!("PAR-09", "PAR-12", "PAR-22", "BYE-02");
    let mut bob = Lone::joined();
    let mut short = announce("i", &["a"]);
    short.ttl_sec = Some(Seconds::whole(5));
    bob.accepted(short);
    bob.pass(6.0);
    let late = bob.say(IntentWithdraw::new(intent("i"))).unwrap();
    let news = bob.refuse(&late, "INVALID_REFERENCE", "intent i is EXPIRED");
    let over = News::IntentOver { intent: intent("i"), how: Over::NotListed };
    assert!(news.contains(&over), "{news:?}");
    assert_eq!(bob.who.presence(&intent("i")), Presence::Gone);
    assert_eq!(bob.withheld(commit("o", Some("i"), "a", "1", "2")), Withheld::IntentOver(intent("i")));
    let again = bob.say(IntentWithdraw::new(intent("i"))).unwrap();
    let news = bob.refuse(&again, "INVALID_REFERENCE", "intent i is EXPIRED");
    assert!(!news.contains(&over), "told once");
}
