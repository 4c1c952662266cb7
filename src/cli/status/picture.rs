//! What ran where at a moment, as the log tells it now.

use crate::cli::exit::Failure;
use crate::cli::log::told_at;
use crate::cli::outcome::{Begun, Open, is_long_ago};
use crate::core::log::entry::Verified;
use crate::core::record::{Name, Record, Status, Time};
use crate::core::state::{Place, PlaceKey, Rendered, State};
use crate::recorder::{Known, RecordError};
use chrono::{DateTime, Utc};
use std::collections::HashMap;

/// The state of a log at a moment.
pub struct Picture {
    /// The moment.
    pub at: DateTime<Utc>,
    /// The state then; `None` where nothing was known of that time.
    pub state: Option<State>,
    /// The environments that are asked for, the most recent first.
    pub places: Vec<Place>,
    /// How each start without an end stood then, by its number.
    pub open: HashMap<u64, Open>,
    /// How those ended that ended later: the record of the end.
    pub ended_later: HashMap<u64, Record>,
}

impl Picture {
    /// As things stand now.
    ///
    /// # Errors
    /// Where the history can't be read, or is damaged.
    pub fn now(known: &Known, now: DateTime<Utc>, wanted: &dyn Fn(&Place) -> bool) -> Result<Picture, Failure> {
        Picture::of(known, known.state().cloned(), &[], now, HashMap::new(), wanted)
    }

    /// As things stood then: what the log had recorded by then, and what it was told of that time afterwards.
    ///
    /// # Errors
    /// As [`Picture::now`].
    pub fn at(known: &Known, at: DateTime<Utc>, wanted: &dyn Fn(&Place) -> bool) -> Result<Picture, Failure> {
        let (mut base, later) = known.as_of(at)?;
        let told: Vec<_> = later.iter().filter_map(|step| Some((as_of(step.record(), at)?, step))).collect();
        let mut state = base.state().cloned();
        for (record, step) in &told {
            restore(&base, state.as_mut(), record)?;
            state = Some(State::after(state.take(), record, step.digest()));
        }
        if let (Some(tip), Some(state)) = (&mut base.tip, &state) {
            tip.state = state.clone();
        }
        let told: Vec<_> = told.into_iter().map(|(record, _)| record).collect();
        Picture::of(&base, state, &told, at, ends_after(&later, at), wanted)
    }

    fn of(
        base: &Known,
        state: Option<State>,
        told: &[Record],
        at: DateTime<Utc>,
        ended_later: HashMap<u64, Record>,
        wanted: &dyn Fn(&Place) -> bool,
    ) -> Result<Picture, Failure> {
        let all = match (&base.tip, &state) {
            (None, Some(state)) => state.places.iter().cloned().map(Rendered::into_inner).collect(),
            _ => base.places()?,
        };
        let places: Vec<_> = all.into_iter().rev().filter(|place| wanted(place)).collect();
        let open = outcomes(base, &places, told, &ended_later, at)?;
        Ok(Picture { at, state, places, open, ended_later })
    }
}

/// A place that had gone out of the state comes back before something new is said about it.
fn restore(base: &Known, state: Option<&mut State>, record: &Record) -> Result<(), RecordError> {
    let (Some(state), Some(key)) = (state, PlaceKey::of(record)) else { return Ok(()) };
    if state.place(&key).is_none()
        && state.has_dropped_places()
        && let Some(place) = base.place(&key)?
    {
        state.places.push(place.into());
    }
    Ok(())
}

/// What a record that came later tells of the time up to this moment; `None` where it tells only of what came after.
fn as_of(record: &Record, at: DateTime<Utc>) -> Option<Record> {
    let by_then = |time: Time| time.utc() <= at;
    let Some(began) = record.started_at.filter(|_| record.is_delivery()) else {
        return by_then(told_at(record)).then(|| record.clone());
    };
    if !by_then(began) {
        return None;
    }
    if record.status == Some(Status::Running) || by_then(record.finished_at.unwrap_or(began)) {
        return Some(record.clone());
    }
    // it had begun: of two records the start says so, of one record it is only said with the end
    record.finishes.is_none().then(|| Record { status: Some(Status::Running), finished_at: None, ..record.clone() })
}

/// The ends that came after this moment, by the number of what they end.
fn ends_after(later: &[Verified], at: DateTime<Utc>) -> HashMap<u64, Record> {
    let ends = later.iter().map(Verified::record).filter(|record| record.is_delivery());
    let ends = ends.filter(|record| record.finished_at.is_some_and(|ended| ended.utc() > at));
    // the first end counts
    ends.rev().map(|record| (record.finishes.unwrap_or(record.seq), record.clone())).collect()
}

/// How each start without an end stood. The log is walked back only where something came after a start that may still have run.
fn outcomes(
    base: &Known,
    places: &[Place],
    told: &[Record],
    ended_later: &HashMap<u64, Record>,
    at: DateTime<Utc>,
) -> Result<HashMap<u64, Open>, Failure> {
    let mut open = HashMap::new();
    let mut doubtful = HashMap::new();
    for place in places {
        for start in &place.open {
            let stands = match start {
                start if ended_later.contains_key(&start.seq) => Some(Open::Running),
                start if is_long_ago(start.started_at, at) => Some(Open::UnknownOutcome),
                start => (place.newest.seq == start.seq).then_some(Open::Running),
            };
            if let Some(stands) = stands {
                open.insert(start.seq, stands);
            } else {
                doubtful.insert(start.seq, (place.key(), start.started_at));
            }
        }
    }
    let mut begun = Begun::default();
    let mut look = |record: &Record| {
        if let Some((place, started_at)) = doubtful.remove(&record.seq) {
            open.insert(record.seq, begun.outcome(&place, started_at, at));
        }
        begun.note(record);
        !doubtful.is_empty()
    };
    let goes_on = told.iter().rev().fold(true, |_, record| look(record));
    if goes_on && base.tip.is_some() {
        base.walk(&mut |step| look(step.record()))?;
    }
    Ok(open)
}

/// Whether a place is one of those that are asked for; where nothing is asked for, each is.
pub fn is_wanted(environments: &[Name], services: &[Name], environment: &Name, service: Option<&Name>) -> bool {
    (environments.is_empty() || environments.contains(environment))
        && (services.is_empty() || service.is_some_and(|service| services.contains(service)))
}
