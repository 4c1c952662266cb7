//! What can be wrong with a log: stable codes, each with its weight and one sentence.

use crate::core::record::CommitId;
use std::fmt;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is wrong with the log.
    Notice,
    /// The log, or this record of it, is not what it should be.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(match self {
            Severity::Notice => "notice",
            Severity::Error => "error",
        })
    }
}

/// One thing found: the code, where, and one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its stable code.
    pub code: Code,
    /// The record that it is about.
    pub seq: Option<u64>,
    /// The commit on the branch.
    pub commit: Option<CommitId>,
    /// What was found, one sentence.
    pub message: String,
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $severity:ident, $description:literal;)+) => {
        /// The codes of findings. They are stable: scripts may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $description] $variant,)+ }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The code as it is printed.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)+ }
            }

            /// How much a finding with this code weighs.
            pub const fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)+ }
            }

            /// What the code means, one sentence.
            pub const fn description(self) -> &'static str {
                match self { $(Code::$variant => $description,)+ }
            }
        }
    };
}

codes! {
    RecordUnreadable = "record-unreadable", Error, "The file is no record of this format.";
    RecordNewer = "record-newer", Notice, "The record's format or kind is of a later version: update deploy-record.";
    SignatureDamaged = "signature-damaged", Error, "The signature file is no SSH signature.";
    SignatureWrong = "signature-wrong", Error, "The signature does not fit the record: one of the two was changed.";
    SignerUnknown = "signer-unknown", Error, "The key that signed is not in the trust root.";
    SignerOther = "signer-other", Error, "The key that signed belongs to another principal than the record names.";
    SignerNotValid = "signer-not-valid", Error, "The key was not valid at the record's time.";
    SignerRevoked = "signer-revoked", Error, "The key was revoked before this record.";
    SignerRole = "signer-role", Error, "The signer may not sign this kind of record for that person.";
    CommitForeign = "commit-foreign", Error, "A commit on the branch is none of the log's.";
    CommitUnreadable = "commit-unreadable", Error, "A commit on the branch can't be read.";
    CommitParents = "commit-parents", Error, "The commit has more than one parent, or one where it should have none.";
    CommitFiles = "commit-files", Error, "The commit holds other files, or other modes, than a log commit.";
    CommitTrailers = "commit-trailers", Error, "The commit's trailers do not match its files.";
    CommitSignature = "commit-signature", Error, "The commit is not signed by the record's signer.";
    LogId = "log-id", Error, "The record belongs to another log.";
    Sequence = "sequence", Error, "A record is missing, doubled or out of order.";
    PreviousRecord = "prev", Error, "The record does not follow the one before it.";
    PreviousHere = "prev-here", Error, "The record does not point at the previous one about the same environment.";
    DuplicateId = "duplicate-id", Error, "Two records have one id.";
    State = "state", Error, "The state file is not what the records make of it.";
    Time = "time", Error, "The record is older than the one before it.";
    TimeAhead = "time-ahead", Notice, "The record is of a time that is still to come: the clock that made it was wrong, or the one here is.";
    FinishUnpaired = "finish-unpaired", Error, "The record closes a start that is none, or is another deployment's.";
    FinishTwice = "finish-twice", Error, "The record closes a start that was closed before.";
    FirstRecord = "first-record", Error, "The log's first record is not the one that the configuration names.";
    CheckpointMissing = "checkpoint-missing", Error, "The log does not reach the checkpoint: the newest records were removed, or it is another log's.";
    CheckpointOther = "checkpoint-other", Error, "The log holds another record where the checkpoint has one: there are two histories.";
    LateClaim = "late-claim", Error, "The record does not agree with the claim that it was made from.";
    Recovery = "recovery", Notice, "The log went on over damage here.";
    NewerField = "newer-field", Notice, "The record has fields that this version does not know; they are kept and covered by the signature.";
    ApprovalUnfounded = "approval-unfounded", Error, "The record names a signed approval that the log does not have, or that is of another person, commit or place.";
    Overlap = "overlap", Notice, "A deployment began while another one in the same environment had not ended.";
    UnknownOutcome = "unknown-outcome", Notice, "A deployment began, and no record tells how it ended.";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Code {
    /// Whether it is about a commit and what stands in it beside the record: the record may be right all the same.
    pub const fn is_of_commit(self) -> bool {
        matches!(self, Code::CommitFiles | Code::CommitTrailers | Code::CommitSignature | Code::State)
    }
}

impl Finding {
    /// Whether it is more than a notice.
    pub fn is_error(&self) -> bool {
        self.code.severity() == Severity::Error
    }
}
