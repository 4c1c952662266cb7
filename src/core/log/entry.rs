//! One commit of the log branch: unverified as git has it, and verified.
//!
//! A [`RawEntry`] is bytes that anyone may have made. [`inspect`] holds it against the format and the trust root; only an entry
//! without errors becomes a [`Verified`] record, and nothing else makes one.

use super::{late, message};
use crate::core::finding::{Code, Finding};
use crate::core::record::{
    CommitId, Digest, Id, Kind, LARGEST_RECORD, Name, ParseError, Person, Pointer, Record, Strength, Time, json,
};
use crate::core::seal::{self, SealError};
use crate::core::trust::{AllowedSigners, Distrust, Revocation, revoked};
use chrono::{DateTime, Utc};
use sha1::{Digest as _, Sha1};
use ssh_key::PublicKey;

/// The file names of a log commit, in git's order.
pub const FILES: [&str; 5] = [".gitattributes", "README.md", "record.json", "record.json.sig", "state.json"];

/// What `.gitattributes` holds, so that no checkout changes a byte.
pub const ATTRIBUTES: &[u8] = b"* -text\n";

/// A file of a commit, by its blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its mode; 0o100644 for all files of the log.
    pub mode: u32,
    /// Its blob's id.
    pub blob: String,
}

/// A commit of the branch as git has it; nothing in it has been checked.
#[derive(Debug, Clone)]
pub struct RawEntry {
    /// The commit.
    pub commit: CommitId,
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// Its files.
    pub files: Vec<File>,
    /// Its message.
    pub message: String,
    /// Bytes of `record.json`; empty where there is none, or it is larger than any record.
    pub record: Vec<u8>,
    /// Size of `record.json`, as git tells it.
    pub record_size: usize,
    /// Bytes of `record.json.sig`, as those of the record.
    pub signature: Vec<u8>,
}

/// A commit's own signature.
#[derive(Debug, Clone)]
pub struct CommitSignature {
    /// The armored signature.
    pub armored: Vec<u8>,
    /// What it covers: the commit without it.
    pub payload: Vec<u8>,
}

/// Whom to believe, and what is known of the log beforehand.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The trust root; without one nobody vouches for anything.
    pub signers: Option<AllowedSigners>,
    /// Keys that are distrusted from a place in the log on.
    pub revocations: Vec<Revocation>,
    /// The log's id, where the configuration names it.
    pub log: Option<Id>,
    /// The first record, where the configuration names it.
    pub first: Option<Digest>,
}

/// Why a key may not sign a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The finding's code.
    pub code: Code,
    /// Why, in words.
    pub reason: String,
}

impl Trust {
    /// Whether this key may sign, as this principal, in this namespace, at this moment and this place in the log.
    ///
    /// # Errors
    /// The reason. Without a trust root only revoked keys are refused.
    pub fn check(
        &self,
        principal: &Name,
        key: &PublicKey,
        namespace: &str,
        at: DateTime<Utc>,
        place: u64,
    ) -> Result<(), Doubt> {
        if !self.revocations.is_empty() && revoked(&self.revocations, &seal::fingerprint(key), place) {
            return Err(Doubt { code: Code::SignerRevoked, reason: format!("the key was revoked before record {place}") });
        }
        let Some(signers) = &self.signers else { return Ok(()) };
        signers.check(principal.as_str(), key, namespace, at).map_err(|distrust| Doubt {
            code: match distrust {
                Distrust::UnknownKey => Code::SignerUnknown,
                Distrust::OtherPrincipal { .. } => Code::SignerOther,
                Distrust::Namespace | Distrust::NotYetValid { .. } | Distrust::Expired { .. } => Code::SignerNotValid,
            },
            reason: distrust.to_string(),
        })
    }

    /// As [`seal::open`].
    fn open(&self, armored: &[u8], namespace: &str, message: &[u8]) -> Result<PublicKey, SealError> {
        match &self.signers {
            Some(signers) => seal::open_with(signers.keys(), armored, namespace, message),
            None => seal::open(armored, namespace, message),
        }
    }

    /// Whether a key was revoked from some place on.
    pub fn is_revoked_somewhere(&self, fingerprint: &str) -> bool {
        self.revocations.iter().any(|revocation| revocation.fingerprint == fingerprint)
    }
}

