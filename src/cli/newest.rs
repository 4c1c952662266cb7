//! A walk over the log, the newest commit first.

use super::context::Context;
use super::exit::Failure;
use super::log::no_log;
use crate::core::log::entry::RawEntry;
use crate::core::record::CommitId;
use crate::store::{Depth, LogStore};

/// Walks the log from its tip back, reading only as far as it is asked to.
pub struct Newest<'a> {
    store: &'a LogStore,
    next: Option<CommitId>,
}

impl<'a> Newest<'a> {
    /// Fetches the log.
    ///
    /// # Errors
    /// Where it can't be reached, or there is none.
    pub fn fetch(ctx: &Context, store: &'a LogStore) -> Result<Self, Failure> {
        let tip = store.fetch(Depth::All, ctx.deadline())?.ok_or_else(|| no_log(store))?;
        Ok(Newest { store, next: Some(tip) })
    }

    /// The next older commit.
    pub fn next(&mut self) -> Result<Option<RawEntry>, Failure> {
        let Some(commit) = self.next.take() else { return Ok(None) };
        let entry = self.store.read(&commit)?;
        self.next = entry.parents.first().cloned();
        Ok(Some(entry))
    }
}
