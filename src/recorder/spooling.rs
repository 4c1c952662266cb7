//! What must not be lost: it waits in the spool as a claim while it is being appended, and stays there where it can't be.

use super::error::{Failed, RecordError};
use super::known::Known;
use super::{Appended, Draft, Next, Recorder};
use crate::core::log::late::{Claim, LARGEST_CLAIM};
use crate::core::record::{CommitId, Id, Record, Status, Time};
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
        let mut search = Search {
            claim,
            since: earliest(claim.record(), (self.now)()),
            checked: None,
            start: None,
            ends: Vec::new(),
            unknown: Vec::new(),
            after_all: Vec::new(),
        };
        self.append_next(&claim.record().id, deadline, &mut |known| self.late(&mut search, known, deadline))
    }

    fn late(&self, search: &mut Search, known: &Known, deadline: Deadline) -> Result<Next, Failed> {
        let claim = search.claim;
        if let Some(own) = claim.log()
            && known.state().is_none_or(|state| state.log != *own)
        {
            let words = format!("it was made for log {own}, and {} is another", self.store.description());
            return Err(RecordError::Record(words).into());
        }
        if let Some(seq) = self.look_for(search, known, deadline)? {
            return Ok(Next::Already(seq));
        }
        refuse_far_ahead(claim.record().recorded_at, (self.now)())?;
        let path = claim.record().project.as_ref().and_then(|project| project.path.as_ref());
        let (start, project) = match &search.start {
            // an end is about the place that its start is about, whatever became known of it since
            Some(start) => (Some(start.seq).filter(|seq| !search.unknown.contains(seq)), start.project),
            None if claim.record().finishes.is_some() => (None, None),
            None => (None, path.zip(known.state()).and_then(|(path, state)| state.project_at(path))),
        };
        Ok(Next::Record(Box::new(claim.to_record(start, project))))
    }

    /// Whether the claim's record is in the log, and where the start is that it closes.
    fn look_for(&self, search: &mut Search, known: &Known, deadline: Deadline) -> Result<Option<u64>, Failed> {
        let Some(tip) = &known.tip else { return Ok(None) };
        let wanted = search.claim.record();
        let is_start = wanted.status == Some(Status::Running);
        let (checked, since) = (search.checked.take(), search.since);
        let mut found = None;
        known.walk_until(deadline, &mut |step| {
            if Some(step.commit()) == checked.as_ref() {
                return false;
            }
            let record = step.record();
            // the end of a start that was not there is all of it
            let tells_all = is_start && record.finishes.is_none() && record.finishes_id.as_ref() == Some(&wanted.id);
            if record.id == wanted.id || tells_all {
                found = Some(record.seq);
            }
            if let Some(start) = record.finishes.filter(|_| record.status == wanted.status) {
                search.ends.push((start, record.seq));
            }
            if record.status == Some(Status::Unknown) {
                search.unknown.extend(record.finishes);
            }
            if let Some(id) =
                record.finishes_id.as_ref().filter(|_| record.finishes.is_none() && record.status == wanted.status)
            {
                search.after_all.push((id.clone(), record.seq));
            }
            if wanted.finishes_id.as_ref() == Some(&record.id) || wanted.finishes == Some(record.seq) {
                let project = record.project.as_ref().and_then(|project| project.id);
                search.start = Some(StartInLog { seq: record.seq, id: record.id.clone(), project });
            }
            found.is_none() && record.recorded_at.utc() >= since
        })?;
        search.checked = Some(tip.newest.commit().clone());
        Ok(found.or_else(|| search.same_end()))
    }
}

/// What is known of a claim's record and the log, so that a second try looks only at what is new.
struct Search<'a> {
    claim: &'a Claim,
    since: DateTime<Utc>,
    checked: Option<CommitId>,
    /// The start that it closes.
    start: Option<StartInLog>,
    /// The records that tell of an end like the claim's, each after the number of its start.
    ends: Vec<(u64, u64)>,
    /// The starts whose outcome was recorded as unknown: an end that is told after all does not close them a second time.
    unknown: Vec<u64>,
    /// The records of ends like the claim's that were told after all, each after the id of its start.
    after_all: Vec<(Id, u64)>,
}

/// A start that an end in the spool closes.
struct StartInLog {
    seq: u64,
    id: Id,
    /// GitLab's number for its project, where the start has it.
    project: Option<u64>,
}

impl Search<'_> {
    /// The record that tells that the same deployment ended in the same way: whoever recorded its end tried again before the claim
    /// of the first try was replayed.
    fn same_end(&self) -> Option<u64> {
        let start = self.claim.record().finishes.or(self.start.as_ref().map(|start| start.seq))?;
        let direct = self.ends.iter().find(|(closed, _)| *closed == start).map(|(_, seq)| *seq);
        let id = self.start.as_ref().map(|start| &start.id);
        direct.or_else(|| self.after_all.iter().find(|(own, _)| Some(own) == id).map(|(_, seq)| *seq))
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
