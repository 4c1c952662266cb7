//! Going back through the log, commit by commit, fetching no more of it than is read.

use crate::core::log::entry::RawEntry;
use crate::core::record::CommitId;
use crate::http::Deadline;
use crate::store::{Depth, LogStore, StoreError};

/// By how much each further fetch reaches farther back than the one before it.
const FARTHER: i32 = 4;

/// A walk from a commit to its first parents.
pub struct Walk<'a> {
    store: &'a LogStore,
    deadline: Deadline,
    depth: i32,
    next: Option<CommitId>,
}

impl<'a> Walk<'a> {
    /// Begins at this commit, of a log of which at least the tip was fetched.
    pub fn from(store: &'a LogStore, commit: &CommitId, deadline: Deadline) -> Self {
        Walk { store, deadline, depth: 1, next: Some(commit.clone()) }
    }

    /// The next older commit; `None` after the first of the log.
    ///
    /// # Errors
    /// Where it can't be fetched or read.
    pub fn older(&mut self) -> Result<Option<RawEntry>, StoreError> {
        let Some(commit) = self.next.take() else { return Ok(None) };
        while !self.store.has(&commit) {
            self.fetch_farther(&commit)?;
        }
        let entry = self.store.read(&commit)?;
        self.next = entry.parents.first().cloned();
        Ok(Some(entry))
    }

    fn fetch_farther(&mut self, missing: &CommitId) -> Result<(), StoreError> {
        if self.depth == i32::MAX {
            let problem = format!("the history names the commit {missing}");
            return Err(StoreError::Missing { log: self.store.description(), problem });
        }
        self.depth = self.depth.saturating_mul(FARTHER);
        self.store.fetch(Depth::Commits(self.depth), self.deadline).map(|_| ())
    }
}
