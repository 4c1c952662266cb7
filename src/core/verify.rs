//! Verification of a whole log: everything that can be computed is computed again.
//!
//! A [`Verifier`] is fed the branch's commits from the first to the tip and holds each against its neighbours: order, links,
//! pairs of start and finish, state. After a break it goes on from what it found, so that one piece of damage is named once.

mod examined;
#[cfg(test)]
mod tests;

pub use examined::{CommitCheck, Examined};

use crate::core::attempt::Attempt;
use crate::core::checkpoint::Checkpoint;
use crate::core::finding::{Code, Finding};
use crate::core::log::entry::{self, Inspected, RawEntry, Trust, Verified};
use crate::core::record::{ApprovalSource, CommitId, Digest, Id, Kind, Name, Pointer, Record, Status, Time};
use crate::core::state::{PlaceKey, State};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a verification came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// Number of commits on the branch.
    pub commits: u64,
    /// Number of records that verify.
    pub verified: u64,
    /// `recorded_at` of the first and the last readable record.
    pub period: Option<(Time, Time)>,
    /// Who signed, with which key, and how many records: only signatures that fit.
    pub signers: BTreeMap<(String, String), u64>,
    /// The newest record.
    pub head: Option<Checkpoint>,
    /// Number of records in a format of a later version.
    pub newer: u64,
    /// Whether a trust root vouches for the signers.
    pub has_trust_root: bool,
    /// The checkpoints that the log holds unchanged.
    pub held: Vec<Checkpoint>,
    /// What was found, in the log's order.
    pub findings: Vec<Finding>,
    /// The commits of the recoveries that are links of the chain.
    pub recoveries: HashSet<CommitId>,
}

impl Report {
    /// Number of findings that are errors.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_error()).count()
    }
}

/// What a start said, kept until its finish comes.
#[derive(Debug, Clone)]
struct Start {
    attempt: Attempt,
    is_closed: bool,
}

/// An approval that somebody gave.
#[derive(Debug, Clone)]
struct Given {
    digest: Digest,
    login: Option<Name>,
    commit: Option<CommitId>,
    place: Option<PlaceKey>,
}

impl Given {
    fn of(record: &Record, digest: Digest) -> Self {
        let login = record.approver.as_ref().and_then(|approver| approver.login.clone());
        let commit = record.commit.as_ref().map(|commit| commit.sha.clone());
        Given { digest, login, commit, place: PlaceKey::of(record) }
    }
}

/// Verifies a log, entry by entry.
#[derive(Debug)]
pub struct Verifier<'a> {
    trust: &'a Trust,
    report: Report,
    last: Option<Pointer>,
    state: Option<State>,
    places: HashMap<PlaceKey, Pointer>,
    ids: HashMap<Id, u64>,
    starts: HashMap<u64, Start>,
    approvals: HashMap<u64, Given>,
    open: HashMap<PlaceKey, HashSet<u64>>,
    overlapped: HashSet<u64>,
    digests: HashMap<u64, Digest>,
    checkpoints: HashSet<u64>,
    /// The latest time that a record can have; `None` where nobody says what the time is.
    latest: Option<DateTime<Utc>>,
    /// The commits that recoveries go on over, each with the number of the recovery.
    passed: HashMap<CommitId, u64>,
}

impl<'a> Verifier<'a> {
    /// A verifier that also remembers the records that these checkpoints name.
    pub fn new(trust: &'a Trust, checkpoints: &[Checkpoint]) -> Self {
        let report = Report {
            commits: 0,
            verified: 0,
            period: None,
            signers: BTreeMap::new(),
            head: None,
            newer: 0,
            has_trust_root: trust.signers.is_some(),
            held: Vec::new(),
            findings: Vec::new(),
            recoveries: HashSet::new(),
        };
        Verifier {
            trust,
            report,
            last: None,
            state: None,
            places: HashMap::new(),
            ids: HashMap::new(),
            starts: HashMap::new(),
            approvals: HashMap::new(),
            open: HashMap::new(),
            overlapped: HashSet::new(),
            digests: HashMap::new(),
            checkpoints: checkpoints.iter().map(|checkpoint| checkpoint.seq).collect(),
            latest: None,
            passed: HashMap::new(),
        }
    }

