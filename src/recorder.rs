//! The use case: append one record to the log, exactly once.
//!
//! Fetch the tip, check it, link the record to it, sign, publish; and again from the start when somebody else was faster or
//! the network failed. A push whose outcome nobody told is looked up by the record's id before anything is written again. So
//! whatever happens, the answer is one of: it is in the log, it is certainly not in the log.

use crate::core::checkpoint::Checkpoint;
use crate::core::finding::Finding;
use crate::core::log::entry::{self, ATTRIBUTES, FILES, RawEntry, Trust, Verified};
use crate::core::log::{message, page};
use crate::core::record::shape::FieldType as _;
use crate::core::record::{CommitId, Digest, Id, ParseError, Record, SCHEMA, Time};
use crate::core::redact::Redactor;
use crate::core::seal;
use crate::core::state::{PlaceKey, State};
use crate::http::{Deadline, HttpError};
use crate::signer::Signer;
use crate::store::{Depth, LogStore, NewCommit, PublishError, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// How far behind its predecessor, or off the server's clock, a record's clock may be.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// How long one exchange with the server may take before it counts as hung.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(20);

/// How often a push is tried again that the server refused in words that we do not know.
const UNKNOWN_REFUSALS: u32 = 3;

/// Words of a refusal that may be gone in a moment, and of one that will not.
const PASSING_REFUSALS: &[&str] =
    &["internal api", "internal server", "unreachable", "unavailable", "temporar", "timeout", "timed out"];
const LASTING_REFUSALS: &[&str] =
    &["not allowed", "protected", "denied", "permission", "archived", "read-only", "quota", "exceed", "must"];

/// Why a record is not in the log.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The trust root does not have the key that would sign.
    #[error("`{principal}` may not sign here: {reason}")]
    NotTrusted {
        /// Who would sign.
        principal: String,
        /// Why not.
        reason: String,
        /// The line that would change it.
        line: String,
    },
    /// The tip of the branch is not what it should be.
    #[error("{log} is damaged at its tip")]
    Damaged {
        /// The log.
        log: String,
        /// What was found.
        findings: Vec<Finding>,
    },
    /// The log is missing where there should be one.
    #[error("{log} does not exist, but the configuration names its first record")]
    Missing {
        /// The log.
        log: String,
    },
    /// The log is of a later version of this program.
    #[error("{0}")]
    Newer(ParseError),
    /// The clock here can't be right.
    #[error("the clock is wrong: {0}")]
    Clock(String),
    /// The record itself is not right.
    #[error("the record is not right: {0}")]
    Record(String),
    /// The server refuses the push.
    #[error("{log} refuses the record: {words}")]
    Refused {
        /// The log.
        log: String,
        /// The server's words.
        words: String,
    },
    /// The log can't be reached, or is broken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The time limit passed before the record was in.
    #[error("{log} did not take the record within the time limit ({tries} tries); the last of them: {last}")]
    TimedOut {
        /// The log.
        log: String,
        /// How often it was tried.
        tries: u32,
        /// What the last try came to.
        last: String,
    },
    /// The record may be in the log: nobody said, and nobody could be asked.
    #[error("the record was sent to {log} and no answer came back; it may be in the log or not")]
    Unknown {
        /// The log.
        log: String,
        /// The record's id, to look for.
        id: Id,
    },
    /// Something else on this machine.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// The newest record of the log and the state that goes with it, both checked.
#[derive(Debug, Clone)]
pub struct Tip {
    /// The newest record.
    pub newest: Verified,
    /// The state after it.
    pub state: State,
}

/// A record that is in the log.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The record as it was written.
    pub record: Record,
    /// The line to keep elsewhere.
    pub checkpoint: Checkpoint,
    /// Kinds of secrets that were taken out of its texts.
    pub redacted: Vec<String>,
    /// Whether it is the first of a new log.
    pub is_new_log: bool,
}

/// What came of an append.
#[derive(Debug, Clone)]
pub enum Appended {
    /// The record is in the log now.
    New(Box<Receipt>),
    /// The same job recorded the same before, in this record.
    Already(u64),
}

/// What is recorded: every field but those that only the log can give.
pub struct Draft(pub Record);

