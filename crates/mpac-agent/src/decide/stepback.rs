//! After yielding: did the others go on, or has everybody stepped back?
//!
//! Two agents that both yield would leave the work undone. Everybody sees the same withdrawals in the
//! coordinator's order, so both can tell, without a clock, and a rule settles who goes on:
//!
//! 1. After the own withdrawal, each intent that we yielded to is watched until something about it is seen.
//!    - A commit under it, or its end as `task_completed`: its owner went on. We have yielded, for good.
//!    - Its withdrawal as `yielded`: its owner stepped back as well.
//!    - Another end, or the owner's leaving (unless it leaves the intent to its time), without a commit before: nobody works there any more. That an intent has
//!      expired is told to nobody; whoever drives the watch makes it an end of that kind ([`StepBack::watched`]).
//! 2. When nobody is left, the principal whose id sorts first among those who stepped back announces again, under
//!    a fresh intent id, and goes on whatever the second round reports about the same principals.
//! 3. The others wait for the announce of that principal and for the end of that intent (or for its owner to
//!    leave) and then announce again.
//!
//! Nothing unsafe can come of a misjudgement: every commit is checked against the state it was based on.
//! A Python agent that yielded always announces again; then both go on and the later commit is rebased.

use std::collections::{BTreeMap, BTreeSet};

use mpac_wire::{DeferralId, IntentId, PrincipalId};

/// Something seen about others that matters after stepping back. Only an intent's owner or the coordinator
/// is believed (PAR-14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// An intent was announced.
    Announced {
        /// Which.
        intent: IntentId,
        /// Whose.
        owner: PrincipalId,
    },
    /// Something was committed under an intent.
    Worked {
        /// Which.
        intent: IntentId,
    },
    /// An intent ended.
    Ended {
        /// Which.
        intent: IntentId,
        /// How.
        end: End,
    },
    /// A principal left or became unavailable.
    Left {
        /// Who.
        principal: PrincipalId,
        /// Those of its intents that are live until their time is over (BYE-06).
        keeps: BTreeSet<IntentId>,
    },
    /// What a deferral waited for has ended, however that came about (DEF-04, DEF-07).
    Free {
        /// Which deferral.
        deferral: DeferralId,
    },
}

/// How an intent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its owner withdrew it as `task_completed`.
    Completed,
    /// Its owner withdrew it as `yielded`.
    Yielded,
    /// Withdrawn for another reason, or ended by the coordinator.
    Otherwise,
}

/// Where it has led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not settled yet.
    Wait,
    /// This principal went on with its intent.
    TheyWentOn(PrincipalId),
    /// Everybody stepped back, or the one who went first is done: announce again.
    AnnounceAgain {
        /// Those who stepped back too; a conflict with them is settled.
        settled_with: BTreeSet<PrincipalId>,
    },
}

/// The watch that begins with the own withdrawal.
#[derive(Debug, Clone)]
pub struct StepBack {
    me: PrincipalId,
    open: BTreeMap<IntentId, PrincipalId>,
    mutual: BTreeSet<PrincipalId>,
    first: First,
}

/// The one who goes first, when that is somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
enum First {
    NotKnown,
    Awaited(PrincipalId),
    Working(PrincipalId, IntentId),
}

impl StepBack {
    /// `me` has yielded to these intents.
    #[must_use]
    pub fn new(me: PrincipalId, yielded_to: impl IntoIterator<Item = (IntentId, PrincipalId)>) -> Self {
        Self { me, open: yielded_to.into_iter().collect(), mutual: BTreeSet::new(), first: First::NotKnown }
    }

    /// The one whose work is waited for after everybody stepped back.
    #[must_use]
    pub fn goes_first(&self) -> Option<&PrincipalId> {
        match &self.first {
            First::NotKnown => None,
            First::Awaited(principal) | First::Working(principal, _) => Some(principal),
        }
    }