    /// The same, noting records that are later than this.
    #[must_use]
    pub fn with_none_after(self, latest: DateTime<Utc>) -> Self {
        Verifier { latest: Some(latest), ..self }
    }

    /// The same, knowing which commits recoveries go on over, and the numbers of these.
    #[must_use]
    pub fn passing_over(self, passed: HashMap<CommitId, u64>) -> Self {
        Verifier { passed, ..self }
    }

    /// Takes the next commit of the branch. `read_state` gives the bytes of its `state.json`; it is called only where the
    /// state that was computed does not fit.
    pub fn add(&mut self, examined: Examined, read_state: &dyn Fn() -> Option<Vec<u8>>) -> Option<Verified> {
        match self.passed.get(&examined.entry.commit) {
            Some(recovery) => self.pass_over(*recovery, examined, read_state),
            None => self.take(examined, read_state),
        }
    }

    /// Takes a commit that a recovery went on over: what is wrong with it is known. Its record counts all the same where that
    /// verifies and follows; and a commit of several parents is never passed over, since one of them may hide records.
    fn pass_over(&mut self, recovery: u64, examined: Examined, read_state: &dyn Fn() -> Option<Vec<u8>>) -> Option<Verified> {
        if examined.entry.parents.len() > 1 {
            return self.take(examined, read_state);
        }
        let place = self.last.as_ref().map_or(1, |last| last.seq + 1);
        let examined = examined.at(place, self.trust);
        let before = self.report.findings.len();
        let verified = if self.counts(&examined) {
            self.take_what_counts(examined)
        } else {
            self.report.commits += 1;
            let commit = Some(examined.entry.commit.clone());
            let nothing = Finding { code: Code::CommitForeign, seq: None, commit, message: "it does not follow".to_owned() };
            let finding = examined.inspected.findings.into_iter().find(Finding::is_error).unwrap_or(nothing);
            self.report.findings.push(Finding { code: Code::Recovery, message: gone_on_over(&finding, recovery), ..finding });
            None
        };
        for finding in self.report.findings[before..].iter_mut().filter(|finding| finding.code.is_of_commit()) {
            (finding.message, finding.code) = (gone_on_over(finding, recovery), Code::Recovery);
        }
        verified
    }

    /// Whether the record of a commit that was passed over verifies and is the next link.
    fn counts(&self, examined: &Examined) -> bool {
        let is_wrong = |finding: &Finding| finding.is_error() && !finding.code.is_of_commit();
        let Some(record) = &examined.inspected.record else { return false };
        !examined.inspected.findings.iter().any(is_wrong)
            && self.link_problems(record, examined.inspected.digest).is_empty()
            && self.pair_problem(record).is_none()
    }

    fn take_what_counts(&mut self, examined: Examined) -> Option<Verified> {
        let record = examined.inspected.clone().verified_record().ok();
        let verified = self.take(examined, &|| None);
        if verified.is_none() {
            self.report.verified += 1;
            self.note_recovery(record.as_ref());
        }
        verified.or(record)
    }

    fn note_recovery(&mut self, verified: Option<&Verified>) {
        let recovery = verified.filter(|verified| verified.record().kind == Kind::Recovery);
        self.report.recoveries.extend(recovery.map(|verified| verified.commit().clone()));
    }

    fn take(&mut self, examined: Examined, read_state: &dyn Fn() -> Option<Vec<u8>>) -> Option<Verified> {
        self.report.commits += 1;
        let place = self.last.as_ref().map_or(1, |last| last.seq + 1);
        let Examined { entry, inspected, of_commit, .. } = examined.at(place, self.trust);
        let entry = &entry;
        let before = self.report.findings.len();
        self.report.findings.extend(inspected.findings.iter().cloned());
        self.check_parents(entry);
        self.report.findings.extend(of_commit);
        entry.file("record.json")?; // a foreign commit is no link of the chain
        let Some(record) = &inspected.record else {
            self.skip_unreadable(&inspected, place, read_state);
            return None;
        };
        if let Some(fingerprint) = &inspected.fingerprint {
            *self.report.signers.entry((record.signer.to_string(), fingerprint.clone())).or_default() += 1;
        }
        self.check_link(entry, record, inspected.digest);
        self.check_pair(entry, record);
        self.check_approval(entry, record);
        self.check_state(entry, &inspected, record, read_state);
        self.remember(record, inspected.digest);
        let is_clean = !self.report.findings[before..].iter().any(Finding::is_error);
        let verified = inspected.verified().ok().filter(|_| is_clean);
        self.report.verified += u64::from(verified.is_some());
        self.note_recovery(verified.as_ref());
        verified
    }

