//! `state.json`: what the newest commit must say so that nobody has to read the whole log.
//!
//! The state after a record is a pure function of the state before it and the record: no clock, no configuration. So anyone can
//! compute it again, and `verify` does, record by record. It is kept small, since every commit carries it: what is over its
//! limit goes out, the least recent first, and is looked up in the history; open reviews, holds and missing reasons never go.

mod fields;
mod rendered;
#[cfg(test)]
mod tests;

pub use fields::*;
pub use rendered::Rendered;

use crate::core::checkpoint::Checkpoint;
use crate::core::record::shape::{FieldError, FieldType as _};
use crate::core::record::{
    CommitId, Digest, Kind, Line, Name, Outcome, ParseError, Person, Pointer, Project, Record, Status, Time, json,
};
use chrono::TimeDelta;

/// The format of the state.
pub const SCHEMA: &str = "deploy-state/v1";

/// How long after an end its record is made, clocks that differ included.
const PROMPT: TimeDelta = TimeDelta::minutes(5);

/// Git looks for what two files have in common among those of like size, and then among neighbours in time. So with round sizes
/// it holds a state against the one before it, and stores a quarter of what it would store otherwise.
pub const ROUND_SIZE: usize = 1024;

const MOST_PLACES: usize = 200;
const MOST_APPROVALS: usize = 100;
const MOST_RECENT: usize = 20;
const MOST_GOOD: usize = 5;
const MOST_OPEN: usize = 20;
const MOST_JOBS: usize = 64;

/// What a record is about: project, service and environment. Two records are about the same when all are equal; a project is
/// known by GitLab's number for it, or where that is unknown, by its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlaceKey {
    project: Option<u64>,
    path: Option<Line>,
    service: Option<Name>,
    environment: Name,
}

impl PlaceKey {
    /// The place of this service and environment of this project.
    pub fn new(project: Option<&Project>, service: Option<&Name>, environment: &Name) -> Self {
        let (id, path) = project.map(|project| (project.id, project.path.as_ref())).unwrap_or_default();
        PlaceKey::of_parts(id, path, service, environment)
    }

    /// The place of these parts; the path counts only where the number is not known.
    fn of_parts(project: Option<u64>, path: Option<&Line>, service: Option<&Name>, environment: &Name) -> Self {
        let path = path.filter(|_| project.is_none()).cloned();
        PlaceKey { project, path, service: service.cloned(), environment: environment.clone() }
    }

    /// The same place, of the other's project where this one names only the project's path and the other's is at that path.
    #[must_use]
    pub fn in_project_of(self, other: &PlaceKey, path: Option<&Line>) -> Self {
        let is_by_path = self.project.is_none() && self.path.is_some() && self.path.as_ref() == path;
        if is_by_path { PlaceKey { project: other.project, path: other.path.clone(), ..self } } else { self }
    }

    /// The service.
    pub fn service(&self) -> Option<&Name> {
        self.service.as_ref()
    }

    /// The environment.
    pub fn environment(&self) -> &Name {
        &self.environment
    }

    /// The place that a record is about; `None` for records that name no environment.
    pub fn of(record: &Record) -> Option<Self> {
        let environment = &record.environment.as_ref()?.name;
        Some(PlaceKey::new(record.project.as_ref(), record.service.as_ref(), environment))
    }
}

impl State {
    /// The state after this record; `None` as the previous state means that it is record 1.
    pub fn after(previous: Option<State>, record: &Record, digest: Digest) -> State {
        let mut state = previous.unwrap_or_else(|| State::empty(record, digest));
        state.newest = Pointer::to(record.seq, digest);
        state.recorded_at = record.recorded_at;
        state.expire(record);
        let closes_nothing = record.finishes.is_some_and(|start| !state.closes(record, start));
        state.update_place(record, digest);
        // a second end of one deployment does not count as one
        if !closes_nothing {
            state.update_debts(record);
            state.update_recent(record);
        }
        state.remember_job(record);
        state
    }

