//! Going on over damage, visibly: a recovery is built on the branch as it is, and follows the newest record that verifies.

use super::error::{Failed, RecordError};
use super::known::{Known, Tip, damaged, finding, tip_at, verified, walk_back};
use super::{Appended, Base, Draft, Next, Recorder};
use crate::core::finding::{Code, Finding};
use crate::core::log::entry::{self, RawEntry, Trust};
use crate::core::record::{CommitId, Id};
use crate::core::state::State;
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
        let mut tip = base.ok_or_else(|| none_verifies(store, &head))?;
        let passed = after.iter().rev().map(|entry| pass(store, trust, entry, &mut tip)).collect();
        Ok(Known { tip: Some(tip), head: Some(head), passed, store, trust, deadline })
    }
}

fn none_verifies(store: &LogStore, head: &CommitId) -> RecordError {
    let message = "no record that can be reached from it verifies".to_owned();
    damaged(store, vec![Finding { code: Code::CommitForeign, seq: None, commit: Some(head.clone()), message }])
}

/// Passes over a commit; its record goes onto the tip where it verifies and follows.
fn pass(store: &LogStore, trust: &Trust, entry: &RawEntry, tip: &mut Tip) -> Passed {
    let commit = entry.commit.clone();
    let newest = match verified(store, trust, entry) {
        Ok(newest) => newest,
        Err(RecordError::Damaged { findings, .. }) => return Passed { commit, findings, kept: None },
        Err(error) => {
            let message = error.to_string();
            let findings = vec![Finding { code: Code::RecordUnreadable, seq: None, commit: Some(commit.clone()), message }];
            return Passed { commit, findings, kept: None };
        }
    };
    let before = tip.newest.pointer();
    let mut problems = entry::link_problems(newest.record(), Some(&before));
    if newest.record().log != tip.state.log {
        problems.push((Code::LogId, "it belongs to another log".to_owned()));
    }
    if trust::revoked(&trust.revocations, newest.fingerprint(), before.seq + 1) {
        problems.push((Code::SignerRevoked, format!("its key was revoked before record {}", before.seq + 1)));
    }
    if !problems.is_empty() {
        let findings = problems.iter().map(|(code, words)| finding(&newest, *code, words)).collect();
        return Passed { commit, findings, kept: None };
    }
    let words = "its record verifies; its commit or its state does not";
    let findings = vec![finding(&newest, Code::State, words)];
    let kept = Some(newest.record().seq);
    tip.state = State::after(Some(tip.state.clone()), newest.record(), newest.digest());
    tip.newest = newest;
    Passed { commit, findings, kept }
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
