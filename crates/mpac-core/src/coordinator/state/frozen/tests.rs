use alloc::boxed::Box;
use alloc::vec::Vec;

use mpac_wire::names::{ConflictCategory, OpKind, Priority, Severity};
use mpac_wire::payload::Basis;
use mpac_wire::{MessageId, OpId, PrincipalId, Seconds, Timestamp, Watermark};
use proptest::prelude::*;

use super::super::super::records::{NewIntent, Particulars};
use super::*;
use crate::scope::index::tests::{any_scope, registry};
use crate::scope::{contains_target, is_inside, overlap};
use crate::table::{conflict, intent, operation};

const AT: Timestamp = Timestamp::from_micros(0);

fn intent(n: usize, scope: Scope) -> Intent {
    let new = NewIntent {
        id: intent_id(n),
        owner: PrincipalId::new("p").unwrap(),
        objective: String::new(),
        scope,
        ttl: Seconds::whole(300),
        message: MessageId::new("m").unwrap(),
        assumptions: Vec::new(),
        priority: Priority::Normal,
        parent: None,
        supersedes: None,
    };
    Intent::begin(new, intent::State::Active, AT, 1)
}

fn intent_id(n: usize) -> IntentId {
    IntentId::new(alloc::format!("i{n}")).unwrap()
}

fn operation(n: usize, target: String) -> Operation {
    Operation {
        id: OpId::new(alloc::format!("o{n}")).unwrap(),
        intent: None,
        proposer: PrincipalId::new("p").unwrap(),
        state: operation::State::Proposed,
        target,
        kind: OpKind::Replace,
        before: None,
        after: None,
        created_at: AT,
        uncoordinated: false,
        out_of_scope: false,
        content_missing: false,
        contested: false,
        of_earlier_intent: false,
        sequence: 0,
        more: Particulars::NONE.into(),
    }
}

/// A conflict about those of four intents that `about` has a bit for.
fn conflict(n: usize, about: u8) -> Conflict {
    Conflict {
        id: ConflictId::new(alloc::format!("c{n}")).unwrap(),
        category: ConflictCategory::ScopeOverlap,
        severity: Severity::Medium,
        basis: Basis::new(),
        based_on: Watermark::lamport(1),
        description: String::new(),
        intents: (0..4).filter(|bit| about & (1 << bit) != 0).map(intent_id).collect(),
        ops: Vec::new(),
        principals: Vec::new(),
        author: None,
        a: None,
        b: None,
        part: None,
        state: conflict::State::Open,
        created_at: AT,
        report: None,
        acks: Vec::new(),
        escalated: None,
        resolution: None,
        timeout_at: None,
        freeze: None,
        sequence: 0,
    }
}

/// What happens, to the conflict or the intent of a number.
#[derive(Clone, Debug)]
enum Step {
    Freeze(usize),
    Thaw(usize),
    /// The intent is there from now on, or has another scope.
    Rescope(usize, Box<Scope>),
    Attach(usize, String),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_usize).prop_map(Step::Freeze),
        1 => (0..3_usize).prop_map(Step::Thaw),
        3 => (0..4_usize, any_scope()).prop_map(|(n, scope)| Step::Rescope(n, scope.into())),
        2 => (0..3_usize, any_target()).prop_map(|(n, target)| Step::Attach(n, target)),
    ]
}

fn any_target() -> &'static str {
    "[./]{0,2}[abuvw]/?[ab]?"
}

/// The records that it follows from, and which conflicts are frozen.
struct Known {
    intents: Records<Intent>,
    ops: Records<Operation>,
    conflicts: Vec<(Conflict, bool)>,
}