    /// Reads a state's bytes, strictly.
    ///
    /// # Errors
    /// As [`Record::parse`].
    pub fn parse(bytes: &[u8]) -> Result<State, ParseError> {
        let value = json::read(bytes).map_err(|error| ParseError::Json(error.to_string()))?;
        match value.text("schema") {
            Some(SCHEMA) => {}
            Some(other) => {
                let found = other.escape_debug().to_string();
                return Err(ParseError::Newer { what: "schema", found, at_least: String::new() });
            }
            None => return Err(FieldError::new("is missing").within("schema").into()),
        }
        let state = State::read(value)?;
        if state.to_bytes() != bytes {
            return Err(ParseError::NotCanonical { line: 1 });
        }
        Ok(state)
    }

    /// The bytes of `state.json`: one line, with spaces before its end up to the next multiple of [`ROUND_SIZE`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = json::write(self);
        bytes.resize((bytes.len() + 1).next_multiple_of(ROUND_SIZE) - 1, b' ');
        bytes.push(b'\n');
        bytes
    }

    /// The line that proves this state's newest record later.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { log: self.log.clone(), seq: self.newest.seq, sha256: self.newest.sha256 }
    }

    /// What is known of a place.
    pub fn place(&self, key: &PlaceKey) -> Option<&Place> {
        self.places.iter().map(|place| &**place).find(|place| place.is(key))
    }

    /// The project's number, where the log knows exactly one for this path.
    pub fn project_at(&self, path: &Line) -> Option<u64> {
        let mut ids: Vec<_> =
            self.places.iter().filter(|place| place.path.as_ref() == Some(path)).filter_map(|place| place.project).collect();
        ids.sort_unstable();
        ids.dedup();
        match ids[..] {
            [id] => Some(id),
            _ => None,
        }
    }

    /// Whether the log is of more than one project.
    pub fn has_several_projects(&self) -> bool {
        let mut projects =
            self.places.iter().map(|place| (place.project, place.path.as_ref().filter(|_| place.project.is_none())));
        let first = projects.next();
        projects.any(|project| Some(project) != first)
    }

    /// A project's path, or where that is unknown, its number.
    pub fn project_name(&self, id: Option<u64>, path: Option<&Line>) -> String {
        let same = |place: &&Place| id.is_some() && place.project == id;
        let known = self.places.iter().rev().map(|place| &**place).filter(same).find_map(|place| place.path.as_ref());
        path.or(known).map(ToString::to_string).or(id.map(|id| format!("project {id}"))).unwrap_or_default()
    }

    /// Whether a record that closes this start can do so: that the start is open, or may have gone out.
    pub fn may_finish(&self, key: &PlaceKey, start: u64) -> bool {
        match self.place(key) {
            Some(place) => place.may_finish(start),
            None => self.has_dropped_places(),
        }
    }

    /// Whether places may have gone out, so that one that is not here may still be in the history.
    pub fn has_dropped_places(&self) -> bool {
        self.places.len() >= MOST_PLACES
    }

    /// The record in which this job recorded this already.
    pub fn recorded_by_job(&self, record: &Record) -> Option<u64> {
        let key = job_key(record)?;
        self.jobs.iter().find(|job| job.key == key).map(|job| job.seq)
    }

    fn closes(&self, record: &Record, start: u64) -> bool {
        PlaceKey::of(record).is_some_and(|key| self.may_finish(&key, start))
    }

    fn empty(record: &Record, digest: Digest) -> State {
        State {
            schema: line(SCHEMA),
            log: record.log.clone(),
            first: digest,
            newest: Pointer::to(record.seq, digest),
            recorded_at: record.recorded_at,
            since: record.recorded_at,
            places: Vec::new(),
            approvals: Vec::new(),
            reviews: Vec::new(),
            holds: Vec::new(),
            missing_reasons: Vec::new(),
            recent: Vec::new(),
            jobs: Vec::new(),
            newer: Default::default(),
        }
    }

    fn expire(&mut self, record: &Record) {
        self.approvals.retain(|approval| approval.expires_at.is_none_or(|until| until > record.recorded_at));
    }

    fn update_place(&mut self, record: &Record, digest: Digest) {
        let (Some(key), Some(environment)) = (PlaceKey::of(record), &record.environment) else { return };
        let known = self.places.iter().position(|place| place.is(&key)).map(|index| self.places.remove(index).into_inner());
        let path = record.project.as_ref().and_then(|project| project.path.clone());
        let mut place = known.unwrap_or_else(|| Place {
            project: key.project,
            path: None,
            service: key.service,
            environment: key.environment,
            tier: environment.tier,
            newest: Pointer::to(record.seq, digest),
            earlier: record.prev_here.clone(),
            forgotten: record.prev_here.as_ref().map(|pointer| pointer.seq),
            runs: None,
            good: Vec::new(),
            open: Vec::new(),
            newer: Default::default(),
        });
        place.path = path.or(place.path);
        place.newest = Pointer::to(record.seq, digest);
        if record.is_delivery() {
            place.tier = environment.tier;
            place.deliver(record);
        }
        self.places.push(place.into());
        drop_oldest(&mut self.places, MOST_PLACES);
    }

    fn update_debts(&mut self, record: &Record) {
        match record.kind {
            Kind::Deployment | Kind::Rollback => self.deliver(record),
            Kind::Approval => self.approve(record),
            Kind::Review if record.outcome == Some(Outcome::Approved) => {
                let reviewer = record.reviewer.as_ref().and_then(Person::short);
                self.reviews.retain(|review| !review.is(record.of) || review.is_by(reviewer.as_ref()));
            }
            Kind::Review => {}
            Kind::Resolution => self.holds.retain(|hold| !hold.is(record.of)),
            Kind::Annotation => {
                if record.rollback.as_ref().is_some_and(|rollback| rollback.reason.is_some()) {
                    self.missing_reasons.retain(|missing| !missing.is(record.of));
                }
            }
            Kind::Refusal | Kind::Access | Kind::Recovery => {}
        }
    }

    fn deliver(&mut self, record: &Record) {
        let (Some(key), Some(version)) = (PlaceKey::of(record), record.version.clone()) else { return };
        if record.status == Some(Status::Success) {
            let sha = record.commit.as_ref().map(|commit| &commit.sha);
            self.approvals.retain(|approval| !(approval.is_about(record, &key) && Some(&approval.commit) == sha));
        }
        // A deployment of two records owes its review once, from its start on.
        if let Some(start) = record.finishes {
            self.reviews.iter_mut().filter(|review| review.seq == start).for_each(|review| review.finish = Some(record.seq));
        } else if let Some(follow_up) = &record.follow_up {
            self.reviews.push(OpenReview {
                seq: record.seq,
                finish: None,
                project: key.project,
                path: key.path.clone(),
                service: key.service.clone(),
                environment: key.environment.clone(),
                version: version.clone(),
                due: follow_up.due,
                assignee: follow_up.assignee.clone(),
                actor: record.actor.as_ref().and_then(Person::short),
                newer: Default::default(),
            });
        }
        let Some(rollback) = record.rollback.as_ref().filter(|_| record.status != Some(Status::Running)) else { return };
        let mark = Mark {
            seq: record.seq,
            start: record.finishes,
            project: key.project,
            path: key.path,
            service: key.service,
            environment: key.environment,
            version,
            at: record.recorded_at,
            newer: Default::default(),
        };
        if rollback.reason_missing == Some(true) {
            self.missing_reasons.push(mark.clone());
        }
        if rollback.hold == Some(true) && record.status == Some(Status::Success) {
            self.holds.push(mark);
        }
    }

    fn approve(&mut self, record: &Record) {
        let (Some(key), Some(commit), Some(approver)) = (PlaceKey::of(record), &record.commit, &record.approver) else {
            return;
        };
        if record.withdrawn == Some(true) {
            let is_theirs = |known: &OpenApproval| known.commit == commit.sha && known.approver.login == approver.login;
            self.approvals.retain(|known| !(known.is_about(record, &key) && is_theirs(known)));
            return;
        }
        self.approvals.push(OpenApproval {
            record: self.newest.clone(),
            project: key.project,
            path: key.path,
            service: key.service,
            environment: key.environment,
            commit: commit.sha.clone(),
            approver: approver.clone(),
            expires_at: record.expires_at,
            newer: Default::default(),
        });
        drop_oldest(&mut self.approvals, MOST_APPROVALS);
    }

    fn update_recent(&mut self, record: &Record) {
        let Some(entry) = recent(record) else { return };
        match record.finishes {
            None => self.recent.insert(0, entry.into()),
            Some(start) => {
                // one that is not here any more is no recent one
                if let Some(known) = self.recent.iter_mut().find(|known| known.seq == start) {
                    *known = entry.into();
                }
            }
        }
        self.recent.truncate(MOST_RECENT);
    }

    fn remember_job(&mut self, record: &Record) {
        let Some(key) = job_key(record) else { return };
        self.jobs.push(JobKey { seq: record.seq, key, newer: Default::default() }.into());
        drop_oldest(&mut self.jobs, MOST_JOBS);
    }
}

