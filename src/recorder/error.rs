//! Why a record is not in the log, and whether it is worth trying again.

use crate::core::finding::Finding;
use crate::core::record::{CommitId, Id, Name, Time};
use crate::http::RemoteError;
use crate::store::StoreError;

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
        /// The line of the trust root that would change it.
        line: Option<String>,
    },
    /// The tip of the branch is not what it should be.
    #[error("{log} can't be gone on with: its newest commit is not what it should be")]
    Damaged {
        /// The log.
        log: String,
        /// What was found.
        findings: Vec<Finding>,
    },
    /// The log is missing where there should be one.
    #[error("{log} does not exist, but the configuration names its id or first record")]
    Missing {
        /// The log.
        log: String,
    },
    /// The log became shorter than it was seen before.
    #[error("{log} had record {seen} when it was seen last, and {} now: it was rewound or deleted", .now.map_or("does not exist".to_owned(), |now| format!("ends with record {now}")))]
    Rewound {
        /// The log.
        log: String,
        /// Number of the newest record that was seen.
        seen: u64,
        /// Number of the newest record now.
        now: Option<u64>,
    },
    /// The log lacks what GitLab shows.
    #[error("{log} {}, but GitLab shows {shown}: it was rewound or deleted, or that deployment was not recorded", if *.is_there { "ends before it" } else { "does not exist" })]
    Lacks {
        /// The log.
        log: String,
        /// Whether there is a log at all.
        is_there: bool,
        /// What GitLab shows, in words.
        shown: String,
        /// The environment.
        environment: Name,
        /// The commit that GitLab shows there.
        sha: CommitId,
    },
    /// The start that the record would close is not open.
    #[error("{log} does not have record {start} as an open start: it was closed already, or the log was cut off before it")]
    NotOpen {
        /// The log.
        log: String,
        /// The start's number.
        start: u64,
    },
    /// The log is of a later version of this program.
    #[error("the log is read-only here: {0}")]
    Newer(String),
    /// The clock here can't be right.
    #[error("the clock is wrong: {0}")]
    Clock(String),
    /// The clock here is behind the newest record, or that was made by a clock that is ahead.
    #[error(
        "the clock is wrong, here or where record {seq} was made: it is {now} here, and that record, by `{signer}`, is from {at}"
    )]
    Behind {
        /// The newest record.
        seq: u64,
        /// Who signed it.
        signer: Name,
        /// When it says that it was recorded.
        at: Time,
        /// What the time is here.
        now: Time,
    },
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
    /// The record is not in the log, and it could not be put into the spool either.
    #[error("{because}; and it could not be spooled: {problem}")]
    NotSpooled {
        /// Why it is not in the log.
        because: Box<RecordError>,
        /// Why it is not in the spool.
        problem: String,
    },
    /// Something else on this machine.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl RecordError {
    /// Whether the log could not be reached, or did not say: nothing is known to be wrong with it, or with who signs.
    pub fn is_unreachable(&self) -> bool {
        match self {
            RecordError::Store(StoreError::Unreachable { source, .. }) => source.is_transient(),
            RecordError::TimedOut { .. } | RecordError::Unknown { .. } => true,
            _ => false,
        }
    }

    /// Whether the record can be appended later as it is, once what is wrong has been mended.
    pub fn can_be_mended(&self) -> bool {
        !matches!(self, RecordError::Record(_) | RecordError::NotTrusted { .. } | RecordError::NotOpen { .. })
    }
}

/// Whether it is worth trying again.
pub(super) enum Failed {
    /// It may go well in a moment; what went wrong.
    Passing(String),
    /// It may, but hardly; worth a few tries.
    Doubtful(RecordError),
    /// It will not.
    For(RecordError),
}

impl Failed {
    pub(super) fn into_error(self) -> RecordError {
        match self {
            Failed::For(error) | Failed::Doubtful(error) => error,
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
            StoreError::Unreachable { source: RemoteError::Nonsense(_), .. } => Failed::Doubtful(RecordError::Store(error)),
            StoreError::Unreachable { source, .. } if source.is_transient() => Failed::Passing(error.to_string()),
            _ => Failed::For(RecordError::Store(error)),
        }
    }
}

impl From<RemoteError> for Failed {
    fn from(error: RemoteError) -> Self {
        StoreError::Unreachable { log: "the log".to_owned(), source: error }.into()
    }
}
