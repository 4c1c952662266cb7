//! What a log said at an earlier moment, checked as its tip is.

use super::error::{Failed, RecordError};
use super::known::{Known, PassedOver, Tip, damaged, finding, tip_at, verified, verified_record, walk_back};
use crate::core::finding::{Code, Finding};
use crate::core::log::entry::{self, Verified};
use crate::core::record::CommitId;
use crate::core::state::State;
use crate::http::Deadline;
use chrono::{DateTime, Utc};

impl<'a> Known<'a> {
    /// Goes back from the newest record as long as `goes_on`, which is given each: verified, and the very one that the record
    /// after it names.
    ///
    /// # Errors
    /// Where the history can't be read, or is damaged there.
    pub fn walk(&self, goes_on: &mut dyn FnMut(&Verified) -> bool) -> Result<(), RecordError> {
        self.walk_until(self.deadline, goes_on).map_err(Failed::into_error)
    }

    /// The same until that moment; says whether it is worth trying again.
    pub(super) fn walk_until(&self, deadline: Deadline, goes_on: &mut dyn FnMut(&Verified) -> bool) -> Result<(), Failed> {
        let Some(tip) = &self.tip else { return Ok(()) };
        let mut after: Option<Verified> = None;
        let mut passed = PassedOver::over(&self.passed);
        let stopped = walk_back(self.store, tip.newest.commit(), deadline, &mut |entry| {
            let is_passed = passed.contains(entry);
            let read = if is_passed { verified_record } else { verified };
            let step = match read(self.store, self.trust, entry) {
                Ok(step) => step,
                Err(_) if is_passed => return None,
                Err(error) => return Some(Err(error)),
            };
            let problems = link_problems(&step, after.as_ref());
            if !problems.is_empty() && is_passed {
                return None;
            }
            passed.learn(&step);
            if !problems.is_empty() {
                return Some(Err(damaged(self.store, problems)));
            }
            let ends = !goes_on(&step);
            after = Some(step);
            ends.then_some(Ok(()))
        });
        match (stopped?, after) {
            (Some(stopped), _) => stopped.map_err(Failed::from),
            (None, Some(first)) if first.record().seq > 1 => {
                Err(damaged(self.store, vec![finding(&first, Code::Sequence, "there is no record before it")]).into())
            }
            (None, _) => Ok(()),
        }
    }

    /// A record of this log, and the state after it; computed where a recovery went on over what is wrong with the state there.
    ///
    /// # Errors
    /// As [`Known::walk`] and [`Known::fetch`].
    pub(super) fn tip_of(&self, commit: &CommitId) -> Result<Tip, RecordError> {
        match tip_at(self.store, self.trust, commit, self.deadline) {
            Err(RecordError::Damaged { .. }) => {}
            tip => return tip,
        }
        let (mut steps, mut base): (Vec<Verified>, Option<Tip>) = (Vec::new(), None);
        self.walk(&mut |step| {
            if steps.is_empty() && step.commit() != commit {
                return true;
            }
            base = tip_at(self.store, self.trust, step.commit(), self.deadline).ok();
            if base.is_none() {
                steps.push(step.clone());
            }
            base.is_none()
        })?;
        let (mut newest, mut state) = match base {
            Some(base) => (Some(base.newest), Some(base.state)),
            None => (None, None),
        };
        for step in steps.into_iter().rev() {
            state = Some(State::after(state, step.record(), step.digest()));
            newest = Some(step);
        }
        let not_there = || damaged(self.store, Vec::new());
        newest.zip(state).map(|(newest, state)| Tip { newest, state }).ok_or_else(not_there)
    }

    /// The log as it was at that moment, and what was recorded after it, the oldest first.
    ///
    /// # Errors
    /// As [`Known::walk`] and [`Known::fetch`].
    pub fn as_of(&self, moment: DateTime<Utc>) -> Result<(Known<'a>, Vec<Verified>), RecordError> {
        let (mut later, mut base) = (Vec::new(), None);
        self.walk(&mut |step| {
            let is_later = step.record().recorded_at.utc() > moment;
            if is_later {
                later.push(step.clone());
            } else {
                base = Some(step.commit().clone());
            }
            is_later
        })?;
        later.reverse();
        let tip = base.as_ref().map(|commit| self.tip_of(commit)).transpose()?;
        Ok((
            Known { tip, head: base, passed: Vec::new(), store: self.store, trust: self.trust, deadline: self.deadline },
            later,
        ))
    }
}

/// What is wrong with the link from a record to the one before it.
fn link_problems(step: &Verified, after: Option<&Verified>) -> Vec<Finding> {
    let Some(after) = after else { return Vec::new() };
    let problems = entry::link_problems(after.record(), Some(&step.pointer()));
    problems.into_iter().map(|(code, words)| finding(after, code, &words)).collect()
}
