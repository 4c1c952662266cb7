//! What a log says, checked: its newest record, its state, and what of it has to be looked up in the history.

use super::error::{Failed, RecordError};
use super::recovery::Passed;
use super::walk::Walk;
use crate::core::finding::{Code, Finding};
use crate::core::log::entry::{self, RawEntry, Trust, Verified};
use crate::core::log::message;
use crate::core::record::{CommitId, Digest, ParseError, Pointer};
use crate::core::state::{Place, PlaceKey, Rendered, State};
use crate::http::Deadline;
use crate::store::{Depth, LogStore};
use std::collections::{HashMap, HashSet};

/// The newest record of the log and the state that goes with it, both checked.
#[derive(Debug, Clone)]
pub struct Tip {
    /// The newest record.
    pub newest: Verified,
    /// The state after it.
    pub state: State,
}

/// A log as it was fetched last.
pub struct Known<'a> {
    /// Its tip; `None` where there is no log yet.
    pub tip: Option<Tip>,
    /// The branch's newest commit, on which the next one is built: the tip's, unless the log goes on over damage.
    pub(super) head: Option<CommitId>,
    /// The commits between the two, the oldest first.
    pub passed: Vec<Passed>,
    pub(super) store: &'a LogStore,
    pub(super) trust: &'a Trust,
    pub(super) deadline: Deadline,
}

impl<'a> Known<'a> {
    /// Fetches the newest record and the state, and checks both: format, signatures, signer, trust, links.
    ///
    /// The state of a tip that a pipeline signed is believed. A person's, and that of a key which was revoked later, is held
    /// against the records before it, back to the newest one of a pipeline.
    ///
    /// # Errors
    /// Where the log can't be read, or its tip is not what it should be.
    pub fn fetch(store: &'a LogStore, trust: &'a Trust, deadline: Deadline) -> Result<Known<'a>, RecordError> {
        let commit = store.fetch(Depth::Commits(1), deadline)?;
        let tip = commit.as_ref().map(|commit| tip_at(store, trust, commit, deadline)).transpose()?;
        Ok(Known { tip, head: commit, passed: Vec::new(), store, trust, deadline })
    }

    /// The log, in words.
    pub fn log(&self) -> String {
        self.store.description()
    }

    /// The state of the log; `None` where there is no log yet.
    pub fn state(&self) -> Option<&State> {
        self.tip.as_ref().map(|tip| &tip.state)
    }

    /// What is known of a place; looked up in the history where the state has let it go.
    ///
    /// # Errors
    /// Where the history can't be read, or is damaged there.
    pub fn place(&self, key: &PlaceKey) -> Result<Option<Place>, RecordError> {
        let Some(tip) = &self.tip else { return Ok(None) };
        let known = tip.state.place(key);
        if known.is_some_and(|place| place.earlier.is_none()) || (known.is_none() && !tip.state.has_dropped_places()) {
            return Ok(known.cloned());
        }
        let mut place = known.cloned();
        while let Some(earlier) = self.earlier(key, place.as_ref().and_then(|place| place.earlier.as_ref()))? {
            let going_on = earlier.earlier.is_some();
            match &mut place {
                None => place = Some(earlier),
                Some(place) => place.join_earlier(earlier),
            }
            if !going_on {
                break;
            }
        }
        Ok(place)
    }

    /// All places that the state has, the least recent first, each as [`Known::place`] gives it. One walk serves all.
    ///
    /// # Errors
    /// As [`Known::place`].
    pub fn places(&self) -> Result<Vec<Place>, RecordError> {
        let Some(tip) = &self.tip else { return Ok(Vec::new()) };
        let mut places: Vec<_> = tip.state.places.iter().cloned().map(Rendered::into_inner).collect();
        let earlier = |place: &Place| place.earlier.as_ref().map(|earlier| earlier.sha256);
        let mut wanted: HashMap<Digest, usize> =
            places.iter().enumerate().filter_map(|(index, place)| Some((earlier(place)?, index))).collect();
        if wanted.is_empty() {
            return Ok(places);
        }
        let mut failed = None;
        self.walk(&mut |step| {
            let Some(index) = wanted.remove(&step.digest()) else { return true };
            let then = match self.tip_of(step.commit()) {
                Ok(then) => then,
                Err(error) => {
                    failed = Some(error);
                    return false;
                }
            };
            let place = &mut places[index];
            if let Some(known) = then.state.place(&place.key()) {
                place.join_earlier(known.clone());
                wanted.extend(earlier(place).map(|digest| (digest, index)));
            }
            !wanted.is_empty()
        })?;
        failed.map_or(Ok(places), Err)
    }

    /// The place as it was at this record, or else at the newest one about it.
    fn earlier(&self, key: &PlaceKey, at: Option<&Pointer>) -> Result<Option<Place>, RecordError> {
        let Some(commit) = self.find(key, at)? else { return Ok(None) };
        Ok(self.tip_of(&commit)?.state.place(key).cloned())
    }

    fn find(&self, key: &PlaceKey, at: Option<&Pointer>) -> Result<Option<CommitId>, RecordError> {
        let mut found = None;
        self.walk(&mut |step| {
            let is_it = match at {
                Some(pointer) => step.digest() == pointer.sha256,
                None => PlaceKey::of(step.record()).as_ref() == Some(key),
            };
            found = is_it.then(|| step.commit().clone());
            !is_it
        })?;
        Ok(found)
    }

    /// The newest record about a place.
    pub(super) fn newest_at(&self, key: &PlaceKey) -> Result<Option<Pointer>, RecordError> {
        let Some(state) = self.state() else { return Ok(None) };
        if let Some(place) = state.place(key) {
            return Ok(Some(place.newest.clone()));
        }
        if !state.has_dropped_places() {
            return Ok(None);
        }
        Ok(self.earlier(key, None)?.map(|place| place.newest))
    }
}