/// Appends records to one log.
pub struct Recorder<'a> {
    /// The log.
    pub store: &'a LogStore,
    /// Whom to believe.
    pub trust: &'a Trust,
    /// Who signs.
    pub signer: &'a Signer,
    /// What takes secrets out.
    pub redactor: &'a Redactor,
    /// The clock.
    pub now: Box<dyn Fn() -> DateTime<Utc> + 'a>,
    /// Whether the server's clock counts: in CI.
    pub checks_clock: bool,
    /// Told of every try that failed.
    pub on_retry: Box<dyn Fn(&str) + 'a>,
}

impl Recorder<'_> {
    /// Appends one record. `make` is given the state that it will follow and makes the record from it; it is called again
    /// when the log moved meanwhile, and must give the same `id` each time.
    ///
    /// # Errors
    /// Says why the record is not in the log; only [`RecordError::Unknown`] leaves that open.
    pub fn append(
        &self,
        id: &Id,
        deadline: Deadline,
        make: &mut dyn FnMut(Option<&State>) -> anyhow::Result<Draft>,
    ) -> Result<Appended, RecordError> {
        self.check_signer()?;
        let mut attempts = Attempts::default();
        loop {
            match self.try_append(id, deadline, make, &mut attempts) {
                Ok(appended) => return Ok(appended),
                Err(Failed::For(error)) => return Err(attempts.unless_sent(error, self.store, id)),
                Err(Failed::Passing(problem)) => {
                    attempts.tries += 1;
                    (self.on_retry)(&problem);
                    let pause = pause(attempts.tries);
                    if deadline.remaining() <= pause {
                        let log = self.store.description();
                        let error = RecordError::TimedOut { log, tries: attempts.tries, last: problem };
                        return Err(attempts.unless_sent(error, self.store, id));
                    }
                    std::thread::sleep(pause);
                }
            }
        }
    }

    /// The newest record and the state, checked: format, signatures, signer, trust. `None` where there is no log yet.
    ///
    /// # Errors
    /// Where the log can't be read, or its tip is not what it should be.
    pub fn tip(&self, deadline: Deadline) -> Result<Option<Tip>, RecordError> {
        tip(self.store, self.trust, deadline)
    }

    fn try_append(
        &self,
        id: &Id,
        deadline: Deadline,
        make: &mut dyn FnMut(Option<&State>) -> anyhow::Result<Draft>,
        attempts: &mut Attempts,
    ) -> Result<Appended, Failed> {
        let exchange = deadline.at_most(LONGEST_EXCHANGE);
        let tip = tip(self.store, self.trust, exchange)?;
        if let Some(sent) = &attempts.sent {
            if let Some(receipt) = self.look_up(id, tip.as_ref(), sent, exchange)? {
                return Ok(Appended::New(Box::new(receipt)));
            }
            attempts.sent = None; // certain now: it is not in the log
        }
        self.check_clock()?;
        if tip.is_none() && self.trust.first.is_some() {
            return Err(RecordError::Missing { log: self.store.description() }.into());
        }
        let state = tip.as_ref().map(|tip| &tip.state);
        let Draft(draft) = make(state).map_err(RecordError::Other)?;
        if let Some(seq) = state.and_then(|state| state.recorded_by_job(&draft)) {
            return Ok(Appended::Already(seq));
        }
        let (draft, redacted) = self.redact(draft)?;
        let record = self.link(draft, id, tip.as_ref(), exchange)?;
        let base = tip.as_ref().map(|tip| tip.newest.commit().clone());
        let receipt = Receipt { checkpoint: checkpoint(&record), record, redacted, is_new_log: base.is_none() };
        let commit = self.write(&receipt.record, state, base.as_ref())?;
        self.publish(&commit, base, exchange, &receipt, attempts)
    }

    fn publish(
        &self,
        commit: &CommitId,
        base: Option<CommitId>,
        deadline: Deadline,
        receipt: &Receipt,
        attempts: &mut Attempts,
    ) -> Result<Appended, Failed> {
        match self.store.publish(commit, base.as_ref(), deadline) {
            Ok(()) => Ok(Appended::New(Box::new(receipt.clone()))),
            Err(PublishError::Conflict) => Err(Failed::Passing("somebody else was faster".to_owned())),
            Err(PublishError::NotSent(error)) => Err(error.into()),
            Err(PublishError::Unknown(error)) => {
                attempts.sent = Some(Sent { base, redacted: receipt.redacted.clone() });
                Err(Failed::Passing(format!("the push was sent, and then: {error}")))
            }
            Err(PublishError::Refused(words)) => Err(self.refused(words, attempts)),
        }
    }

    fn refused(&self, words: String, attempts: &mut Attempts) -> Failed {
        let lower = words.to_lowercase();
        let has = |list: &[&str]| list.iter().any(|word| lower.contains(word));
        attempts.refusals += 1;
        if has(PASSING_REFUSALS) || (!has(LASTING_REFUSALS) && attempts.refusals < UNKNOWN_REFUSALS) {
            return Failed::Passing(format!("the server refused the push: {words}"));
        }
        RecordError::Refused { log: self.store.description(), words }.into()
    }

    fn check_signer(&self) -> Result<(), RecordError> {
        let Some(signers) = &self.trust.signers else { return Ok(()) };
        let key = self.signer.public_key();
        let principal = self.signer.principal();
        for namespace in [seal::NAMESPACE_RECORD, seal::NAMESPACE_GIT] {
            signers.check(principal.as_str(), &key, namespace, (self.now)()).map_err(|distrust| RecordError::NotTrusted {
                principal: principal.to_string(),
                reason: distrust.to_string(),
                line: crate::core::trust::line_to_add(principal.as_str(), &key),
            })?;
        }
        Ok(())
    }

    fn check_clock(&self) -> Result<(), RecordError> {
        let Some(server) = self.store.server_time().filter(|_| self.checks_clock) else { return Ok(()) };
        let here = (self.now)();
        if (here - server).abs() > CLOCK_TOLERANCE {
            return Err(RecordError::Clock(format!("it is {} here and {} on the server", Time::new(here), Time::new(server))));
        }
        Ok(())
    }

    fn redact(&self, mut draft: Record) -> Result<(Record, Vec<String>), RecordError> {
        let mut kinds = Vec::new();
        draft.visit_texts(&mut |text| {
            let redacted = self.redactor.redact(text);
            kinds.extend(redacted.hits.iter().map(|hit| hit.kind.clone()));
            let clean = redacted.text.into_owned();
            *text = clean;
        });
        let names = [draft.environment.as_ref().map(|environment| &environment.name), draft.service.as_ref()];
        for name in names.into_iter().flatten() {
            if let Some(kind) = self.redactor.finds(name.as_str()) {
                return Err(RecordError::Record(format!("the name of an environment or service looks like a secret ({kind})")));
            }
        }
        kinds.sort();
        kinds.dedup();
        Ok((draft, kinds))
    }

    fn link(&self, mut record: Record, id: &Id, tip: Option<&Tip>, deadline: Deadline) -> Result<Record, Failed> {
        record.schema = line(SCHEMA);
        record.tool = line(concat!("deploy-record ", env!("CARGO_PKG_VERSION")));
        record.id = id.clone();
        record.signer = self.signer.principal().clone();
        let now = Time::new((self.now)());
        match tip {
            None => {
                (record.log, record.seq, record.prev) = (self.new_log_id()?, 1, Digest::ZERO);
                record.recorded_at = now;
            }
            Some(tip) => {
                (record.log, record.seq) = (tip.state.log.clone(), tip.state.newest.seq + 1);
                record.prev = tip.state.newest.sha256;
                record.prev_here = self.previous_here(&record, tip, deadline)?;
                record.recorded_at = not_before(now, tip.state.recorded_at)?;
            }
        }
        record.check().map_err(|error| RecordError::Record(error.to_string()))?;
        Ok(record)
    }

    fn new_log_id(&self) -> Result<Id, RecordError> {
        match &self.trust.log {
            Some(id) => Ok(id.clone()),
            None => Ok(random_id()?),
        }
    }

    /// The newest record about the same place: from the state, or from the history where the state has forgotten places.
    fn previous_here(
        &self,
        record: &Record,
        tip: &Tip,
        deadline: Deadline,
    ) -> Result<Option<crate::core::record::Pointer>, Failed> {
        let Some(key) = PlaceKey::of(record) else { return Ok(None) };
        if let Some(place) = tip.state.place(&key) {
            return Ok(Some(place.newest.clone()));
        }
        if !tip.state.has_dropped_places() {
            return Ok(None);
        }
        let found = walk_back(self.store, tip.newest.commit(), deadline, &mut |entry| {
            let record = Record::parse(&entry.record).ok()?;
            (PlaceKey::of(&record).as_ref() == Some(&key))
                .then(|| crate::core::record::Pointer::to(record.seq, Digest::of(&entry.record)))
        })?;
        Ok(found)
    }

    fn write(&self, record: &Record, state: Option<&State>, base: Option<&CommitId>) -> Result<CommitId, RecordError> {
        let bytes = record.to_bytes();
        let digest = Digest::of(&bytes);
        let signature = self.signer.sign(seal::NAMESPACE_RECORD, &bytes)?;
        let state = State::after(state, record, digest);
        let state_bytes = state.to_bytes();
        let page = page::render(&state, record)?;
        let message = message::compose(record, digest, Digest::of(&state_bytes));
        let contents: [&[u8]; 5] = [ATTRIBUTES, page.as_bytes(), &bytes, signature.as_bytes(), &state_bytes];
        let new = NewCommit {
            files: FILES.into_iter().zip(contents).collect(),
            message: &message,
            name: record.signer.as_str(),
            email: self.signer.email(),
            time: record.recorded_at.utc().timestamp(),
        };
        Ok(self.store.write(&new, base, &|payload| self.signer.sign(seal::NAMESPACE_GIT, payload))?)
    }

    /// Looks for our record among those that came after the tip that it was built on.
    fn look_up(&self, id: &Id, tip: Option<&Tip>, sent: &Sent, deadline: Deadline) -> Result<Option<Receipt>, Failed> {
        let Some(tip) = tip else { return Ok(None) };
        let found = walk_back(self.store, tip.newest.commit(), deadline, &mut |entry| {
            if Some(&entry.commit) == sent.base.as_ref() {
                return Some(None);
            }
            let verified = entry::inspect(entry, self.trust).verified().ok()?;
            (verified.record().id == *id).then_some(Some(verified))
        })?;
        Ok(found.flatten().map(|verified| Receipt {
            record: verified.record().clone(),
            checkpoint: checkpoint(verified.record()),
            redacted: sent.redacted.clone(),
            is_new_log: verified.record().seq == 1,
        }))
    }
}

