//! What closes a start: only an open one, and only its own.

use super::error::{Failed, RecordError};
use super::known::Known;
use crate::core::attempt::Attempt;
use crate::core::record::{Record, Status};
use crate::core::state::PlaceKey;
use chrono::{DateTime, TimeDelta, Utc};

/// Checks that the start that a record closes is open, and the same deployment's.
pub(super) fn check(draft: &Record, known: &Known) -> Result<(), Failed> {
    let Some((start, key)) = draft.finishes.zip(PlaceKey::of(draft)) else { return Ok(()) };
    let not_open = || Failed::For(RecordError::NotOpen { log: known.store.description(), start });
    let state = known.state().filter(|state| state.may_finish(&key, start)).ok_or_else(not_open)?;
    let open = state.place(&key).and_then(|place| place.open.iter().find(|open| open.seq == start));
    let is_same = match open {
        Some(open) => {
            let commit = draft.commit.as_ref().map(|commit| &commit.sha);
            (Some(&open.version), open.sha.as_ref(), Some(open.started_at))
                == (draft.version.as_ref(), commit, draft.started_at)
        }
        None => {
            let found = known.find_start(start)?;
            found.closed_by.is_none() && found.record.is_some_and(|record| Attempt::of(&record) == Attempt::of(draft))
        }
    };
    if is_same { Ok(()) } else { Err(not_open()) }
}

/// A start, looked up in the log.
pub struct Found {
    /// The record of that number, where there is one that verifies.
    pub record: Option<Record>,
    /// The record that tells how it ended: its number and the end. One that came after an unknown outcome is what counts.
    pub closed_by: Option<(u64, Option<Status>)>,
}

impl Known<'_> {
    /// Looks a start up in the history, and what closes it.
    ///
    /// # Errors
    /// Where the history can't be read.
    pub fn find_start(&self, start: u64) -> Result<Found, RecordError> {
        let mut found = Found { record: None, closed_by: None };
        let mut told_after_all = Vec::new();
        self.walk(&mut |step| {
            let record = step.record();
            if record.finishes == Some(start) {
                found.closed_by = Some((record.seq, record.status));
            }
            if let (None, Some(id)) = (record.finishes, &record.finishes_id) {
                told_after_all.push((id.clone(), record.seq, record.status));
            }
            if record.seq == start {
                found.record = Some(record.clone());
            }
            record.seq > start
        })?;
        let id = found.record.as_ref().map(|record| &record.id);
        if let Some((_, seq, status)) = told_after_all.iter().find(|(own, ..)| Some(own) == id) {
            found.closed_by = Some((*seq, *status));
        }
        Ok(found)
    }

    /// The newest record that is this one, of the last week.
    ///
    /// # Errors
    /// Where the history can't be read.
    pub fn newest_that(&self, is_it: &dyn Fn(&Record) -> bool, now: DateTime<Utc>) -> Result<Option<Record>, RecordError> {
        let mut found = None;
        self.walk(&mut |step| {
            let record = step.record();
            found = Some(record).filter(|record| is_it(record)).cloned();
            found.is_none() && now - record.recorded_at.utc() < TimeDelta::weeks(1)
        })?;
        Ok(found)
    }
}