pub(super) fn tip_at(store: &LogStore, trust: &Trust, commit: &CommitId, deadline: Deadline) -> Result<Tip, RecordError> {
    let tip = inspect_commit(store, trust, commit)?;
    if trust.first.is_some_and(|first| first != tip.state.first) {
        let words = "the log does not begin with the record that the configuration names";
        return Err(damaged(store, vec![finding(&tip.newest, Code::FirstRecord, words)]));
    }
    if !is_anchor(&tip.newest, trust) {
        check_steps(store, trust, &tip, deadline)?;
    }
    Ok(tip)
}

/// Whether a record's state can be believed without looking at the records before it.
fn is_anchor(verified: &Verified, trust: &Trust) -> bool {
    verified.record().signer.as_str().starts_with("ci:") && !trust.is_revoked_somewhere(verified.fingerprint())
}

/// Computes the state anew from the newest anchor on, and holds each record on the way against the one before it.
fn check_steps(store: &LogStore, trust: &Trust, tip: &Tip, deadline: Deadline) -> Result<(), RecordError> {
    let mut steps: Vec<Verified> = Vec::new();
    let mut passed = PassedOver::default();
    let stopped = walk_back(store, tip.newest.commit(), deadline, &mut |entry| {
        let is_passed = passed.contains(entry);
        let step = if is_passed { verified_record(store, trust, entry) } else { verified(store, trust, entry) };
        let step = match step {
            Ok(step) => step,
            Err(_) if is_passed => return None,
            Err(error) => return Some(Err(error)),
        };
        if is_passed && steps.last().is_some_and(|after| after.record().prev != step.digest()) {
            return None;
        }
        if is_anchor(&step, trust) && !is_passed {
            return Some(Ok(entry.commit.clone()));
        }
        passed.learn(&step);
        steps.push(step);
        None
    });
    let base = stopped.map_err(Failed::into_error)?.transpose()?;
    let base = base.map(|commit| inspect_commit(store, trust, &commit)).transpose()?;
    let mut before = base.as_ref().map(|base| base.newest.pointer());
    let mut state = base.map(|base| base.state);
    for step in steps.iter().rev() {
        let place = before.as_ref().map_or(1, |before| before.seq + 1);
        let mut problems = entry::link_problems(step.record(), before.as_ref());
        if state.as_ref().is_some_and(|state| state.log != step.record().log) {
            problems.push((Code::LogId, "it belongs to another log".to_owned()));
        }
        if crate::core::trust::revoked(&trust.revocations, step.fingerprint(), place) {
            problems.push((Code::SignerRevoked, format!("its key was revoked before record {place}")));
        }
        if !problems.is_empty() {
            let findings = problems.iter().map(|(code, words)| finding(step, *code, words)).collect();
            return Err(damaged(store, findings));
        }
        state = Some(State::after(state.take(), step.record(), step.digest()));
        before = Some(step.pointer());
    }
    match state {
        Some(state) if state == tip.state => Ok(()),
        _ => Err(damaged(store, vec![finding(&tip.newest, Code::State, "`state.json` is not what the records make of it")])),
    }
}

/// The commits that the recoveries on the way back name: what is wrong with them is known.
#[derive(Default)]
pub(super) struct PassedOver(HashSet<CommitId>);

