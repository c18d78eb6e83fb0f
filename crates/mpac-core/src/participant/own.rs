//! Own intents: accepted, changed, overruled and over (PAR-09, PAR-12, PAR-22, BKO-01 to BKO-07).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use mpac_wire::names::{ConflictCategory, ExecutionModel};
use mpac_wire::payload::{IntentAnnounce, IntentUpdate, Resolution};
use mpac_wire::{IntentId, MessageId, Timestamp};

use super::Participant;
use super::news::{News, Over};
use super::others::{Standing, expiry, replaces};
use crate::backoff;
use crate::config::minor_version;

/// How many own intents are remembered.
pub(super) const MOST_OWN: usize = 1_024;
/// After everything that expires.
const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);
/// How many rejected scopes are remembered.
const MOST_BACKOFFS: usize = 64;

/// An intent of this participant that the coordinator has accepted (PAR-09, PAR-12).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OwnIntent {
    /// What was announced, as updated since.
    pub announced: IntentAnnounce,
    /// The message that announced or claimed it; `None` for one of an earlier incarnation.
    pub message_id: Option<MessageId>,
    /// Whether it can be worked under.
    pub standing: Standing,
    /// When it should expire, by our clock: nobody is told of that. `None` for one of an earlier incarnation, whose time no
    /// summary tells, until an update gives it one.
    pub expires: Option<Timestamp>,
    /// A resolution rejected it: what ends it now does not reset the count (BKO-06).
    pub(super) overruled: bool,
    /// That it should have expired has been told.
    pub(super) expired: bool,
}

impl OwnIntent {
    pub(super) const fn new(
        announced: IntentAnnounce,
        message_id: Option<MessageId>,
        standing: Standing,
        expires: Option<Timestamp>,
    ) -> Self {
        Self { announced, message_id, standing, expires, overruled: false, expired: false }
    }
}

impl Participant {
    /// Its accepted intents, by id, until they are withdrawn, superseded or end with the session. That one expired is
    /// not told to anybody, so it stays here until its owner withdraws it.
    pub fn intents(&self) -> &BTreeMap<IntentId, OwnIntent> {
        &self.intents
    }

    /// From level 0.1.15 on an announce takes the place of own intents that it overlaps (LCK-06).
    pub(super) fn locks(&self) -> bool {
        minor_version(self.version()).is_some_and(|minor| minor >= 15)
    }

    /// Remembers an own intent. Where there are too many, what should expire first is let go of.
    pub(super) fn keep(&mut self, own: OwnIntent) {
        let id = own.announced.intent_id.clone();
        let full = self.intents.len() >= MOST_OWN && !self.intents.contains_key(&id);
        let first = self.intents.iter().filter(|_| full).min_by_key(|(_, own)| own.expires.unwrap_or(NEVER));
        if let Some(first) = first.map(|(id, _)| id.clone()) {
            self.intents.remove(&first);
            self.unconfirmed.remove(&first);
        }
        self.intents.insert(id, own);
    }

    /// An announce is accepted, and what it supersedes is over. The echo of one that is over, heard again, is not news.
    pub(super) fn accept(&mut self, message_id: &MessageId, announced: &IntentAnnounce) {
        if self.ended.contains(&announced.intent_id) {
            return;
        }
        self.saw_kind(&announced.scope.kind);
        if let Some(old) = &announced.supersedes_intent_id {
            self.own_ended(old);
        }
        if self.locks() {
            let replaced = self.intents.iter().filter(|(_, own)| {
                own.standing == Standing::Active
                    && replaces(&self.names, &announced.scope, Some(&own.announced.scope))
            });
            let replaced: Vec<IntentId> = replaced.map(|(id, _)| id.clone()).collect();
            replaced.iter().for_each(|id| self.own_ended(id));
        }
        self.unconfirmed.remove(&announced.intent_id);
        let expires = Some(expiry(announced.ttl_sec.as_ref(), self.now));
        self.keep(OwnIntent::new(announced.clone(), Some(message_id.clone()), Standing::Active, expires));
    }

    /// An update is accepted: its intent is active, or it would have been refused (D-080).
    pub(super) fn accept_update(&mut self, update: &IntentUpdate) {
        let now = self.now;
        let Some(own) = self.intents.get_mut(&update.intent_id) else { return };
        self.unconfirmed.remove(&update.intent_id);
        let announced = &mut own.announced;
        announced.objective = update.objective.clone().unwrap_or_else(|| announced.objective.clone());
        announced.scope = update.scope.clone().unwrap_or_else(|| announced.scope.clone());
        announced.assumptions = update.assumptions.clone().or_else(|| announced.assumptions.take());
        if update.ttl_sec.is_some() {
            announced.ttl_sec = update.ttl_sec.clone();
            own.expires = Some(expiry(update.ttl_sec.as_ref(), now));
            own.expired = false;
        }
    }

