//! The use case: append one record to the log, exactly once.
//!
//! Fetch the tip, check it, link the record to it, sign, publish; and again from the start when somebody else was faster or
//! the network failed. A push whose outcome nobody told is looked up by the record's id before anything is written again. So
//! whatever happens, the answer is one of: it is in the log, it is certainly not in the log. What must not be lost waits in the
//! spool meanwhile, and stays there where it can't be appended (`spooling`).

pub mod commit;
mod error;
mod finish;
mod known;
mod past;
mod recovery;
mod search;
mod spooling;
mod standing;
mod walk;
mod whole;

pub use error::RecordError;
pub use finish::Found;
pub use known::{Known, Tip};
pub use recovery::Passed;
pub use search::Search;
pub use spooling::{Kept, Spooled};
pub use standing::Wanted;
pub use walk::Walk;
pub use whole::Verification;

use crate::core::checkpoint::Checkpoint;
use crate::core::finding::Code;
use crate::core::log::entry::Trust;
use crate::core::log::late;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{CommitId, Digest, Id, Line, Record, SCHEMA, Status, Time};
use crate::core::redact::Redactor;
use crate::core::seal;
use crate::core::state::PlaceKey;
use crate::http::{self, Deadline, FEW_TRIES, RemoteError};
use crate::signer::Signer;
use crate::store::{LogStore, PublishError, StoreError};
use chrono::{DateTime, TimeDelta, Utc};
use error::Failed;
use std::time::Duration;

/// How far behind its predecessor, or off the server's clock, a record's clock may be.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// How long one exchange with the server may take before it counts as hung; where less time is left for everything, it is this
/// part of it, so that there is always a second try.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(20);
const PART_OF_EXCHANGE: u32 = 3;

/// How long the last look for a record takes whose push nobody answered for.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Words of a refusal that may be gone in a moment, and of one that will not.
const PASSING_REFUSALS: &[&str] =
    &["internal api", "internal server", "unreachable", "unavailable", "temporar", "timeout", "timed out"];
const LASTING_REFUSALS: &[&str] =
    &["not allowed", "protected", "denied", "permission", "archived", "read-only", "quota", "exceed", "must"];

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

/// What comes next: a record, or the answer that it is there.
enum Next {
    Record(Box<Record>),
    Already(u64),
}

type Make<'a> = dyn FnMut(&Known) -> Result<Next, Failed> + 'a;

/// What a record is to follow.
#[derive(Clone, Copy)]
enum Base {
    /// The branch's tip, which must be sound.
    Tip,
    /// The newest record that verifies, over whatever came after it.
    NewestThatVerifies,
}

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
    /// Number of the newest record that was seen in this log before, where that is known.
    pub newest_seen: Option<u64>,
    /// The clock.
    pub now: Box<dyn Fn() -> DateTime<Utc> + 'a>,
    /// Told of every try that failed.
    pub on_retry: Box<dyn Fn(&str) + 'a>,
}