impl Place {
    /// The key that records about this place have.
    pub fn key(&self) -> PlaceKey {
        PlaceKey::of_parts(self.project, self.path.as_ref(), self.service.as_ref(), &self.environment)
    }

    fn is(&self, key: &PlaceKey) -> bool {
        let same_project = self.project == key.project && (key.project.is_some() || self.path == key.path);
        same_project && self.environment == key.environment && self.service == key.service
    }

    /// Whether versions that went well there may have gone out of `good`.
    pub fn has_dropped_good(&self) -> bool {
        self.good.len() >= MOST_GOOD
    }

    /// Whether a start is open, or may be, where starts may have gone out.
    fn may_finish(&self, start: u64) -> bool {
        self.open.iter().any(|open| open.seq == start) || self.forgotten.is_some_and(|forgotten| start <= forgotten)
    }

    /// Takes over from an earlier state of this place what this one does not know.
    pub fn join_earlier(&mut self, earlier: Place) {
        let start = |place: &Place| place.runs.as_ref().map(|runs| runs.start);
        if start(&earlier) > start(self) {
            self.runs = earlier.runs;
        }
        for good in earlier.good {
            let is_it =
                |known: &&mut Good| is_same_version((&known.version, known.sha.as_ref()), (&good.version, good.sha.as_ref()));
            match self.good.iter_mut().find(is_it) {
                Some(known) => known.first = known.first.min(good.first),
                None => self.good.push(good),
            }
        }
        self.good.truncate(MOST_GOOD);
        self.earlier = earlier.earlier;
    }