    /// An own intent ended by our own doing.
    pub(super) fn own_ended(&mut self, id: &IntentId) {
        let Some(own) = self.intents.remove(id) else { return };
        self.unconfirmed.remove(id);
        self.ended.note(id.clone());
        if !own.overruled {
            backoff::forget(&self.names, &mut self.backoff, &self.sender.principal_id, &own.announced.scope);
        }
    }

    /// An intent ended by somebody else's doing; news if it is ours.
    pub(super) fn intent_over(&mut self, id: &IntentId, how: Over) {
        if self.intents.contains_key(id) {
            self.own_ended(id);
            self.news.push(News::IntentOver { intent: id.clone(), how });
        }
    }

    /// A resolution: what it rejects of ours, and what it sets free.
    pub(super) fn resolved(&mut self, resolution: &Resolution) {
        self.watch_resolution(resolution);
        let known = self.conflicts.settled(&resolution.conflict_id).map(|it| it.category);
        let category = known.or_else(|| category_told(resolution));
        let about_scopes = category == Some(ConflictCategory::ScopeOverlap);
        let outcome = resolution.outcome.as_ref();
        let rejected = outcome.and_then(|it| it.rejected.as_deref()).unwrap_or_default();
        for id in rejected.iter().filter_map(|id| IntentId::new(id).ok()) {
            self.overruled(&id, about_scopes);
        }
        self.overruled_operations(resolution);
        self.thaw(&resolution.conflict_id);
    }

    /// Counted once for each intent, and only where scopes were what the conflict was about (BKO-07).
    fn overruled(&mut self, id: &IntentId, about_scopes: bool) {
        let Some(own) = self.intents.get_mut(id).filter(|own| !own.overruled) else { return };
        own.overruled = true;
        let whose = (self.sender.principal_id.clone(), own.announced.scope.clone());
        if about_scopes {
            let policy = self.info.as_ref().and_then(|info| info.liveness_policy.as_ref());
            backoff::rejected(&self.names, &mut self.backoff, policy, whose, self.now);
            self.trim_backoffs();
        }
        self.news.push(News::Overruled(id.clone()));
    }

    /// The coordinator enforces the wait and says how long it is (BKO-05).
    pub(super) fn told_to_wait(&mut self, announce: &IntentAnnounce, until: Timestamp) {
        let principal = self.sender.principal_id.clone();
        let known = backoff::forget(&self.names, &mut self.backoff, &principal, &announce.scope);
        let rejections = known.as_ref().map_or(0, |it| it.rejections);
        let not_before = known.map_or(until, |it| it.not_before.max(until));
        let scope = announce.scope.clone();
        self.backoff.push(backoff::Backoff { principal, scope, rejections, not_before });
        self.trim_backoffs();
    }

    fn trim_backoffs(&mut self) {
        if self.backoff.len() > MOST_BACKOFFS {
            self.backoff.sort_by_key(|it| it.not_before);
            self.backoff.remove(0);
        }
    }

    /// Tells of own intents that should have expired, after which nothing is held against their scope (BKO-03).
    pub(super) fn look_for_expired(&mut self) {
        let now = self.now;
        let over = |own: &OwnIntent| !own.expired && own.expires.is_some_and(|expires| now >= expires);
        for (id, own) in self.intents.iter_mut().filter(|(_, own)| over(own)) {
            own.expired = true;
            if !own.overruled {
                backoff::forget(
                    &self.names,
                    &mut self.backoff,
                    &self.sender.principal_id,
                    &own.announced.scope,
                );
            }
            self.news.push(News::IntentExpired(id.clone()));
        }
    }

    /// Whether work goes through proposals here: then nothing is applied before it is authorised (PAR-10).
    pub fn needs_authorisation(&self) -> bool {
        self.execution_model() == ExecutionModel::PreCommit
    }
}

/// What a conflict was about whose report we have missed, as the coordinator says when it tells again how it was settled
/// (HEL-18).
fn category_told(resolution: &Resolution) -> Option<ConflictCategory> {
    let extensions: serde_json::Value = serde_json::from_str(resolution.extra.get("extensions")?).ok()?;
    Some(extensions.get("mpac")?.get("category")?.as_str()?.into())
}
