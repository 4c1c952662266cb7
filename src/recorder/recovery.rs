//! Going on over damage, visibly: a recovery is built on the branch as it is, and follows the newest record that verifies.

use super::error::{Failed, RecordError};
use super::finish;
use super::known::{Known, Tip, damaged, finding, tip_at, verified_record, walk_back};
use super::{Appended, Base, Draft, Next, Recorder};
use crate::core::finding::{Code, Finding};
use crate::core::log::entry::{self, RawEntry, Trust, Verified};
use crate::core::record::{CommitId, Id};
use crate::core::state::{PlaceKey, State};
use crate::core::trust;
use crate::http::Deadline;
use crate::store::{Depth, LogStore};

/// A commit that a recovery passes over, and what is wrong with it.
#[derive(Debug, Clone)]
pub struct Passed {
    /// The commit.
    pub commit: CommitId,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Its record, where that verifies and follows: then it is not passed over, whatever is wrong with its commit.
    pub kept: Option<u64>,
}

impl<'a> Known<'a> {
    /// The log as [`Known::fetch`] gives it, or, where its tip is not what it should be, up to the newest record that verifies;
    /// and the commits after that, the oldest first. A record among those that verifies, and follows, counts.
    ///
    /// # Errors
    /// Where the log can't be read, none of its records verifies, or it has records of a later version.
    pub fn over_damage(store: &'a LogStore, trust: &'a Trust, deadline: Deadline) -> Result<Known<'a>, RecordError> {
        let missing = || RecordError::Missing { log: store.description() };
        let head = store.fetch(Depth::Commits(1), deadline)?.ok_or_else(missing)?;
        let mut after: Vec<RawEntry> = Vec::new();
        let found = walk_back(store, &head, deadline, &mut |entry| {
            let tip = tip_at(store, trust, &entry.commit, deadline);
            match tip {
                Ok(tip) => Some(Ok(tip)),
                Err(RecordError::Damaged { .. }) => {
                    after.push(entry.clone());
                    None
                }
                Err(error) => Some(Err(error)),
            }
        });
        let base = found.map_err(Failed::into_error)?.transpose()?;
        let tip = base.ok_or_else(|| none_verifies(store, &head))?;
        if let Some(merge) = after.iter().find(|entry| entry.parents.len() > 1) {
            return Err(hides_records(store, merge));
        }
        let mut known = Known { tip: Some(tip), head: Some(head), passed: Vec::new(), store, trust, deadline };
        for entry in after.iter().rev() {
            let passed = known.pass(entry)?;
            known.passed.push(passed);
        }
        Ok(known)
    }

    /// Passes over a commit; its record goes onto the tip where it verifies and is the next link.
    fn pass(&mut self, entry: &RawEntry) -> Result<Passed, RecordError> {
        let commit = entry.commit.clone();
        let newest = match verified_record(self.store, self.trust, entry) {
            Ok(newest) => newest,
            Err(RecordError::Damaged { findings, .. }) => return Ok(Passed { commit, findings, kept: None }),
            Err(error) => return Err(error),
        };
        let problems = self.problems(&newest)?;
        if !problems.is_empty() {
            let findings = problems.iter().map(|(code, words)| finding(&newest, *code, words)).collect();
            return Ok(Passed { commit, findings, kept: None });
        }
        let findings = vec![finding(&newest, Code::State, "its record verifies; its commit or its state does not")];
        let kept = Some(newest.record().seq);
        let state = self.tip.take().map(|tip| tip.state);
        let state = State::after(state, newest.record(), newest.digest());
        self.tip = Some(Tip { newest, state });
        Ok(Passed { commit, findings, kept })
    }

    /// Why a record is not the next link after the tip: what verifying the whole log would find.
    fn problems(&self, newest: &Verified) -> Result<Vec<(Code, String)>, RecordError> {
        let Some(tip) = &self.tip else { return Ok(Vec::new()) };
        let (record, before) = (newest.record(), tip.newest.pointer());
        let mut problems = entry::link_problems(record, Some(&before));
        if record.log != tip.state.log {
            problems.push((Code::LogId, "it belongs to another log".to_owned()));
        }
        if trust::revoked(&self.trust.revocations, newest.fingerprint(), before.seq + 1) {
            problems.push((Code::SignerRevoked, format!("its key was revoked before record {}", before.seq + 1)));
        }
        if record.recorded_at < tip.state.recorded_at {
            problems.push((Code::Time, "it is older than the record before it".to_owned()));
        }
        if !problems.is_empty() {
            return Ok(problems);
        }
        let here = PlaceKey::of(record).map(|key| self.newest_at(&key)).transpose()?.flatten();
        if record.prev_here != here {
            problems.push((Code::PreviousHere, "it does not point at the previous one about the same environment".to_owned()));
        }
        match finish::check(record, self) {
            Ok(()) => {}
            Err(Failed::For(RecordError::NotOpen { .. })) => {
                problems.push((Code::FinishUnpaired, "it closes a start that is not open".to_owned()));
            }
            Err(other) => return Err(other.into_error()),
        }
        let mut is_double = false;
        self.walk(&mut |step| {
            is_double |= step.record().id == record.id;
            !is_double
        })?;
        if is_double {
            problems.push((Code::DuplicateId, "its id is that of an earlier record".to_owned()));
        }
        Ok(problems)
    }
}

/// A merge could have the log's true end as its second parent, and an old record as its first.
fn hides_records(store: &LogStore, merge: &RawEntry) -> RecordError {
    let message =
        "it has several parents, one of which may hide records: only a branch that is put back to its last log commit \
                   can be gone on with"
            .to_owned();
    damaged(store, vec![Finding { code: Code::CommitParents, seq: None, commit: Some(merge.commit.clone()), message }])
}

fn none_verifies(store: &LogStore, head: &CommitId) -> RecordError {
    let message = "no record that can be reached from it verifies".to_owned();
    damaged(store, vec![Finding { code: Code::CommitForeign, seq: None, commit: Some(head.clone()), message }])
}

impl Recorder<'_> {
    /// Appends a recovery. `make` is given the log up to the newest record that verifies, and what is passed over.
    ///
    /// # Errors
    /// As [`Recorder::append`] and [`Known::over_damage`].
    pub fn recover(
        &self,
        id: &Id,
        deadline: Deadline,
        make: &dyn Fn(&Known) -> Result<Draft, RecordError>,
    ) -> Result<Appended, RecordError> {
        let next = &mut |known: &Known| Ok(Next::Record(Box::new(make(known)?.0)));
        self.append_on(Base::NewestThatVerifies, id, deadline, next)
    }
}