/// What is wrong with a record's link to the one before it; `None` means that there is none.
pub fn link_problems(record: &Record, before: Option<&Pointer>) -> Vec<(Code, String)> {
    let (expected, prev) = before.map_or((1, Digest::ZERO), |before| (before.seq + 1, before.sha256));
    let mut problems = Vec::new();
    if record.seq != expected {
        problems.push((Code::Sequence, format!("expected record {expected}, found record {}", record.seq)));
    }
    if record.prev != prev {
        let message = format!("its `prev` is {}, the record before it has {prev}", record.prev);
        problems.push((Code::PreviousRecord, message));
    }
    problems
}

/// A record whose signature, signer and commit were checked. Only [`Inspected::verified`] makes one.
#[derive(Debug, Clone)]
pub struct Verified {
    record: Box<Record>,
    digest: Digest,
    commit: CommitId,
    fingerprint: String,
}

impl Verified {
    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The commit that holds it.
    pub fn commit(&self) -> &CommitId {
        &self.commit
    }

    /// Fingerprint of the key that signed it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A pointer at it.
    pub fn pointer(&self) -> Pointer {
        Pointer::to(self.record.seq, self.digest)
    }
}

/// What came of holding an entry against the format and the trust root.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The record, where its bytes are one. It is not verified as long as there are errors.
    pub record: Option<Box<Record>>,
    /// Digest of the bytes of `record.json`.
    pub digest: Digest,
    /// Fingerprint of the key that signed, where the signature fits.
    pub fingerprint: Option<String>,
    /// Digest of `state.json`, as the commit's trailer has it.
    pub state: Option<Digest>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    commit: CommitId,
}

impl Inspected {
    /// The verified record.
    ///
    /// # Errors
    /// The findings, where one of them is an error.
    pub fn verified(self) -> Result<Verified, Vec<Finding>> {
        self.verified_but_for(|_| false)
    }

    /// The record, where it verifies whatever is wrong with its commit: for one that a recovery went on over.
    ///
    /// # Errors
    /// The findings, where one about the record is an error.
    pub fn verified_record(self) -> Result<Verified, Vec<Finding>> {
        self.verified_but_for(Code::is_of_commit)
    }

    fn verified_but_for(self, is_left_out: fn(Code) -> bool) -> Result<Verified, Vec<Finding>> {
        let is_wrong = |finding: &Finding| finding.is_error() && !is_left_out(finding.code);
        match (self.record, self.fingerprint) {
            (Some(record), Some(fingerprint)) if !self.findings.iter().any(is_wrong) => {
                Ok(Verified { record, digest: self.digest, commit: self.commit, fingerprint })
            }
            _ => Err(self.findings),
        }
    }
}

/// Holds one entry against the format and the trust root: all that can be said without its neighbours. `place` is where it
/// stands in the log, 0 where that is not known: a revoked key can write any number into its record.
pub fn inspect(entry: &RawEntry, trust: &Trust, place: u64) -> Inspected {
    let mut inspection = Inspection { entry, seq: None, findings: Vec::new() };
    let digest = Digest::of(&entry.record);
    let nothing = |findings| {
        let commit = entry.commit.clone();
        Inspected { record: None, digest, fingerprint: None, state: None, findings, commit }
    };
    if entry.file("record.json").is_none() {
        inspection.add(Code::CommitForeign, "the commit holds no `record.json`".to_owned());
        return nothing(inspection.findings);
    }
    inspection.check_files();
    let key = inspection.check_signature(trust);
    let fingerprint = key.as_ref().map(seal::fingerprint);
    let Some(record) = inspection.read_record(key.as_ref(), trust, place) else {
        return Inspected { fingerprint, ..nothing(inspection.findings) };
    };
    inspection.seq = Some(record.seq);
    inspection.findings.iter_mut().for_each(|finding| finding.seq = Some(record.seq));
    if let Some(key) = &key {
        inspection.check_signer(&record, key, trust, place);
        inspection.check_role(&record);
    }
    let state = inspection.check_trailers(&record, digest);
    inspection.check_late(&record, trust);
    inspection.note_newer_fields(&record);
    Inspected { record: Some(record), digest, fingerprint, state, findings: inspection.findings, commit: entry.commit.clone() }
}