    fn deliver(&mut self, record: &Record) {
        let (Some(version), Some(started_at)) = (record.version.clone(), record.started_at) else { return };
        let sha = record.commit.as_ref().map(|commit| commit.sha.clone());
        if let Some(start) = record.finishes {
            if !self.may_finish(start) {
                return;
            }
            self.open.retain(|open| open.seq != start);
        }
        match record.status {
            Some(Status::Running) => {
                self.open.push(OpenStart {
                    seq: record.seq,
                    version,
                    sha,
                    started_at,
                    job: record.job.as_ref().and_then(|job| job.id),
                    pipeline: record.job.as_ref().and_then(|job| job.pipeline_id),
                    newer: Default::default(),
                });
                if self.open.len() > MOST_OPEN {
                    let gone = self.open.remove(0).seq;
                    self.forgotten = self.forgotten.max(Some(gone));
                }
            }
            Some(Status::Success) => self.went_well(record, version, sha),
            _ => {}
        }
    }

    fn went_well(&mut self, record: &Record, version: Line, sha: Option<CommitId>) {
        let start = record.finishes.unwrap_or(record.seq);
        let at = record.finished_at.unwrap_or(record.recorded_at);
        let displaces = self.runs.as_ref().is_none_or(|runs| {
            let came_too_late = is_told_late(record, at) && runs.at > at;
            start > runs.start && !came_too_late
        });
        if !displaces {
            return;
        }
        // the same commit is the same version, whatever it is called
        let is_it = |good: &Good| is_same_version((&good.version, good.sha.as_ref()), (&version, sha.as_ref()));
        let known = self.good.iter().find(|good| is_it(good)).map(|good| good.first);
        // a version that had gone out and is put back went well before all that are here: they are not older than it
        let oldest = self.good.iter().map(|good| good.first).filter(|_| record.kind == Kind::Rollback).min();
        let first = known.or(oldest).unwrap_or(start);
        self.good.retain(|good| !is_it(good));
        let good = Good { seq: record.seq, first, version: version.clone(), sha: sha.clone(), newer: Default::default() };
        self.good.insert(0, good);
        self.good.truncate(MOST_GOOD);
        // what began before this place had gone out is still to be compared with what ran then
        self.earlier.take_if(|earlier| start > earlier.seq);
        let actor = record.actor.as_ref().and_then(Person::short);
        self.runs =
            Some(Running { seq: record.seq, start, kind: record.kind, version, sha, at, actor, newer: Default::default() });
    }
}