    /// The intents whose end would matter now.
    pub fn watched(&self) -> impl Iterator<Item = &IntentId> {
        let theirs = match &self.first {
            First::NotKnown | First::Awaited(_) => None,
            First::Working(_, theirs) => Some(theirs),
        };
        self.open.keys().chain(theirs)
    }

    /// When it has taken too long: those who stepped back too, if the one of them who goes first has not even
    /// announced again. Then it is for us to go on.
    #[must_use]
    pub fn overdue(&self) -> Option<BTreeSet<PrincipalId>> {
        matches!(self.first, First::Awaited(_)).then(|| self.mutual.clone())
    }

    /// Takes one sign.
    pub fn observe(&mut self, sign: &Sign) -> Verdict {
        match &self.first {
            First::NotKnown => self.observe_rivals(sign),
            First::Awaited(first) => match sign {
                Sign::Announced { intent, owner } if owner == first => {
                    self.first = First::Working(first.clone(), intent.clone());
                    Verdict::Wait
                }
                Sign::Left { principal, .. } if principal == first => self.announce_again(),
                _ => Verdict::Wait,
            },
            First::Working(first, theirs) => match sign {
                Sign::Ended { intent, .. } if intent == theirs => self.announce_again(),
                Sign::Left { principal, keeps } if principal == first && !keeps.contains(theirs) => {
                    self.announce_again()
                }
                _ => Verdict::Wait,
            },
        }
    }

    fn observe_rivals(&mut self, sign: &Sign) -> Verdict {
        let before = self.open.len();
        match sign {
            Sign::Worked { intent } | Sign::Ended { intent, end: End::Completed } => {
                return self
                    .open
                    .get(intent)
                    .map_or(Verdict::Wait, |owner| Verdict::TheyWentOn(owner.clone()));
            }
            Sign::Ended { intent, end: End::Yielded } => self.mutual.extend(self.open.remove(intent)),
            Sign::Ended { intent, end: End::Otherwise } => {
                self.open.remove(intent);
            }
            Sign::Left { principal, keeps } => {
                self.open.retain(|intent, owner| owner != principal || keeps.contains(intent));
            }
            Sign::Announced { .. } | Sign::Free { .. } => {}
        }
        if self.open.len() < before { self.settle() } else { Verdict::Wait }
    }

    fn settle(&mut self) -> Verdict {
        if !self.open.is_empty() {
            return Verdict::Wait;
        }
        match self.mutual.first() {
            Some(first) if *first < self.me => {
                self.first = First::Awaited(first.clone());
                Verdict::Wait
            }
            _ => self.announce_again(),
        }
    }

