//! Where the log is kept: a branch of a git repository, on this machine or behind HTTP(S).
//!
//! An append is a compare-and-swap: fetch the tip, build a commit on it, publish without force. What certainly did not happen
//! and what may have happened are different errors ([`PublishError`]), because only the first may simply be tried again.

mod bulk;
mod cache;
mod log_reader;
mod log_store;
mod memory;
mod objects;
mod reader;
mod turn;

pub use cache::{Cache, Seen};
pub use log_reader::LogReader;
pub use log_store::{Depth, History, LogStore};
pub use memory::set_allocator;
pub use objects::NewCommit;
pub use reader::{Notice, OnNotice, Rewound};

use crate::http::RemoteError;

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The log's server could not be reached, or said no.
    #[error("can't reach {log}: {source}")]
    Unreachable {
        /// The log.
        log: String,
        /// What went wrong.
        source: RemoteError,
    },
    /// Something is not there that should be: a clone may have only a part of the log.
    #[error("a part of {log} is not here: {problem}")]
    Missing {
        /// The log.
        log: String,
        /// What git says.
        problem: String,
    },
    /// A repository on this machine can't be used.
    #[error("can't use {log}: {problem}")]
    Repository {
        /// The log, or the repository.
        log: String,
        /// What git says, and what to do.
        problem: String,
    },
}

impl StoreError {
    /// What libgit2 says of this log's objects.
    fn of(log: String, error: &git2::Error) -> Self {
        let problem = error.message().to_owned();
        match error.code() {
            git2::ErrorCode::NotFound => StoreError::Missing { log, problem },
            _ => StoreError::Repository { log, problem },
        }
    }
}

/// Why a commit is not, or may not be, on the branch.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Somebody else was faster: nothing changed.
    #[error("the branch moved meanwhile")]
    Conflict,
    /// The branch is locked by another process, or by one that was killed: nothing changed.
    #[error("the branch is locked: if no git command runs there, remove `{0}`")]
    Locked(String),
    /// The server said no: nothing changed.
    #[error("the server refused the push: {0}")]
    Refused(String),
    /// The server could not be asked: nothing changed.
    #[error(transparent)]
    NotSent(StoreError),
    /// No verdict came back: it may be on the branch or not.
    #[error("the push was sent, and then: {0}")]
    Unknown(RemoteError),
}