impl PassedOver {
    pub(super) fn over(passed: &[Passed]) -> Self {
        PassedOver(passed.iter().map(|passed| passed.commit.clone()).collect())
    }

    pub(super) fn learn(&mut self, verified: &Verified) {
        self.0.extend(verified.record().skipped.iter().cloned());
    }

    /// Whether this is one of them; a commit of several parents never is, since one of them may hide records.
    pub(super) fn contains(&self, entry: &RawEntry) -> bool {
        entry.parents.len() < 2 && self.0.contains(&entry.commit)
    }
}

/// The record of one commit, checked by itself.
pub(super) fn verified(store: &LogStore, trust: &Trust, entry: &RawEntry) -> Result<Verified, RecordError> {
    let inspected = entry::inspect(entry, trust, 0);
    if let Some(newer) = inspected.findings.iter().find(|finding| finding.code == Code::RecordNewer) {
        return Err(RecordError::Newer(newer.message.clone()));
    }
    inspected.verified().map_err(|findings| damaged(store, findings))
}

/// The same, whatever is wrong with the commit beside its record.
pub(super) fn verified_record(store: &LogStore, trust: &Trust, entry: &RawEntry) -> Result<Verified, RecordError> {
    let inspected = entry::inspect(entry, trust, 0);
    if let Some(newer) = inspected.findings.iter().find(|finding| finding.code == Code::RecordNewer) {
        return Err(RecordError::Newer(newer.message.clone()));
    }
    inspected.verified_record().map_err(|findings| damaged(store, findings))
}

/// Checks one commit by itself, its own signature and its state included.
fn inspect_commit(store: &LogStore, trust: &Trust, commit: &CommitId) -> Result<Tip, RecordError> {
    let entry = store.read(commit)?;
    let inspected = entry::inspect(&entry, trust, 0);
    if let Some(newer) = inspected.findings.iter().find(|finding| finding.code == Code::RecordNewer) {
        return Err(RecordError::Newer(newer.message.clone()));
    }
    let signature = store.read_signature(commit)?;
    let mut findings = entry::inspect_commit_signature(&entry, &inspected, signature.as_ref(), trust, 0);
    let newest = match inspected.verified() {
        Ok(newest) => newest,
        Err(others) => return Err(damaged(store, [others, findings].concat())),
    };
    let record = newest.record();
    if entry.parents.len() != usize::from(record.seq > 1) {
        let words = format!("its commit has {} parents", entry.parents.len());
        findings.push(finding(&newest, Code::CommitParents, &words));
    }
    if trust.log.as_ref().is_some_and(|log| *log != record.log) {
        findings.push(finding(&newest, Code::LogId, "it belongs to another log than the configuration names"));
    }
    let state = read_state(store, &entry, &newest)?;
    if state.is_none() {
        findings.push(finding(&newest, Code::State, "`state.json` does not belong to this record"));
    }
    match state {
        Some(state) if findings.is_empty() => Ok(Tip { newest, state }),
        _ => Err(damaged(store, findings)),
    }
}

/// The state that goes with a record; `None` where it is another's, or none at all.
fn read_state(store: &LogStore, entry: &RawEntry, newest: &Verified) -> Result<Option<State>, RecordError> {
    let bytes = store.read_state(&entry.commit)?;
    let is_named = message::trailers(&entry.message).is_ok_and(|trailers| trailers.state == Digest::of(&bytes));
    match State::parse(&bytes) {
        Err(newer @ ParseError::Newer { .. }) if is_named => Err(RecordError::Newer(newer.to_string())),
        Ok(state) if is_named && state.newest == newest.pointer() && state.log == newest.record().log => Ok(Some(state)),
        _ => Ok(None),
    }
}

/// Goes back from a commit to its first parents, fetching more history as needed, until `look` gives something.
pub(super) fn walk_back<T>(
    store: &LogStore,
    from: &CommitId,
    deadline: Deadline,
    look: &mut dyn FnMut(&RawEntry) -> Option<T>,
) -> Result<Option<T>, Failed> {
    let mut walk = Walk::from(store, from, deadline);
    while let Some(entry) = walk.older()? {
        if let Some(found) = look(&entry) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub(super) fn damaged(store: &LogStore, findings: Vec<Finding>) -> RecordError {
    RecordError::Damaged { log: store.description(), findings }
}

pub(super) fn finding(verified: &Verified, code: Code, message: &str) -> Finding {
    let (seq, commit) = (Some(verified.record().seq), Some(verified.commit().clone()));
    Finding { code, seq, commit, message: message.to_owned() }
}