impl Recorder<'_> {
    /// Appends one record. `make` is given the log that it will follow and makes the record from it; it is called again
    /// when the log moved meanwhile, and must give the same `id` each time.
    ///
    /// # Errors
    /// Says why the record is not in the log; only [`RecordError::Unknown`] leaves that open.
    pub fn append(
        &self,
        id: &Id,
        deadline: Deadline,
        make: &mut dyn FnMut(&Known) -> Result<Draft, RecordError>,
    ) -> Result<Appended, RecordError> {
        self.append_next(id, deadline, &mut |known| Ok(Next::Record(Box::new(make(known)?.0))))
    }

    fn append_next(&self, id: &Id, deadline: Deadline, make: &mut Make) -> Result<Appended, RecordError> {
        self.append_on(Base::Tip, id, deadline, make)
    }

    fn append_on(&self, base: Base, id: &Id, deadline: Deadline, make: &mut Make) -> Result<Appended, RecordError> {
        self.check_signer((self.now)(), 1)?;
        let exchange = LONGEST_EXCHANGE.min(deadline.remaining() / PART_OF_EXCHANGE);
        let newest = match base {
            Base::Tip => self.newest_seen,
            Base::NewestThatVerifies => None,
        };
        let mut attempts = Attempts { base, exchange, tries: 0, doubts: 0, newest, sent: None, written: None };
        let failed = match self.append_within(id, deadline, make, &mut attempts) {
            Ok(appended) => return Ok(appended),
            Err(failed) => failed,
        };
        let Some(sent) = attempts.sent else { return Err(failed) };
        // the last look, before anybody is told that it is not there
        let known = self.known(Deadline::after(LAST_LOOK));
        match known.map_err(Failed::from).and_then(|known| self.look_up(id, &known, &sent, Deadline::after(LAST_LOOK))) {
            Ok(Some(receipt)) => Ok(Appended::New(Box::new(receipt))),
            Ok(None) if !sent.may_land => Err(failed),
            _ => Err(RecordError::Unknown { log: self.store.description(), id: id.clone() }),
        }
    }

    fn append_within(
        &self,
        id: &Id,
        deadline: Deadline,
        make: &mut Make,
        attempts: &mut Attempts,
    ) -> Result<Appended, RecordError> {
        loop {
            let problem = match self.try_append(id, deadline, make, attempts) {
                Ok(appended) => return Ok(appended),
                Err(Failed::For(error)) => return Err(error),
                Err(Failed::Doubtful(error)) if attempts.doubts + 1 >= FEW_TRIES => return Err(error),
                Err(Failed::Doubtful(error)) => {
                    attempts.doubts += 1;
                    error.to_string()
                }
                Err(Failed::Passing(problem)) => problem,
            };
            attempts.tries += 1;
            (self.on_retry)(&problem);
            let pause = http::pause(attempts.tries);
            if deadline.remaining() <= pause {
                let log = self.store.description();
                return Err(RecordError::TimedOut { log, tries: attempts.tries, last: problem });
            }
            std::thread::sleep(pause);
        }
    }

    /// The log as it is now, checked.
    ///
    /// # Errors
    /// As [`Known::fetch`].
    pub fn known(&self, deadline: Deadline) -> Result<Known<'_>, RecordError> {
        Known::fetch(self.store, self.trust, deadline)
    }

    fn try_append(&self, id: &Id, deadline: Deadline, make: &mut Make, attempts: &mut Attempts) -> Result<Appended, Failed> {
        let exchange = deadline.at_most(attempts.exchange);
        let known = match attempts.base {
            Base::Tip => self.known(exchange)?,
            Base::NewestThatVerifies => Known::over_damage(self.store, self.trust, exchange)?,
        };
        let tip = known.tip.as_ref();
        if let Some(sent) = &mut attempts.sent {
            if let Some(receipt) = self.look_up(id, &known, sent, exchange)? {
                return Ok(Appended::New(Box::new(receipt)));
            }
            sent.may_land &= sent.base == known.head;
        }
        attempts.check_newest(tip, self.store)?;
        self.check_clock()?;
        if tip.is_none() && (self.trust.first.is_some() || self.trust.log.is_some()) {
            return Err(RecordError::Missing { log: self.store.description() }.into());
        }
        let state = known.state();
        let draft = match make(&known)? {
            Next::Already(seq) => return Ok(Appended::Already(seq)),
            Next::Record(draft) => *draft,
        };
        // a start that waited is itself, whatever its job began afterwards
        let may_repeat = draft.late.is_none() || draft.status != Some(Status::Running);
        if let Some(seq) = state.filter(|_| may_repeat).and_then(|state| state.recorded_by_job(&draft)) {
            return Ok(Appended::Already(seq));
        }
        finish::check(&draft, &known)?;
        let base = known.head.clone();
        let written = match attempts.written.take().filter(|written| written.base == base && written.draft == draft) {
            // what was signed once is not signed again: that may cost a person a touch
            Some(written) => written,
            None => self.make(draft, id, &known, base.clone())?,
        };
        let Written { commit, receipt, .. } = attempts.written.insert(written).clone();
        self.publish(&commit, base, deadline.at_most(attempts.exchange), &receipt, attempts)
    }

    /// Makes the record that follows `base`, and its commit.
    fn make(&self, draft: Record, id: &Id, known: &Known, base: Option<CommitId>) -> Result<Written, Failed> {
        let (redacted_draft, redacted) = self.redact(draft.clone())?;
        let record = self.link(redacted_draft, id, known)?;
        let receipt = Receipt { checkpoint: checkpoint(&record), record, redacted, is_new_log: base.is_none() };
        let (commit, _) = commit::write(self.store, self.signer, &receipt.record, known.state().cloned(), base.as_ref())?;
        Ok(Written { draft, base, commit, receipt })
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
            Err(error @ PublishError::Locked(_)) => Err(Failed::Passing(error.to_string())),
            Err(PublishError::NotSent(error)) => Err(error.into()),
            Err(PublishError::Unknown(error)) => {
                let is_answered = matches!(error, RemoteError::Status { code: 400..500, .. });
                let other_may = attempts.sent.as_ref().is_some_and(|sent| sent.may_land && sent.base == base);
                let may_land = !is_answered || other_may;
                attempts.sent = Some(Sent { base, seq: receipt.record.seq, may_land, redacted: receipt.redacted.clone() });
                if is_answered {
                    // somebody on the way said no, maybe after the server said yes
                    let log = self.store.description();
                    return Err(Failed::Doubtful(StoreError::Unreachable { log, source: error }.into()));
                }
                Err(Failed::Passing(format!("the push was sent, and then: {error}")))
            }
            Err(PublishError::Refused(words)) => Err(self.refused(words)),
        }
    }

    fn refused(&self, words: String) -> Failed {
        let lower = words.to_lowercase();
        let has = |list: &[&str]| list.iter().any(|word| lower.contains(word));
        if has(PASSING_REFUSALS) {
            return Failed::Passing(format!("the server refused the push: {words}"));
        }
        let is_lasting = has(LASTING_REFUSALS);
        let error = RecordError::Refused { log: self.store.description(), words };
        if is_lasting { Failed::For(error) } else { Failed::Doubtful(error) }
    }

    /// Whether our key may sign a record of this time at this place.
    fn check_signer(&self, at: DateTime<Utc>, place: u64) -> Result<(), RecordError> {
        let (key, principal) = (self.signer.public_key(), self.signer.principal());
        for namespace in [seal::NAMESPACE_RECORD, seal::NAMESPACE_GIT] {
            self.trust.check(principal, &key, namespace, at, place).map_err(|doubt| RecordError::NotTrusted {
                principal: principal.to_string(),
                reason: doubt.reason,
                line: (doubt.code == Code::SignerUnknown).then(|| crate::core::trust::line_to_add(principal.as_str(), &key)),
            })?;
        }
        Ok(())
    }

    fn check_clock(&self) -> Result<(), RecordError> {
        let Some(server) = self.store.server_time() else { return Ok(()) };
        let here = (self.now)();
        if (here - server).abs() > CLOCK_TOLERANCE {
            return Err(RecordError::Clock(format!("it is {} here and {} on the server", Time::new(here), Time::new(server))));
        }
        Ok(())
    }

    fn redact(&self, mut draft: Record) -> Result<(Record, Vec<String>), RecordError> {
        let mut kinds = Vec::new();
        if draft.late.is_some() {
            return Ok((draft, kinds)); // it was redacted before it was claimed, and has to say what the claim says
        }
        draft.visit_texts(&mut |text| {
            let redacted = self.redactor.redact(text);
            kinds.extend(redacted.hits.iter().map(|hit| hit.kind.clone()));
            let clean = redacted.text.into_owned();
            *text = clean;
        });
        let environment = draft.environment.as_ref().map(|environment| &environment.name);
        let names = [environment, draft.service.as_ref(), draft.actor.as_ref().and_then(|actor| actor.login.as_ref())];
        for name in names.into_iter().flatten() {
            if let Some(kind) = self.redactor.finds(name.as_str()) {
                return Err(RecordError::Record(format!(
                    "the name of an environment, service or user looks like a secret ({kind})"
                )));
            }
        }
        kinds.sort();
        kinds.dedup();
        Ok((draft, kinds))
    }

    fn link(&self, mut record: Record, id: &Id, known: &Known) -> Result<Record, Failed> {
        record.schema = line(SCHEMA);
        record.tool = tool();
        record.id = id.clone();
        record.signer = self.signer.principal().clone();
        let now = Time::new((self.now)());
        match &known.tip {
            None => {
                (record.log, record.seq, record.prev) = (random_id().map_err(RecordError::Other)?, 1, Digest::ZERO);
                record.recorded_at = now;
            }
            Some(tip) => {
                (record.log, record.seq) = (tip.state.log.clone(), tip.state.newest.seq + 1);
                record.prev = tip.state.newest.sha256;
                let place = PlaceKey::of(&record);
                record.prev_here = place.map(|key| known.newest_at(&key)).transpose()?.flatten();
                record.recorded_at = not_before(now, tip)?;
            }
        }
        record.check().map_err(|error| RecordError::Record(error.to_string()))?;
        if let Some(late) = &record.late {
            late::check(&record, late, self.trust).map_err(RecordError::Record)?;
        }
        self.check_signer(record.recorded_at.utc(), record.seq)?;
        Ok(record)
    }

    /// Looks for our record among the links of the chain that came after the one that it was built on.
    fn look_up(&self, id: &Id, known: &Known, sent: &Sent, deadline: Deadline) -> Result<Option<Receipt>, Failed> {
        let mut found = None;
        known.walk_until(deadline, &mut |step| {
            found = (step.record().id == *id).then(|| step.clone());
            found.is_none() && step.record().seq > sent.seq
        })?;
        Ok(found.map(|verified| Receipt {
            record: verified.record().clone(),
            checkpoint: Checkpoint {
                log: verified.record().log.clone(),
                seq: verified.record().seq,
                sha256: verified.digest(),
            },
            redacted: sent.redacted.clone(),
            is_new_log: verified.record().seq == 1,
        }))
    }
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