    /// Notes a commit that can't be read; the message says what that means.
    pub fn add_broken(&mut self, commit: &CommitId, message: String) {
        let finding = Finding { code: Code::CommitUnreadable, seq: None, commit: Some(commit.clone()), message };
        self.report.findings.push(match self.passed.get(commit) {
            Some(recovery) => Finding { code: Code::Recovery, message: gone_on_over(&finding, *recovery), ..finding },
            None => finding,
        });
    }

    /// Ends the verification, with these checkpoints.
    pub fn finish(mut self, checkpoints: &[Checkpoint]) -> Report {
        let mut open: Vec<_> = self.starts.iter().filter(|(_, start)| !start.is_closed).map(|(seq, _)| *seq).collect();
        open.sort_unstable();
        for seq in open {
            self.note(Code::UnknownOutcome, seq, "it began, and no record tells how it ended".to_owned());
        }
        for checkpoint in checkpoints {
            self.check_checkpoint(checkpoint);
        }
        self.report
    }

    fn note(&mut self, code: Code, seq: u64, message: String) {
        self.report.findings.push(Finding { code, seq: Some(seq), commit: None, message });
    }

    fn add_finding(&mut self, code: Code, entry: &RawEntry, seq: Option<u64>, message: String) {
        self.report.findings.push(Finding { code, seq, commit: Some(entry.commit.clone()), message });
    }

    fn check_parents(&mut self, entry: &RawEntry) {
        let is_first = self.report.commits == 1;
        let expected = usize::from(!is_first);
        if entry.parents.len() != expected {
            let message = format!("it has {} parents instead of {expected}", entry.parents.len());
            self.add_finding(Code::CommitParents, entry, None, message);
        }
    }

    fn check_link(&mut self, entry: &RawEntry, record: &Record, digest: Digest) {
        for (code, message) in self.link_problems(record, digest) {
            self.add_finding(code, entry, Some(record.seq), message);
        }
        if self.latest.is_some_and(|latest| record.recorded_at.utc() > latest) {
            let message = format!("it says that it was recorded at {}, which is still to come", record.recorded_at);
            self.add_finding(Code::TimeAhead, entry, Some(record.seq), message);
        }
    }

    /// Why a record is not the next link of the chain.
    fn link_problems(&self, record: &Record, digest: Digest) -> Vec<(Code, String)> {
        let mut problems = entry::link_problems(record, self.last.as_ref());
        if self.last.is_none() && self.trust.first.is_some_and(|first| first != digest) {
            problems.push((Code::FirstRecord, "it is not the first record that the configuration names".to_owned()));
        }
        let log = self.trust.log.as_ref().or(self.state.as_ref().map(|state| &state.log));
        if log.is_some_and(|log| *log != record.log) {
            problems.push((Code::LogId, format!("it says that it belongs to log {}", record.log)));
        }
        if let Some(other) = self.ids.get(&record.id) {
            problems.push((Code::DuplicateId, format!("its id is that of record {other}")));
        }
        let here = PlaceKey::of(record).and_then(|key| self.places.get(&key).cloned());
        if record.prev_here != here {
            let words = |pointer: &Option<Pointer>| {
                pointer.as_ref().map_or("none".to_owned(), |pointer| format!("record {}, {}", pointer.seq, pointer.sha256))
            };
            let message = format!("its `prev_here` is {}, expected {}", words(&record.prev_here), words(&here));
            problems.push((Code::PreviousHere, message));
        }
        if let Some((_, last)) = self.report.period.filter(|(_, last)| *last > record.recorded_at) {
            let message = format!("it was recorded at {}, before the one before it at {last}", record.recorded_at);
            problems.push((Code::Time, message));
        }
        problems
    }

