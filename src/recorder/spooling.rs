//! What must not be lost: it waits in the spool as a claim while it is being appended, and stays there where it can't be.

use super::error::{Failed, RecordError};
use super::known::Known;
use super::search::Search;
use super::{Appended, Draft, Next, Recorder};
use crate::core::log::late::{Claim, LARGEST_CLAIM};
use crate::core::record::{Id, Record, Time};
use crate::core::seal;
use crate::http::Deadline;
use crate::spool::{Held, Spool};
use chrono::{DateTime, TimeDelta, Utc};
use std::path::PathBuf;

/// How wrong the clock may have been that a claim was made by: its record is looked for so much further back.
const WRONGEST_CLOCK: TimeDelta = TimeDelta::days(31);

/// A record that waits in the spool.
#[derive(Debug)]
pub struct Spooled {
    /// The claim's file.
    pub path: PathBuf,
    /// Why it is not in the log.
    pub because: RecordError,
}

/// Where a record is that must not be lost.
#[derive(Debug)]
pub enum Kept {
    /// In the log.
    InLog(Appended),
    /// In the spool.
    InSpool(Spooled),
}

impl Recorder<'_> {
    /// Appends a record that must not be lost: it waits in the spool meanwhile (unless a person
    /// has to touch a security key for that), and stays there where the log can't take it for a
    /// reason that `keeps` names. `draft` is what is known of it without the log.
    ///
    /// # Errors
    /// Where it is neither in the log nor in the spool.
    pub fn append_or_spool(
        &self,
        spool: &Spool,
        id: &Id,
        draft: Record,
        deadline: Deadline,
        keeps: &dyn Fn(&RecordError) -> bool,
        make: &mut dyn FnMut(&Known) -> Result<Draft, RecordError>,
    ) -> Result<Kept, RecordError> {
        // a claim that costs a person a touch is made only where it is needed
        let held = (!self.signer.wants_touch()).then(|| self.spool(spool, id, draft.clone()));
        let because = match self.append(id, deadline, make) {
            Ok(appended) => {
                // one that can't be removed is found to be in the log when it is replayed
                let _ = held.map(|held| held.map(Held::remove));
                return Ok(Kept::InLog(appended));
            }
            Err(error) => error,
        };
        if !keeps(&because) {
            let _ = held.map(|held| held.map(Held::remove));
            return Err(because);
        }
        keep(held.unwrap_or_else(|| self.spool(spool, id, draft)), because).map(Kept::InSpool)
    }

    /// Puts a record into the spool that the log can't take now.
    ///
    /// # Errors
    /// Where it can't be put there.
    pub fn spool_only(
        &self,
        spool: &Spool,
        id: &Id,
        draft: Record,
        because: RecordError,
    ) -> Result<(Spooled, Held), RecordError> {
        match self.spool(spool, id, draft) {
            Ok(held) => {
                let path = held.path().to_owned();
                match held.sync() {
                    Ok(()) => Ok((Spooled { path, because }, held)),
                    Err(error) => Err(not_spooled(because, &error)),
                }
            }
            Err(RecordError::Other(problem)) => Err(not_spooled(because, &problem)),
            Err(error) => Err(error),
        }
    }

    /// Puts a claim for this record into the spool, and holds it there.
    fn spool(&self, spool: &Spool, id: &Id, draft: Record) -> Result<Held, RecordError> {
        let (mut record, _) = self.redact(draft)?;
        record.id = id.clone();
        record.tool = super::tool();
        record.signer = self.signer.principal().clone();
        record.recorded_at = Time::new((self.now)());
        if let Some(log) = &self.trust.log {
            record.log = log.clone();
        }
        let mut claim = Claim::bytes_of(&record);
        if claim.len() > LARGEST_CLAIM {
            record.changes = None;
            claim = Claim::bytes_of(&record);
        }
        let signature = self.signer.sign(seal::NAMESPACE_SPOOL, &claim)?;
        let name = format!("{}-{id}", record.recorded_at.utc().format("%Y%m%dT%H%M%SZ"));
        let held = spool.put(&name, &claim, &signature);
        let place = spool.directory();
        held.map_err(|error| {
            let words =
                if place.as_os_str().is_empty() { String::new() } else { format!("can't write in `{}`: ", place.display()) };
            RecordError::Other(anyhow::anyhow!("{words}{error}"))
        })
    }

    /// Appends what waited in a spool; once, whoever does so, and however often.
    ///
    /// # Errors
    /// As [`Recorder::append`].
    pub fn replay(&self, claim: &Claim, deadline: Deadline) -> Result<Appended, RecordError> {
        self.replay_after(&mut Search::default(), claim, deadline)
    }

    /// The same for one of many claims, after those that this search was used for.
    ///
    /// # Errors
    /// As [`Recorder::append`].
    pub fn replay_after(&self, search: &mut Search, claim: &Claim, deadline: Deadline) -> Result<Appended, RecordError> {
        self.append_next(&claim.record().id, deadline, &mut |known| self.late(search, claim, known, deadline))
    }

    fn late(&self, search: &mut Search, claim: &Claim, known: &Known, deadline: Deadline) -> Result<Next, Failed> {
        if let Some(own) = claim.log()
            && known.state().is_none_or(|state| state.log != *own)
        {
            let words = format!("it was made for log {own}, and {} is another", self.store.description());
            return Err(RecordError::Record(words).into());
        }
        let (wanted, now) = (claim.record(), (self.now)());
        let seen = search.read(known, earliest(wanted, now), deadline)?;
        if let Some(seq) = seen.find(wanted) {
            return Ok(Next::Already(seq));
        }
        refuse_far_ahead(wanted.recorded_at, now)?;
        let path = wanted.project.as_ref().and_then(|project| project.path.as_ref());
        let (start, project) = match seen.start_of(wanted) {
            // an end is about the place that its start is about, whatever became known of it since
            Some(start) => (Some(start.seq).filter(|seq| !seen.ended_unknown(*seq)), start.project),
            None => match wanted.finishes {
                // it was in the log, and nobody said that it is lost
                Some(start) if wanted.finishes_id.is_some() && !seen.gave_up(start, wanted) => {
                    return Err(RecordError::NotOpen { log: self.store.description(), start }.into());
                }
                Some(_) => (None, None),
                None => (None, path.zip(known.state()).and_then(|(path, state)| state.project_at(path))),
            },
        };
        Ok(Next::Record(Box::new(claim.to_record(start, project))))
    }
}