/// The newest record and the state of a log, checked. `None` where there is no log yet.
///
/// The state of a tip that a pipeline signed is believed; a person's is computed again, from the newest pipeline's on.
///
/// # Errors
/// As [`Recorder::tip`].
pub fn tip(store: &LogStore, trust: &Trust, deadline: Deadline) -> Result<Option<Tip>, RecordError> {
    let Some(commit) = store.fetch(Depth::Commits(1), deadline)? else { return Ok(None) };
    let (newest, stored) = inspect_commit(store, trust, &commit)?;
    if newest.record().signer.as_str().starts_with("ci:") {
        return Ok(Some(Tip { newest, state: stored }));
    }
    let mut steps = Vec::new();
    let base = walk_back(store, &commit, deadline, &mut |entry| match entry::inspect(entry, trust).verified() {
        Err(findings) => Some(Err(damaged(store, findings))),
        Ok(step) if step.record().signer.as_str().starts_with("ci:") => Some(Ok(entry.commit.clone())),
        Ok(step) => {
            steps.push(step);
            None
        }
    });
    let mut state = match base.map_err(Failed::into_error)? {
        None => None,
        Some(base) => Some(inspect_commit(store, trust, &base?)?.1),
    };
    for step in steps.iter().rev() {
        state = Some(State::after(state.as_ref(), step.record(), step.digest()));
    }
    match state {
        Some(state) if state == stored => Ok(Some(Tip { newest, state })),
        _ => {
            let finding = finding(&newest, "`state.json` is not what the records make of it");
            Err(damaged(store, vec![finding]))
        }
    }
}