impl Known {
    /// Does the same to the records and to `frozen`, in the order in which a session does.
    fn step(&mut self, frozen: &mut Frozen, n: usize, step: Step) {
        match step {
            Step::Freeze(which) => {
                let (record, is_frozen) = &mut self.conflicts[which];
                frozen.insert(record, &self.intents, &self.ops);
                *is_frozen = true;
            }
            Step::Thaw(which) => {
                let (record, is_frozen) = &mut self.conflicts[which];
                assert_eq!(frozen.remove(record, &self.intents, &self.ops), *is_frozen);
                *is_frozen = false;
            }
            Step::Rescope(which, scope) => {
                let id = intent_id(which);
                let before = self.intents.get(&id).map(|record| record.scope.clone());
                let concerns =
                    |(record, is_frozen): &(Conflict, bool)| *is_frozen && record.intents.contains(&id);
                assert_eq!(frozen.rescope(&id, before.as_ref(), &scope), self.conflicts.iter().any(concerns));
                match self.intents.get_mut(&id) {
                    Some(record) => record.scope = *scope,
                    None => _ = self.intents.insert(intent(which, *scope)),
                }
            }
            Step::Attach(which, target) => {
                let op = operation(n, target);
                let (record, _) = &mut self.conflicts[which];
                record.ops.push(op.id.clone());
                frozen.insert_target(&record.id, &op.target);
                self.ops.insert(op);
            }
        }
    }

    /// The scopes and the normalised targets that each frozen conflict holds.
    fn held(&self) -> impl Iterator<Item = (&ConflictId, Vec<&Scope>, BTreeSet<String>)> {
        self.conflicts.iter().filter(|(_, is_frozen)| *is_frozen).map(|(record, _)| {
            let scopes = record.intents.iter().filter_map(|id| Some(&self.intents.get(id)?.scope)).collect();
            let targets =
                record.ops.iter().filter_map(|id| Some(normalize(&self.ops.get(id)?.target))).collect();
            (&record.id, scopes, targets)
        })
    }
}

proptest! {
    /// What is frozen, and by which conflicts, is what asking each of them says, whatever was frozen and is no more.
    #[test]
    fn what_holds_is_what_asking_each_says(about in proptest::collection::vec(0..16_u8, 3), steps in proptest::collection::vec(any_step(), 0..16), asked in any_scope(), target in any_target(), passing in 0..4_usize, registered in any::<bool>()) {
        let names = Names::new(registered.then(registry).as_ref());
        let mut frozen = Frozen::new(names.clone(), 7);
        let conflicts = about.into_iter().enumerate().map(|(n, about)| (conflict(n, about), false)).collect();
        let mut known = Known { intents: Records::new(7), ops: Records::new(7), conflicts };
        for (n, step) in steps.into_iter().enumerate() {
            known.step(&mut frozen, n, step);
        }

        let passes = |id: &ConflictId| id.as_str() == alloc::format!("c{passing}");
        let holds = |scopes: &[&Scope], targets: &BTreeSet<String>| {
            targets.contains(&normalize(&target))
                || scopes.iter().any(|scope| is_opaque(scope) || contains_target(&names, scope, &target) == Some(true))
        };
        let holder = known.held().find(|(id, scopes, targets)| !passes(id) && holds(scopes, targets)).map(|(id, ..)| id);
        prop_assert_eq!(frozen.holder(&target, passes), holder);

        let is_shared = |held: &String| {
            matches!(overlap(&names, &asked, &Scope::files([held.as_str()])), Some(Overlap::Shared(_)))
        };
        let shares = |scopes: &[&Scope], targets: &BTreeSet<String>| {
            targets.iter().any(is_shared) || scopes.iter().any(|scope| overlap(&names, &asked, scope).is_some())
        };
        let holders = known.held().filter(|(_, scopes, targets)| shares(scopes, targets)).map(|(id, ..)| id.clone());
        prop_assert_eq!(frozen.holders(&asked), holders.collect());

        let scopes: Vec<&Scope> = known.held().flat_map(|(_, scopes, _)| scopes).collect();
        let targets: BTreeSet<String> = known.held().flat_map(|(.., targets)| targets).collect();
        let encloses = known.held().count() > 0 && is_inside(&names, &asked, &scopes, &targets);
        prop_assert_eq!(frozen.encloses(&asked, &known.intents), encloses);

        for which in 0..3 {
            known.step(&mut frozen, 0, Step::Thaw(which));
        }
        prop_assert_eq!(frozen, Frozen::new(names, 7));
    }
}