    fn check_pair(&mut self, entry: &RawEntry, record: &Record) {
        if record.kind == Kind::Recovery {
            self.add_finding(Code::Recovery, entry, Some(record.seq), recovery_words(record));
        }
        match self.pair_problem(record) {
            Some((code, message)) => self.add_finding(code, entry, Some(record.seq), message),
            None => {
                if let Some(start) = record.finishes.and_then(|start| self.starts.get_mut(&start)) {
                    start.is_closed = true;
                }
            }
        }
    }

    /// A signed approval is a record of this log: of that person, for that commit and place.
    fn check_approval(&mut self, entry: &RawEntry, record: &Record) {
        let signed = record.approval.as_ref().filter(|approval| approval.source == ApprovalSource::Signed);
        let Some(named) = signed else { return };
        let path = record.project.as_ref().and_then(|project| project.path.as_ref());
        let is_it = |given: &Given| {
            let place = PlaceKey::of(record);
            let given_at = given.place.clone().zip(place.as_ref()).map(|(given, place)| given.in_project_of(place, path));
            let is_same = (Some(given.digest), &given.login, &given.commit)
                == (named.sha256, &named.approver.login, &record.commit.as_ref().map(|commit| commit.sha.clone()));
            is_same && given_at == place
        };
        let given = named.seq.and_then(|seq| self.approvals.get(&seq));
        // it may be one of those that this version can't read
        if !given.is_some_and(is_it) && self.report.newer == 0 {
            let seq = named.seq.map_or_else(|| "without a number".to_owned(), |seq| format!("record {seq}"));
            let words =
                format!("it names a signed approval, {seq}, that the log does not have for this person, commit and place");
            self.add_finding(Code::ApprovalUnfounded, entry, Some(record.seq), words);
        }
    }

    /// Why a record does not close the start that it names.
    fn pair_problem(&self, record: &Record) -> Option<(Code, String)> {
        let start = record.finishes?;
        let is_another = record.finishes_id.as_ref().is_some_and(|id| self.ids.get(id) != Some(&start));
        match self.starts.get(&start) {
            Some(_) if is_another => Some((Code::FinishUnpaired, format!("it closes record {start}, which has another id"))),
            None if self.report.newer > 0 => None, // it may be one of those that this version can't read
            None => Some((Code::FinishUnpaired, format!("it closes record {start}, which is no start"))),
            Some(open) if open.attempt != Attempt::of(record) => {
                Some((Code::FinishUnpaired, format!("it closes record {start}, which is another deployment's")))
            }
            Some(open) if open.is_closed => {
                Some((Code::FinishTwice, format!("it closes record {start}, which was closed before")))
            }
            Some(_) => None,
        }
    }

    fn check_state(
        &mut self,
        entry: &RawEntry,
        inspected: &Inspected,
        record: &Record,
        read_state: &dyn Fn() -> Option<Vec<u8>>,
    ) {
        let digest = inspected.digest;
        let computed = State::after(self.state.take(), record, digest);
        let bytes = computed.to_bytes();
        let is_computed = entry.file("state.json").is_some_and(|file| file.blob == entry::blob_id(&bytes));
        if is_computed && inspected.state.is_some_and(|state| state != Digest::of(&bytes)) {
            self.add_finding(
                Code::CommitTrailers,
                entry,
                Some(record.seq),
                "the trailer `State` is not the state's".to_owned(),
            );
        }
        if is_computed {
            self.state = Some(computed);
            return;
        }
        self.add_finding(Code::State, entry, Some(record.seq), "`state.json` is not what the records make of it".to_owned());
        // go on from the log's own state, so that one wrong state is not found again in every commit after it
        let own = read_state().and_then(|bytes| State::parse(&bytes).ok());
        self.state = Some(own.filter(|state| state.newest.sha256 == digest).unwrap_or(computed));
    }

    /// A record of a later version, or none at all: a link of the chain all the same.
    fn skip_unreadable(&mut self, inspected: &Inspected, seq: u64, read_state: &dyn Fn() -> Option<Vec<u8>>) {
        let pointer = Pointer::to(seq, inspected.digest);
        self.report.newer += inspected.findings.iter().filter(|finding| finding.code == Code::RecordNewer).count() as u64;
        self.state = read_state().and_then(|bytes| State::parse(&bytes).ok()).or_else(|| self.state.take());
        // what it is about only its own state tells
        for place in self.state.iter().flat_map(|state| &state.places) {
            self.places.insert(place.key(), place.newest.clone());
        }
        if let Some(head) = &mut self.report.head {
            (head.seq, head.sha256) = (seq, inspected.digest);
        }
        self.remember_digest(&pointer);
        self.last = Some(pointer);
    }

