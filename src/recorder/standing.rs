//! What the gate asks the log about one place: approvals, and whether a version went well there long ago.

use super::error::RecordError;
use super::known::Known;
use crate::core::gate::Candidate;
use crate::core::log::entry::Verified;
use crate::core::record::{Approval, ApprovalSource, CommitId, Digest, Kind, Line, Name, Person, Record, Status};
use crate::core::state::PlaceKey;

/// How many records back an approval is looked for that does not count, to say why; and how many for another commit are told of.
const NEAR: usize = 200;
const MOST_OTHERS: usize = 2;

/// The approval that is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// For this place.
    pub place: &'a PlaceKey,
    /// The project's path, by which a laptop may know the project.
    pub path: Option<&'a Line>,
    /// For this commit.
    pub commit: Option<&'a CommitId>,
}

/// What the walk over the newer records has met.
#[derive(Default)]
struct Met {
    candidates: Vec<Candidate>,
    /// Who took back what for which commit.
    withdrawn: Vec<(Option<PlaceKey>, Option<CommitId>, Option<Name>)>,
    /// What succeeded where, by which record.
    succeeded: Vec<(Option<PlaceKey>, Option<CommitId>, u64)>,
}

impl Known<'_> {
    /// The approvals that the state has for this place and commit, each read and verified by itself. With `near`, also those among
    /// the newest records that are for something else or do not count any more.
    ///
    /// # Errors
    /// As [`Known::walk`].
    pub fn approvals(&self, wanted: Wanted, near: bool) -> Result<Vec<Candidate>, RecordError> {
        let Some(state) = self.state() else { return Ok(Vec::new()) };
        let open = state.approvals.iter().filter(|open| Some(&open.commit) == wanted.commit);
        let Some(oldest) = open.map(|open| open.record.seq).min().or(near.then_some(u64::MAX)) else { return Ok(Vec::new()) };
        let (mut met, mut count) = (Met::default(), 0);
        self.walk(&mut |step| {
            met.look_at(step, wanted);
            count += 1;
            step.record().seq > oldest || (near && count < NEAR)
        })?;
        let mut others = 0;
        met.candidates.retain(|candidate| {
            let is_wanted = candidate.approval.commit.as_ref() == wanted.commit;
            others += usize::from(!is_wanted);
            is_wanted || others <= MOST_OTHERS
        });
        for candidate in &mut met.candidates {
            candidate.is_open = state.approvals.iter().any(|open| Some(open.record.seq) == candidate.approval.seq);
        }
        Ok(met.candidates)
    }

    /// The start of the deployment by which this commit went well there for the first time; the whole history is read for it.
    ///
    /// # Errors
    /// As [`Known::walk`].
    pub fn first_success(&self, place: &PlaceKey, commit: &CommitId) -> Result<Option<u64>, RecordError> {
        let mut first = None;
        self.walk(&mut |step| {
            let record = step.record();
            if succeeded(record) && sha(record) == Some(commit) && PlaceKey::of(record).as_ref() == Some(place) {
                first = Some(record.finishes.unwrap_or(record.seq));
            }
            true
        })?;
        Ok(first)
    }
}

impl Met {
    fn look_at(&mut self, step: &Verified, wanted: Wanted) {
        let record = step.record();
        let place = PlaceKey::of(record).map(|place| place.in_project_of(wanted.place, wanted.path));
        let commit = sha(record).cloned();
        match record.kind {
            Kind::Approval if record.withdrawn == Some(true) => {
                self.withdrawn.push((place, commit, login(record)));
            }
            Kind::Approval => {
                let taken_back = (place.clone(), commit.clone(), login(record));
                let is_withdrawn = self.withdrawn.contains(&taken_back);
                let used_by = self.succeeded.iter().find(|(at, sha, _)| *at == place && *sha == commit).map(|(_, _, seq)| *seq);
                self.candidates.extend(candidate(step, place, used_by, is_withdrawn));
            }
            _ if succeeded(record) => self.succeeded.push((place, commit, record.seq)),
            _ => {}
        }
    }
}

fn candidate(step: &Verified, place: Option<PlaceKey>, used_by: Option<u64>, is_withdrawn: bool) -> Option<Candidate> {
    let record = step.record();
    let (at, signer) = match &record.late {
        Some(late) => (late.at, &late.signer),
        None => (record.recorded_at, &record.signer),
    };
    // the login is what the signature proves; whatever else it says of the person is their word
    let login = record.approver.as_ref()?.login.clone()?;
    let approval = Approval {
        source: ApprovalSource::Signed,
        approver: Person { login: Some(login), ..Person::default() },
        at: Some(at),
        note_sha256: record.reason.as_ref().map(|reason| Digest::of(reason.as_str().as_bytes())),
        note: record.reason.clone(),
        url: None,
        note_id: None,
        seq: Some(record.seq),
        sha256: Some(step.digest()),
        commit: sha(record).cloned(),
        covers: Vec::new(),
        before_start: None,
        expires_at: record.expires_at,
        newer: Default::default(),
    };
    let (signer, follow_up) = (Some(signer.clone()), record.follow_up.clone());
    Some(Candidate { approval, place, signer, follow_up, is_open: false, used_by, is_withdrawn })
}

fn login(record: &Record) -> Option<Name> {
    record.approver.as_ref().and_then(|approver| approver.login.clone())
}

fn succeeded(record: &Record) -> bool {
    record.is_delivery() && record.status == Some(Status::Success)
}

fn sha(record: &Record) -> Option<&CommitId> {
    record.commit.as_ref().map(|commit| &commit.sha)
}
