//! One commit of the log branch: unverified as git has it, and verified.
//!
//! A [`RawEntry`] is bytes that anyone may have made. [`inspect`] holds it against the format and the trust root; only an entry
//! without errors becomes a [`Verified`] record, and nothing else makes one.

use super::message;
use crate::core::finding::{Code, Finding};
use crate::core::record::{CommitId, Digest, Id, Kind, ParseError, Person, Record, Strength};
use crate::core::seal::{self, SealError};
use crate::core::trust::{AllowedSigners, Distrust, Revocation, revoked};
use sha1::{Digest as _, Sha1};

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
    /// Bytes of `record.json`, empty where there is none.
    pub record: Vec<u8>,
    /// Bytes of `record.json.sig`, empty where there is none.
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

/// A record whose signature, signer and commit were checked. Only [`Inspected::verified`] makes one.
#[derive(Debug, Clone)]
pub struct Verified {
    record: Record,
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
}

/// What came of holding an entry against the format and the trust root.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The record, where its bytes are one. It is not verified as long as there are errors.
    pub record: Option<Record>,
    /// Digest of the bytes of `record.json`.
    pub digest: Digest,
    /// Fingerprint of the key that signed, where the signature fits.
    pub fingerprint: Option<String>,
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
        match (self.record, self.fingerprint) {
            (Some(record), Some(fingerprint)) if !self.findings.iter().any(Finding::is_error) => {
                Ok(Verified { record, digest: self.digest, commit: self.commit, fingerprint })
            }
            _ => Err(self.findings),
        }
    }
}

/// Holds one entry against the format and the trust root: all that can be said without its neighbours.
pub fn inspect(entry: &RawEntry, trust: &Trust) -> Inspected {
    let mut inspection = Inspection { entry, seq: None, findings: Vec::new() };
    let digest = Digest::of(&entry.record);
    inspection.check_files();
    let record = inspection.read_record();
    inspection.seq = record.as_ref().map(|record| record.seq);
    let key = inspection.check_signature(seal::NAMESPACE_RECORD, &entry.signature, &entry.record, Code::SignatureWrong);
    if let (Some(record), Some(key)) = (&record, &key) {
        inspection.check_signer(record, key, trust);
        inspection.check_role(record);
    }
    if let Some(record) = &record {
        inspection.check_trailers(record, digest);
        let newer = record.newer_fields();
        if !newer.is_empty() {
            inspection.add(Code::NewerField, format!("it has `{}`, which this version does not know", newer.join("`, `")));
        }
    }
    let fingerprint = key.as_ref().map(seal::fingerprint);
    Inspected { record, digest, fingerprint, findings: inspection.findings, commit: entry.commit.clone() }
}