/// Checks one commit by itself, its own signature and its state included.
fn inspect_commit(store: &LogStore, trust: &Trust, commit: &CommitId) -> Result<(Verified, State), RecordError> {
    let entry = store.read(commit)?;
    let inspected = entry::inspect(&entry, trust);
    if let Err(ParseError::Newer { what, found }) = Record::parse(&entry.record) {
        return Err(RecordError::Newer(ParseError::Newer { what, found }));
    }
    let newest = inspected.verified().map_err(|findings| damaged(store, findings))?;
    let signature = store.read_signature(commit)?;
    let mut findings = entry::inspect_commit_signature(&entry, newest.record(), signature.as_ref(), trust);
    if trust.log.as_ref().is_some_and(|log| *log != newest.record().log) {
        findings.push(Finding { code: crate::core::finding::Code::LogId, ..finding(&newest, "it belongs to another log") });
    }
    let bytes = store.read_state(commit)?;
    let named = message::trailers(&entry.message).map(|trailers| trailers.state);
    let state = match State::parse(&bytes) {
        Err(ParseError::Newer { what, found }) => return Err(RecordError::Newer(ParseError::Newer { what, found })),
        Ok(state) if named == Ok(Digest::of(&bytes)) && state.newest.sha256 == newest.digest() => Some(state),
        _ => None,
    };
    match state {
        Some(state) if findings.is_empty() => Ok((newest, state)),
        state => {
            if state.is_none() {
                findings.push(finding(&newest, "`state.json` does not belong to this record"));
            }
            Err(damaged(store, findings))
        }
    }
}