/// Checks the commit's own signature: by the very key that signed the record, namespace `git`.
pub fn inspect_commit_signature(
    entry: &RawEntry,
    inspected: &Inspected,
    signature: Option<&CommitSignature>,
    trust: &Trust,
    place: u64,
) -> Vec<Finding> {
    let Some(record) = &inspected.record else { return Vec::new() };
    let mut inspection = Inspection { entry, seq: Some(record.seq), findings: Vec::new() };
    if let Err(problem) = check_commit_signature(record, inspected.fingerprint.as_deref(), signature, trust, place) {
        inspection.add(Code::CommitSignature, problem);
    }
    inspection.findings
}

fn check_commit_signature(
    record: &Record,
    fingerprint: Option<&str>,
    signature: Option<&CommitSignature>,
    trust: &Trust,
    place: u64,
) -> Result<(), String> {
    let signature = signature.ok_or("the commit is not signed")?;
    let key = trust
        .open(&signature.armored, seal::NAMESPACE_GIT, &signature.payload)
        .map_err(|error| format!("the commit's signature: {error}"))?;
    let own = seal::fingerprint(&key);
    if fingerprint.is_some_and(|fingerprint| fingerprint != own) {
        return Err(format!("the commit is signed by another key, {own}, than its record"));
    }
    let place = place.max(record.seq);
    trust
        .check(&record.signer, &key, seal::NAMESPACE_GIT, record.recorded_at.utc(), place)
        .map_err(|doubt| format!("the commit's signature: {}", doubt.reason))
}

impl RawEntry {
    /// A file of this name.
    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }
}

struct Inspection<'a> {
    entry: &'a RawEntry,
    seq: Option<u64>,
    findings: Vec<Finding>,
}

impl Inspection<'_> {
    fn add(&mut self, code: Code, message: String) {
        self.findings.push(Finding { code, seq: self.seq, commit: Some(self.entry.commit.clone()), message });
    }

    fn check_files(&mut self) {
        let names: Vec<_> = self.entry.files.iter().map(|file| file.name.as_str()).collect();
        if names != FILES {
            let odd: Vec<_> = names.iter().filter(|name| !FILES.contains(name)).copied().collect();
            let lacking: Vec<_> = FILES.iter().filter(|name| !names.contains(name)).copied().collect();
            let message = format!("the commit has {} too many, and lacks {}", printable(&odd), printable(&lacking));
            self.add(Code::CommitFiles, message);
        }
        if let Some(file) = self.entry.files.iter().find(|file| file.mode != 0o100_644) {
            self.add(Code::CommitFiles, format!("`{}` has mode {:o}", file.name.escape_debug(), file.mode));
        }
        if self.entry.file(FILES[0]).is_some_and(|file| file.blob != blob_id(ATTRIBUTES)) {
            self.add(Code::CommitFiles, "`.gitattributes` is not `* -text`".to_owned());
        }
    }

    /// Only what a trusted key signed can be a later version's record; the same words from anybody else are damage.
    fn read_record(&mut self, key: Option<&PublicKey>, trust: &Trust, place: u64) -> Option<Box<Record>> {
        let parsed = match self.entry.record_size {
            ..=LARGEST_RECORD => Record::parse(&self.entry.record),
            too_large => Err(ParseError::TooLarge(too_large)),
        };
        let error = match parsed {
            Ok(record) => return Some(Box::new(record)),
            Err(error) => error,
        };
        let is_newer = matches!(error, ParseError::Newer { .. }) && key.is_some_and(|key| self.is_trusted(key, trust, place));
        self.add(if is_newer { Code::RecordNewer } else { Code::RecordUnreadable }, error.to_string());
        None
    }

    /// Whether the key may sign, as far as a record that can't be read tells: every version has `signer`, `recorded_at` and `seq`.
    fn is_trusted(&self, key: &PublicKey, trust: &Trust, place: u64) -> bool {
        let Ok(value) = json::read(&self.entry.record) else { return false };
        let signer = value.text("signer").and_then(|signer| Name::new(signer).ok());
        let at = value.text("recorded_at").and_then(|at| at.parse::<Time>().ok());
        let (Some(signer), Some(at), Some(seq)) = (signer, at, value.number("seq")) else { return false };
        let hides = place == 0 && trust.is_revoked_somewhere(&seal::fingerprint(key));
        !hides && trust.check(&signer, key, seal::NAMESPACE_RECORD, at.utc(), place.max(seq)).is_ok()
    }

    fn check_signature(&mut self, trust: &Trust) -> Option<PublicKey> {
        let error = match trust.open(&self.entry.signature, seal::NAMESPACE_RECORD, &self.entry.record) {
            Ok(key) => return Some(key),
            Err(error) => error,
        };
        let is_damaged = matches!(error, SealError::Damaged(_) | SealError::TooLarge(_));
        self.add(if is_damaged { Code::SignatureDamaged } else { Code::SignatureWrong }, error.to_string());
        None
    }

    fn check_signer(&mut self, record: &Record, key: &PublicKey, trust: &Trust, place: u64) {
        let (at, place) = (record.recorded_at.utc(), place.max(record.seq));
        if let Err(doubt) = trust.check(&record.signer, key, seal::NAMESPACE_RECORD, at, place) {
            let message = format!("`{}` with key {}: {}", record.signer, seal::fingerprint(key), doubt.reason);
            self.add(doubt.code, message);
        }
    }

    fn check_late(&mut self, record: &Record, trust: &Trust) {
        if let Some(late) = &record.late
            && let Err(problem) = late::check(record, late, trust)
        {
            self.add(Code::LateClaim, problem);
        }
    }

    fn note_newer_fields(&mut self, record: &Record) {
        let newer = record.newer_fields();
        if !newer.is_empty() {
            self.add(Code::NewerField, format!("it has `{}`, which this version does not know", newer.join("`, `")));
        }
    }

    fn check_role(&mut self, record: &Record) {
        if let Err(problem) = check_role(record) {
            self.add(Code::SignerRole, problem);
        }
    }

    /// Gives the state's digest, which only the log's other records can tell right from wrong.
    fn check_trailers(&mut self, record: &Record, digest: Digest) -> Option<Digest> {
        let trailers = match message::trailers(&self.entry.message) {
            Ok(trailers) => trailers,
            Err(problem) => {
                self.add(Code::CommitTrailers, problem);
                return None;
            }
        };
        if (trailers.seq, trailers.record) != (record.seq, digest) {
            self.add(Code::CommitTrailers, "the trailer `Record` is not this record's".to_owned());
        }
        let checkpoint = &trailers.checkpoint;
        if (&checkpoint.log, checkpoint.seq, checkpoint.sha256) != (&record.log, record.seq, digest) {
            self.add(Code::CommitTrailers, "the trailer `Checkpoint` is not this record's".to_owned());
        }
        Some(trailers.state)
    }
}