impl OpenApproval {
    /// Whether this record is about the place that it is bound to. A laptop may know the project only by its path.
    fn is_about(&self, record: &Record, key: &PlaceKey) -> bool {
        let path = record.project.as_ref().and_then(|project| project.path.as_ref());
        let own = PlaceKey::of_parts(self.project, self.path.as_ref(), self.service.as_ref(), &self.environment);
        own.in_project_of(key, path) == *key
    }
}

impl OpenReview {
    /// The place that it is owed in.
    pub fn place(&self) -> PlaceKey {
        PlaceKey::of_parts(self.project, self.path.as_ref(), self.service.as_ref(), &self.environment)
    }

    /// Whether this record, or its other half, is the one that the number names.
    fn is(&self, seq: Option<u64>) -> bool {
        seq.is_some() && (seq == Some(self.seq) || seq == self.finish)
    }

    /// Whether this is who ran it.
    fn is_by(&self, person: Option<&Line>) -> bool {
        person.zip(self.actor.as_ref()).is_some_and(|(one, other)| one.as_str().eq_ignore_ascii_case(other.as_str()))
    }
}

impl Mark {
    /// The place that it is about.
    pub fn place(&self) -> PlaceKey {
        PlaceKey::of_parts(self.project, self.path.as_ref(), self.service.as_ref(), &self.environment)
    }

    /// As [`OpenReview::is`].
    fn is(&self, seq: Option<u64>) -> bool {
        seq.is_some() && (seq == Some(self.seq) || seq == self.start)
    }
}

/// Whether two are one version: the same commit, or where neither is known, the same name.
pub fn is_same_version(one: (&Line, Option<&CommitId>), other: (&Line, Option<&CommitId>)) -> bool {
    match (one.1, other.1) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.0 == other.0,
        _ => false,
    }
}

/// Whether a record tells of an end that was over when it was made: it waited in a spool, or somebody wrote it down later.
fn is_told_late(record: &Record, end: Time) -> bool {
    record.late.is_some() || record.recorded_at.utc() - end.utc() > PROMPT
}

fn recent(record: &Record) -> Option<Recent> {
    if !record.is_delivery() {
        return None;
    }
    let place = PlaceKey::of(record)?;
    Some(Recent {
        seq: record.seq,
        kind: record.kind,
        project: place.project,
        path: place.path,
        service: place.service,
        environment: place.environment,
        version: record.version.clone()?,
        status: record.status?,
        started_at: record.started_at?,
        finished_at: record.finished_at,
        actor: record.actor.as_ref().and_then(Person::short),
        class: record.class.as_ref().map(|class| class.name),
        approver: record.approval.as_ref().and_then(|approval| approval.approver.short()),
        newer: Default::default(),
    })
}

/// The key of what a job records: project, service, environment, job, attempt, kind, status, and what it delivers. An end is
/// an end of its own start only.
fn job_key(record: &Record) -> Option<Line> {
    let job = record.job.as_ref()?;
    let place = PlaceKey::of(record)?;
    let text = |value: Option<String>| value.unwrap_or_default();
    let parts = [
        text(place.project.map(|id| id.to_string()).or(place.path.map(|path| path.to_string()))),
        text(place.service.map(|service| service.to_string())),
        place.environment.to_string(),
        job.id?.to_string(),
        job.attempt.unwrap_or(1).to_string(),
        record.kind.to_string(),
        text(record.status.map(|status| status.to_string())),
        text(record.version.as_ref().map(ToString::to_string)),
        text(record.commit.as_ref().map(|commit| commit.sha.to_string())),
        text(record.finishes.map(|start| start.to_string())),
    ];
    let digest = Digest::of(parts.join("\n").as_bytes()).to_string();
    Some(line(&digest["sha256:".len()..][..16]))
}

fn drop_oldest<T>(list: &mut Vec<T>, most: usize) {
    if list.len() > most {
        list.drain(..list.len() - most);
    }
}

fn line(text: &str) -> Line {
    Line::clean(text).unwrap_or_else(|| unreachable!("`{text}` is a constant or a digest, never empty"))
}