/// Checks the commit's own signature: by the record's signer, namespace `git`.
pub fn inspect_commit_signature(
    entry: &RawEntry,
    record: &Record,
    signature: Option<&CommitSignature>,
    trust: &Trust,
) -> Vec<Finding> {
    let mut inspection = Inspection { entry, seq: Some(record.seq), findings: Vec::new() };
    let Some(signature) = signature else {
        inspection.add(Code::CommitSignature, "the commit is not signed".to_owned());
        return inspection.findings;
    };
    match seal::open(&signature.armored, seal::NAMESPACE_GIT, &signature.payload) {
        Err(error) => inspection.add(Code::CommitSignature, format!("the commit's signature: {error}")),
        Ok(key) => {
            let at = record.recorded_at.utc();
            let signers = trust.signers.as_ref();
            let verdict =
                signers.map_or(Ok(()), |signers| signers.check(record.signer.as_str(), &key, seal::NAMESPACE_GIT, at));
            if let Err(distrust) = verdict {
                inspection.add(Code::CommitSignature, format!("the commit's signature: {distrust}"));
            }
        }
    }
    inspection.findings
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
        if !self.entry.files.iter().any(|file| file.name == "record.json") {
            self.add(Code::CommitForeign, "the commit holds no `record.json`".to_owned());
            return;
        }
        let names: Vec<_> = self.entry.files.iter().map(|file| file.name.as_str()).collect();
        if names != FILES {
            self.add(Code::CommitFiles, format!("the commit holds {}", printable(&names)));
        }
        if let Some(file) = self.entry.files.iter().find(|file| file.mode != 0o100_644) {
            self.add(Code::CommitFiles, format!("`{}` has mode {:o}", file.name.escape_debug(), file.mode));
        }
        let attributes = self.entry.files.iter().find(|file| file.name == FILES[0]);
        if attributes.is_some_and(|file| file.blob != blob_id(ATTRIBUTES)) {
            self.add(Code::CommitFiles, "`.gitattributes` is not `* -text`".to_owned());
        }
    }

    fn read_record(&mut self) -> Option<Record> {
        match Record::parse(&self.entry.record) {
            Ok(record) => Some(record),
            Err(error) => {
                let code = if matches!(error, ParseError::Newer { .. }) { Code::RecordNewer } else { Code::RecordUnreadable };
                self.add(code, error.to_string());
                None
            }
        }
    }

    fn check_signature(&mut self, namespace: &str, armored: &[u8], message: &[u8], wrong: Code) -> Option<ssh_key::PublicKey> {
        match seal::open(armored, namespace, message) {
            Ok(key) => Some(key),
            Err(error) => {
                let code = if matches!(error, SealError::Damaged(_) | SealError::TooLarge(_)) {
                    Code::SignatureDamaged
                } else {
                    wrong
                };
                self.add(code, error.to_string());
                None
            }
        }
    }

    fn check_signer(&mut self, record: &Record, key: &ssh_key::PublicKey, trust: &Trust) {
        let fingerprint = seal::fingerprint(key);
        if revoked(&trust.revocations, &fingerprint, record.seq) {
            self.add(Code::SignerRevoked, format!("the key {fingerprint} was revoked before this record"));
        }
        let Some(signers) = &trust.signers else { return };
        let at = record.recorded_at.utc();
        if let Err(distrust) = signers.check(record.signer.as_str(), key, seal::NAMESPACE_RECORD, at) {
            let code = match distrust {
                Distrust::UnknownKey => Code::SignerUnknown,
                Distrust::OtherPrincipal { .. } => Code::SignerOther,
                Distrust::Namespace | Distrust::NotYetValid { .. } | Distrust::Expired { .. } => Code::SignerNotValid,
            };
            self.add(code, format!("`{}` with key {fingerprint}: {distrust}", record.signer));
        }
    }

    fn check_role(&mut self, record: &Record) {
        let provenance = record.provenance.as_ref();
        let (person, strength) = match record.kind {
            Kind::Approval => (record.approver.as_ref(), provenance.and_then(|known| known.approval)),
            Kind::Review => (record.reviewer.as_ref(), provenance.and_then(|known| known.actor)),
            Kind::Resolution | Kind::Annotation => (record.by.as_ref(), provenance.and_then(|known| known.actor)),
            Kind::Deployment | Kind::Rollback | Kind::Refusal | Kind::Access | Kind::Recovery => return,
        };
        let login = person.and_then(|person: &Person| person.login.as_ref());
        let own_hand = login == Some(&record.signer);
        let proven = matches!(strength, Some(Strength::Fetched | Strength::Attested));
        let by_pipeline = record.signer.as_str().starts_with("ci:") && proven;
        if !own_hand && !by_pipeline {
            let login = login.map_or("nobody", |login| login.as_str());
            let kind = record.kind;
            self.add(Code::SignerRole, format!("`{}` signed a record of kind `{kind}` for `{login}`", record.signer));
        }
    }

    fn check_trailers(&mut self, record: &Record, digest: Digest) {
        let trailers = match message::trailers(&self.entry.message) {
            Ok(trailers) => trailers,
            Err(problem) => return self.add(Code::CommitTrailers, problem),
        };
        if (trailers.seq, trailers.record) != (record.seq, digest) {
            self.add(Code::CommitTrailers, "the trailer `Record` is not this record's".to_owned());
        }
        let other = |checkpoint: &crate::core::checkpoint::Checkpoint| {
            (&checkpoint.log, checkpoint.seq, checkpoint.sha256) != (&record.log, record.seq, digest)
        };
        if trailers.checkpoint.as_ref().is_some_and(other) {
            self.add(Code::CommitTrailers, "the trailer `Checkpoint` is not this record's".to_owned());
        }
    }
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