struct Attempts {
    base: Base,
    tries: u32,
    doubts: u32,
    /// How long one exchange may take.
    exchange: Duration,
    /// Number of the newest record that was seen.
    newest: Option<u64>,
    /// The last push whose outcome nobody told.
    sent: Option<Sent>,
    /// The commit that was made last.
    written: Option<Written>,
}

/// A record in its commit, on top of that tip.
#[derive(Clone)]
struct Written {
    /// What it was made of.
    draft: Record,
    base: Option<CommitId>,
    commit: CommitId,
    receipt: Receipt,
}

struct Sent {
    /// The tip that our record was built on: it can only come right after that.
    base: Option<CommitId>,
    /// The number that it has there.
    seq: u64,
    /// Whether the push may still come through: as long as the branch stands at that tip.
    may_land: bool,
    redacted: Vec<String>,
}

impl Attempts {
    /// While we try, a log only grows: one that is gone or shorter was deleted or rewound.
    fn check_newest(&mut self, tip: Option<&Tip>, store: &LogStore) -> Result<(), RecordError> {
        let now = tip.map(|tip| tip.newest.record().seq);
        match self.newest {
            Some(seen) if now < Some(seen) => Err(RecordError::Rewound { log: store.description(), seen, now }),
            _ => {
                self.newest = now;
                Ok(())
            }
        }
    }
}

fn checkpoint(record: &Record) -> Checkpoint {
    Checkpoint { log: record.log.clone(), seq: record.seq, sha256: Digest::of(&record.to_bytes()) }
}

fn not_before(now: Time, tip: &Tip) -> Result<Time, RecordError> {
    let predecessor = tip.state.recorded_at;
    if now >= predecessor {
        return Ok(now);
    }
    if predecessor.utc() - now.utc() > CLOCK_TOLERANCE {
        let newest = tip.newest.record();
        let (seq, signer) = (newest.seq, newest.signer.clone());
        return Err(RecordError::Behind { seq, signer, at: predecessor, now });
    }
    Ok(predecessor)
}

/// This program and its version, as records name it.
fn tool() -> Line {
    line(concat!("deploy-record ", env!("CARGO_PKG_VERSION")))
}

fn line(text: &str) -> Line {
    Line::clean(text).unwrap_or_else(|| unreachable!("`{text}` is not empty"))
}