    fn remember_digest(&mut self, pointer: &Pointer) {
        if self.checkpoints.contains(&pointer.seq) {
            self.digests.insert(pointer.seq, pointer.sha256);
        }
    }

    fn remember(&mut self, record: &Record, digest: Digest) {
        let pointer = Pointer::to(record.seq, digest);
        self.note_overlap(record);
        if let Some(key) = PlaceKey::of(record) {
            self.places.insert(key, pointer.clone());
        }
        self.ids.entry(record.id.clone()).or_insert(record.seq);
        if record.kind == Kind::Approval {
            self.approvals.insert(record.seq, Given::of(record, digest));
        }
        self.remember_digest(&pointer);
        self.last = Some(pointer);
        self.report.head = Some(Checkpoint { log: record.log.clone(), seq: record.seq, sha256: digest });
        let since = self.report.period.map_or(record.recorded_at, |(since, _)| since);
        self.report.period = Some((since, record.recorded_at));
    }

    fn note_overlap(&mut self, record: &Record) {
        let Some(place) = PlaceKey::of(record).filter(|_| record.is_delivery()) else { return };
        let open = self.open.entry(place.clone()).or_default();
        if let Some(start) = record.finishes {
            open.remove(&start);
            return;
        }
        if record.status != Some(Status::Running) {
            return;
        }
        // each open start is told once: one whose job died would come up with every later deployment
        let other = open.iter().copied().filter(|seq| !self.overlapped.contains(seq)).min();
        self.overlapped.extend(other);
        open.insert(record.seq);
        self.starts.insert(record.seq, Start { attempt: Attempt::of(record), is_closed: false });
        if let Some(other) = other {
            self.note(Code::Overlap, record.seq, format!("it began while record {other} had not ended"));
        }
    }

    fn check_checkpoint(&mut self, checkpoint: &Checkpoint) {
        let head = self.report.head.clone();
        let other_log = head.as_ref().is_some_and(|head| head.log != checkpoint.log);
        let (code, message) = match self.digests.get(&checkpoint.seq) {
            _ if other_log => {
                let own = head.map(|head| head.log.to_string()).unwrap_or_default();
                (Code::CheckpointMissing, format!("the checkpoint is of log {}, this is log {own}", checkpoint.log))
            }
            Some(digest) if *digest == checkpoint.sha256 => {
                let is_before = |finding: &&Finding| finding.seq.is_none_or(|seq| seq <= checkpoint.seq);
                if !self.report.findings.iter().filter(|finding| finding.is_error()).any(|finding| is_before(&finding)) {
                    self.report.held.push(checkpoint.clone());
                }
                return;
            }
            Some(digest) => (
                Code::CheckpointOther,
                format!("record {} has {digest}, the checkpoint says {}", checkpoint.seq, checkpoint.sha256),
            ),
            None => {
                let newest = head.map_or("the log has none".to_owned(), |head| format!("the newest is {}", head.seq));
                (Code::CheckpointMissing, format!("the log holds no readable record {}: {newest}", checkpoint.seq))
            }
        };
        self.note(code, checkpoint.seq, message);
    }
}

fn gone_on_over(finding: &Finding, recovery: u64) -> String {
    format!("{}: {}; record {recovery} went on over it", finding.code, finding.message)
}

fn recovery_words(record: &Record) -> String {
    let passed = match record.skipped.len() {
        0 => String::new(),
        1 => "1 commit was passed over".to_owned(),
        number => format!("{number} commits were passed over"),
    };
    let lost = record.lost.as_ref().map(|lost| format!("records {} to {} are lost", lost.from, lost.to));
    let parts: Vec<_> = [passed, lost.unwrap_or_default()].into_iter().filter(|part| !part.is_empty()).collect();
    let reason = record.reason.as_ref().map(|reason| reason.first_line()).unwrap_or_default();
    format!("{}: {reason}", parts.join(", "))
}
