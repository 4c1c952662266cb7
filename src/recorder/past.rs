//! What a log said at an earlier moment, checked as its tip is.

use super::error::{Failed, RecordError};
use super::known::{Known, PassedOver, damaged, finding, tip_at, verified, walk_back};
use crate::core::finding::{Code, Finding};
use crate::core::log::entry::{self, Verified};
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
        let mut passed = PassedOver::default();
        let stopped = walk_back(self.store, tip.newest.commit(), deadline, &mut |entry| {
            let is_passed = passed.contains(&entry.commit);
            let step = match verified(self.store, self.trust, entry) {
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
        let tip = base.as_ref().map(|commit| tip_at(self.store, self.trust, commit, self.deadline)).transpose()?;
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
