//! Reading the commits of a log from any thread.

use super::{StoreError, bulk, objects};
use crate::core::log::entry::{CommitSignature, RawEntry};
use crate::core::record::CommitId;
use git2::{Oid, Repository};
use std::path::Path;

/// A hand of its own on the objects of a log that is at hand: libgit2's repositories belong to one thread each.
pub struct LogReader {
    repository: Repository,
    log: String,
}

impl LogReader {
    pub(super) fn open(path: &Path, log: String) -> Result<Self, git2::Error> {
        bulk::read_in_bulk()?;
        Ok(LogReader { repository: Repository::open(path)?, log })
    }

    /// As [`LogStore::read`](super::LogStore::read).
    ///
    /// # Errors
    /// Likewise.
    pub fn read(&self, commit: &CommitId) -> Result<RawEntry, StoreError> {
        self.object(commit, objects::read)
    }

    /// As [`LogStore::read_signature`](super::LogStore::read_signature).
    ///
    /// # Errors
    /// Likewise.
    pub fn read_signature(&self, commit: &CommitId) -> Result<Option<CommitSignature>, StoreError> {
        self.object(commit, objects::signature)
    }

    fn object<T>(&self, commit: &CommitId, read: impl Fn(&Repository, Oid) -> Result<T, git2::Error>) -> Result<T, StoreError> {
        let read = Oid::from_str(commit.as_str()).and_then(|id| read(&self.repository, id));
        read.map_err(|error| StoreError::of(self.log.clone(), &error))
    }
}