/// Goes back from a commit to its first parents, fetching more history as needed, until `look` gives something.
fn walk_back<T>(
    store: &LogStore,
    from: &CommitId,
    deadline: Deadline,
    look: &mut dyn FnMut(&RawEntry) -> Option<T>,
) -> Result<Option<T>, Failed> {
    let mut depth: i32 = 1;
    let mut next = Some(from.clone());
    while let Some(commit) = next {
        while !store.has(&commit) {
            if depth == i32::MAX {
                let problem = format!("the commit {commit}, which the history names, is not there");
                return Err(StoreError::Repository { log: store.description(), problem }.into());
            }
            depth = depth.saturating_mul(4);
            store.fetch(Depth::Commits(depth), deadline)?;
        }
        let entry = store.read(&commit)?;
        if let Some(found) = look(&entry) {
            return Ok(Some(found));
        }
        next = entry.parents.first().cloned();
    }
    Ok(None)
}

/// A random id: 128 bits from the operating system.
///
/// # Errors
/// Where the operating system has no randomness.
pub fn random_id() -> anyhow::Result<Id> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(Id::from_bits(bits))
}

#[derive(Default)]
struct Attempts {
    tries: u32,
    refusals: u32,
    /// A push whose outcome nobody told.
    sent: Option<Sent>,
}

struct Sent {
    base: Option<CommitId>,
    redacted: Vec<String>,
}

impl Attempts {
    fn unless_sent(&self, error: RecordError, store: &LogStore, id: &Id) -> RecordError {
        match self.sent {
            Some(_) => RecordError::Unknown { log: store.description(), id: id.clone() },
            None => error,
        }
    }
}

/// Whether it is worth trying again.
enum Failed {
    Passing(String),
    For(RecordError),
}

impl Failed {
    fn into_error(self) -> RecordError {
        match self {
            Failed::For(error) => error,
            Failed::Passing(problem) => RecordError::Other(anyhow::anyhow!(problem)),
        }
    }
}

impl From<RecordError> for Failed {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => error.into(),
            error => Failed::For(error),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unreachable { source, .. } if source.is_transient() => Failed::Passing(error.to_string()),
            _ => Failed::For(RecordError::Store(error)),
        }
    }
}

impl From<HttpError> for Failed {
    fn from(error: HttpError) -> Self {
        StoreError::Unreachable { log: "the log".to_owned(), source: error }.into()
    }
}

fn damaged(store: &LogStore, findings: Vec<Finding>) -> RecordError {
    RecordError::Damaged { log: store.description(), findings }
}

fn finding(newest: &Verified, message: &str) -> Finding {
    let (seq, commit) = (Some(newest.record().seq), Some(newest.commit().clone()));
    Finding { code: crate::core::finding::Code::State, seq, commit, message: message.to_owned() }
}

fn checkpoint(record: &Record) -> Checkpoint {
    Checkpoint { log: record.log.clone(), seq: record.seq, sha256: Digest::of(&record.to_bytes()) }
}

fn not_before(now: Time, predecessor: Time) -> Result<Time, RecordError> {
    if now >= predecessor {
        return Ok(now);
    }
    if predecessor.utc() - now.utc() > CLOCK_TOLERANCE {
        return Err(RecordError::Clock(format!("it is {now} here, and the newest record is from {predecessor}")));
    }
    Ok(predecessor)
}

/// Grows with each try up to two seconds, with jitter, so that writers that collided do not collide again.
fn pause(tries: u32) -> Duration {
    let base = (100 << tries.min(5)).min(2000);
    let mut random = [0; 2];
    let jitter = getrandom::fill(&mut random).map_or(0, |()| u64::from(u16::from_le_bytes(random)) % base);
    Duration::from_millis(base / 2 + jitter)
}

fn line(text: &str) -> crate::core::record::Line {
    crate::core::record::Line::clean(text).unwrap_or_else(|| unreachable!("`{text}` is not empty"))
}