/// The earliest moment at which a claim's record, or the start that it closes, can have been appended.
fn earliest(claim: &Record, now: DateTime<Utc>) -> DateTime<Utc> {
    let times = [Some(claim.recorded_at), claim.started_at];
    let made = times.into_iter().flatten().map(Time::utc).fold(now, DateTime::min);
    made.checked_sub_signed(WRONGEST_CLOCK).unwrap_or(made)
}

/// A claim that is farther ahead of the clock than its record is looked for waits: a copy of it that is replayed once that time has
/// come would not find what was appended now.
fn refuse_far_ahead(at: Time, now: DateTime<Utc>) -> Result<(), RecordError> {
    let from = at.utc().checked_sub_signed(WRONGEST_CLOCK).unwrap_or(at.utc());
    if now >= from {
        return Ok(());
    }
    let (now, from) = (Time::new(now), Time::new(from));
    Err(RecordError::Clock(format!("the claim is from {at}, and it is {now} here; it can be replayed from {from} on")))
}

fn keep(held: Result<Held, RecordError>, because: RecordError) -> Result<Spooled, RecordError> {
    match held {
        Ok(held) => match held.sync() {
            Ok(()) => Ok(Spooled { path: held.path().to_owned(), because }),
            Err(error) => Err(not_spooled(because, &error)),
        },
        Err(error) => Err(not_spooled(because, &error)),
    }
}

fn not_spooled(because: RecordError, problem: &dyn std::fmt::Display) -> RecordError {
    RecordError::NotSpooled { because: Box::new(because), problem: problem.to_string() }
}