/// That whoever signed this may sign such a record for the person whom it names; a claim is signed by its own signer.
pub(super) fn check_role(record: &Record) -> Result<(), String> {
    let provenance = record.provenance.as_ref();
    let (person, strength) = match record.kind {
        Kind::Approval => (record.approver.as_ref(), provenance.and_then(|known| known.approval)),
        Kind::Review => (record.reviewer.as_ref(), provenance.and_then(|known| known.actor)),
        Kind::Resolution | Kind::Annotation => (record.by.as_ref(), provenance.and_then(|known| known.actor)),
        Kind::Deployment | Kind::Rollback | Kind::Refusal | Kind::Access | Kind::Recovery => return Ok(()),
    };
    let login = person.and_then(|person: &Person| person.login.as_ref());
    // whoever appends what waited in a spool only carries it
    let signer = record.late.as_ref().map_or(&record.signer, |late| &late.signer);
    let is_pipeline = signer.as_str().starts_with("ci:");
    let own_hand = !is_pipeline && login == Some(signer);
    let proven = matches!(strength, Some(Strength::Fetched | Strength::Attested));
    if own_hand || (is_pipeline && proven) {
        return Ok(());
    }
    let (kind, login) = (record.kind, login.map_or("nobody", |login| login.as_str()));
    Err(format!("`{signer}` signed a record of kind `{kind}` for `{login}`"))
}

/// The id that git gives these bytes as a blob (gitformat-loose(5)).
pub fn blob_id(bytes: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    crate::core::record::values::hex(&hash.finalize())
}

fn printable(names: &[&str]) -> String {
    if names.is_empty() {
        return "no file".to_owned();
    }
    let names: Vec<_> = names.iter().take(10).map(|name| format!("`{}`", name.escape_debug())).collect();
    names.join(", ")
}
