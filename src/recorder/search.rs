//! Whether what waits in a spool is in the log already: the log is read once for many claims.

use super::error::Failed;
use super::known::Known;
use crate::core::record::{CommitId, Id, Kind, Record, Status, Time};
use crate::http::Deadline;
use chrono::{DateTime, Utc};
use std::collections::{HashMap, HashSet};

/// A look into the log for one claim after the other, as far back as any of them can be: what was read is not read again.
#[derive(Default)]
pub struct Search {
    since: Option<DateTime<Utc>>,
    checked: Option<CommitId>,
    seen: Seen,
}

/// What a claim can be found by in the records that were read.
#[derive(Default)]
pub(super) struct Seen {
    records: HashMap<Id, InLog>,
    ids: HashMap<u64, Id>,
    /// The records of the ends, by the start's number and how it ended.
    ends: HashMap<(u64, Option<Status>), u64>,
    /// The starts whose outcome was recorded as unknown: an end that is told after all does not close them a second time.
    unknown: HashSet<u64>,
    /// The records that tell of a deployment without closing its start, by the start's id: how it ended, and their numbers.
    told: HashMap<Id, Vec<(Option<Status>, u64)>>,
    /// Where the log went on over damage or a loss, and when.
    recoveries: Vec<(u64, Time)>,
}

/// A record in the log.
#[derive(Clone, Copy)]
pub(super) struct InLog {
    pub(super) seq: u64,
    /// GitLab's number for its project, where it has it.
    pub(super) project: Option<u64>,
}

impl Search {
    /// Reads what the log has of that time and later, as far as it was not read before.
    pub(super) fn read(&mut self, known: &Known, since: DateTime<Utc>, deadline: Deadline) -> Result<&Seen, Failed> {
        if self.since.is_none_or(|reached| since < reached) {
            *self = Search { since: Some(since), ..Search::default() };
        }
        let since = self.since.unwrap_or(since);
        let (mut newer, mut goes_on_from_there) = (Seen::default(), false);
        known.walk_until(deadline, &mut |step| {
            goes_on_from_there = self.checked.as_ref() == Some(step.commit());
            if goes_on_from_there {
                return false;
            }
            newer.learn(step.record());
            step.record().recorded_at.utc() >= since
        })?;
        if goes_on_from_there {
            self.seen.extend(newer);
        } else {
            // the log was rewound meanwhile: what is not in it any more does not count
            self.seen = newer;
        }
        self.checked = known.tip.as_ref().map(|tip| tip.newest.commit().clone());
        Ok(&self.seen)
    }
}

impl Seen {
    fn learn(&mut self, record: &Record) {
        let project = record.project.as_ref().and_then(|project| project.id);
        self.records.insert(record.id.clone(), InLog { seq: record.seq, project });
        self.ids.insert(record.seq, record.id.clone());
        match (record.finishes, &record.finishes_id) {
            (Some(start), _) => _ = self.ends.entry((start, record.status)).or_insert(record.seq),
            (None, Some(id)) => self.told.entry(id.clone()).or_default().push((record.status, record.seq)),
            (None, None) => {}
        }
        if record.kind == Kind::Recovery {
            self.recoveries.push((record.seq, record.recorded_at));
        }
        if record.status == Some(Status::Unknown) {
            self.unknown.extend(record.finishes);
        }
    }

    fn extend(&mut self, newer: Seen) {
        self.records.extend(newer.records);
        self.ids.extend(newer.ids);
        self.ends.extend(newer.ends);
        self.unknown.extend(newer.unknown);
        self.recoveries.extend(newer.recoveries);
        for (id, told) in newer.told {
            self.told.entry(id).or_default().extend(told);
        }
    }

    /// The record that tells what this one tells.
    pub(super) fn find(&self, wanted: &Record) -> Option<u64> {
        let own = self.records.get(&wanted.id).map(|own| own.seq);
        own.or_else(|| self.tells_all(wanted)).or_else(|| self.same_end(wanted))
    }

    /// The start that this record closes.
    pub(super) fn start_of(&self, wanted: &Record) -> Option<InLog> {
        self.records.get(self.id_of_start(wanted)?).copied()
    }

    /// Whether the outcome of this start was recorded as unknown.
    pub(super) fn ended_unknown(&self, start: u64) -> bool {
        self.unknown.contains(&start)
    }

    /// Whether a recovery gave up the record of that number, which was this one's start.
    pub(super) fn gave_up(&self, start: u64, wanted: &Record) -> bool {
        let is_later = |at: Time| wanted.started_at.is_none_or(|started| at >= started);
        self.recoveries.iter().any(|(seq, at)| *seq <= start && is_later(*at))
    }

    /// The end of a start that was not there is all of it.
    fn tells_all(&self, start: &Record) -> Option<u64> {
        let told = self.told.get(&start.id).filter(|_| start.status == Some(Status::Running))?;
        told.first().map(|(_, seq)| *seq)
    }

    /// The record that tells that the same deployment ended in the same way: whoever recorded its end tried again before the claim
    /// of the first try was replayed.
    fn same_end(&self, wanted: &Record) -> Option<u64> {
        let start = wanted.finishes.or(self.start_of(wanted).map(|start| start.seq));
        let direct = start.and_then(|start| self.ends.get(&(start, wanted.status))).copied();
        let told = || self.told.get(self.id_of_start(wanted)?)?.iter().find(|(status, _)| *status == wanted.status);
        direct.or_else(|| told().map(|(_, seq)| *seq))
    }

    fn id_of_start<'a>(&'a self, wanted: &'a Record) -> Option<&'a Id> {
        wanted.finishes_id.as_ref().or_else(|| self.ids.get(&wanted.finishes?))
    }
}
