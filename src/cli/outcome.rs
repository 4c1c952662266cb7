//! What became of a deployment that began, and of whose end no record tells: one rule for all commands.

use crate::core::record::{Record, Status, Time};
use crate::core::state::PlaceKey;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;

/// The rule in words, for `--help`.
pub const RULE: &str = "A deployment that began and has no end on record is `running`; its outcome is unknown once another one that \
     began after it was recorded after it in the same project, service and environment, or once it began more than a day ago.";

/// For how long a start without an end counts as running.
pub const LONGEST_RUN: TimeDelta = TimeDelta::days(1);

/// How a deployment without an end stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// It may well go on.
    Running,
    /// Nobody told how it ended, and it hardly goes on.
    UnknownOutcome,
}

impl Open {
    /// The status by which it is looked for.
    pub fn status(self) -> Status {
        match self {
            Open::Running => Status::Running,
            Open::UnknownOutcome => Status::Unknown,
        }
    }

    /// How it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Open::Running => "running",
            Open::UnknownOutcome => "unknown outcome",
        }
    }
}

/// When deployments began, of the records that were met on the way from the newest back.
#[derive(Debug, Default)]
pub struct Begun(HashMap<PlaceKey, Time>);

impl Begun {
    /// Takes a record into account; an end says nothing new, its start is met later.
    pub fn note(&mut self, record: &Record) {
        let (Some(place), Some(at)) = (PlaceKey::of(record), record.started_at) else { return };
        if record.is_delivery() && record.finishes.is_none() {
            let latest = self.0.entry(place).or_insert(at);
            *latest = at.max(*latest);
        }
    }

    /// How a start without an end stands which comes before all that were noted.
    pub fn outcome(&self, place: &PlaceKey, started_at: Time, now: DateTime<Utc>) -> Open {
        let is_overtaken = self.0.get(place).is_some_and(|latest| *latest >= started_at);
        if is_overtaken || is_long_ago(started_at, now) { Open::UnknownOutcome } else { Open::Running }
    }
}

/// Whether a start is so old that nobody waits for its end any more.
pub fn is_long_ago(started_at: Time, now: DateTime<Utc>) -> bool {
    now - started_at.utc() > LONGEST_RUN
}