    fn announce_again(&self) -> Verdict {
        Verdict::AnnounceAgain { settled_with: self.mutual.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(name: &str) -> PrincipalId {
        PrincipalId::new(name).unwrap()
    }

    fn intent(name: &str) -> IntentId {
        IntentId::new(name).unwrap()
    }

    fn watch(me: &str, rivals: &[(&str, &str)]) -> StepBack {
        StepBack::new(principal(me), rivals.iter().map(|(id, owner)| (intent(id), principal(owner))))
    }

    fn ended(name: &str, end: End) -> Sign {
        Sign::Ended { intent: intent(name), end }
    }

    fn left(name: &str) -> Sign {
        Sign::Left { principal: principal(name), keeps: BTreeSet::new() }
    }

    fn again(with: &[&str]) -> Verdict {
        Verdict::AnnounceAgain { settled_with: with.iter().map(|name| principal(name)).collect() }
    }

    #[test]
    fn a_commit_or_another_end_says_that_they_went_on() {
        let theirs = Verdict::TheyWentOn(principal("agent:A"));
        assert_eq!(
            watch("agent:B", &[("i1", "agent:A")]).observe(&Sign::Worked { intent: intent("i1") }),
            theirs
        );
        assert_eq!(watch("agent:B", &[("i1", "agent:A")]).observe(&ended("i1", End::Completed)), theirs);
    }

    #[test]
    fn an_intent_that_ended_without_work_is_in_nobodys_way() {
        for sign in [ended("i1", End::Otherwise), left("agent:A")] {
            assert_eq!(watch("agent:B", &[("i1", "agent:A")]).observe(&sign), again(&[]));
        }
        let mut bob = watch("agent:B", &[("i1", "agent:A"), ("i3", "agent:C")]);
        assert_eq!(bob.observe(&left("agent:C")), Verdict::Wait, "Alice is still there");
        assert_eq!(bob.observe(&left("agent:D")), Verdict::Wait, "not one of those");
        assert_eq!(bob.observe(&ended("i1", End::Yielded)), Verdict::Wait);
        assert_eq!(bob.goes_first(), Some(&principal("agent:A")));
    }

    #[test]
    fn the_first_by_name_announces_again_at_once() {
        assert_eq!(
            watch("agent:A", &[("i2", "agent:B")]).observe(&ended("i2", End::Yielded)),
            again(&["agent:B"])
        );
    }

    #[test]
    fn the_second_by_name_waits_for_the_end_of_the_firsts_new_intent() {
        let mut bob = watch("agent:B", &[("i1", "agent:A")]);
        assert_eq!(bob.observe(&ended("i1", End::Yielded)), Verdict::Wait);
        assert_eq!(bob.goes_first(), Some(&principal("agent:A")));
        assert_eq!(bob.observe(&ended("i1", End::Yielded)), Verdict::Wait, "the old intent again");
        let announced = Sign::Announced { intent: intent("i3"), owner: principal("agent:A") };
        assert_eq!(bob.observe(&announced), Verdict::Wait);
        assert_eq!(bob.observe(&Sign::Worked { intent: intent("i3") }), Verdict::Wait);
        assert_eq!(bob.observe(&ended("i3", End::Completed)), again(&["agent:A"]));
    }

    #[test]
    fn an_end_that_nobody_tells_of_is_watched_for() {
        let mut bob = watch("agent:B", &[("i1", "agent:A")]);
        assert_eq!(bob.watched().collect::<Vec<_>>(), [&intent("i1")]);
        bob.observe(&ended("i1", End::Yielded));
        assert_eq!(bob.watched().count(), 0, "the first has not announced again yet");
        bob.observe(&Sign::Announced { intent: intent("i3"), owner: principal("agent:A") });
        assert_eq!(bob.watched().collect::<Vec<_>>(), [&intent("i3")]);
        assert_eq!(bob.observe(&ended("i3", End::Otherwise)), again(&["agent:A"]));
    }

    #[test]
    fn the_second_by_name_does_not_wait_for_somebody_who_left() {
        let mut bob = watch("agent:B", &[("i1", "agent:A")]);
        assert_eq!(bob.observe(&ended("i1", End::Yielded)), Verdict::Wait);
        assert_eq!(bob.observe(&left("agent:A")), again(&["agent:A"]));
    }

    #[test]
    fn both_sides_of_the_same_withdrawals_agree_on_who_goes_first() {
        let (mut alice, mut bob) =
            (watch("agent:A", &[("i2", "agent:B")]), watch("agent:B", &[("i1", "agent:A")]));
        let log = [ended("i1", End::Yielded), ended("i2", End::Yielded)];
        let alice: Vec<_> = log.iter().map(|sign| alice.observe(sign)).collect();
        let waits: Vec<_> = log.iter().map(|sign| bob.observe(sign)).collect();
        assert_eq!(alice, [Verdict::Wait, again(&["agent:B"])]);
        assert_eq!(waits, [Verdict::Wait, Verdict::Wait]);
    }

    #[test]
    fn everybody_must_have_stepped_back() {
        let mut alice = watch("agent:A", &[("i2", "agent:B"), ("i3", "agent:C")]);
        assert_eq!(alice.observe(&ended("i3", End::Yielded)), Verdict::Wait);
        assert_eq!(alice.observe(&ended("i9", End::Yielded)), Verdict::Wait, "none of ours");
        assert_eq!(alice.observe(&ended("i2", End::Yielded)), again(&["agent:B", "agent:C"]));
    }
}
