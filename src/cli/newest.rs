//! A walk over the log, the newest commit first.

use super::context::Context;
use super::exit::Failure;
use super::log::no_log;
use crate::core::log::entry::RawEntry;
use crate::recorder::Walk;
use crate::store::{Depth, LogStore};

/// Walks the log from its tip back, fetching and reading only as far as it is asked to.
pub struct Newest<'a>(Walk<'a>);

impl<'a> Newest<'a> {
    /// Fetches the tip.
    ///
    /// # Errors
    /// Where the log can't be reached, or there is none.
    pub fn fetch(ctx: &Context, store: &'a LogStore) -> Result<Self, Failure> {
        let tip = store.fetch(Depth::Commits(1), ctx.deadline())?.ok_or_else(|| no_log(store))?;
        Ok(Newest(Walk::from(store, &tip, ctx.deadline())))
    }

    /// The next older commit.
    pub fn next(&mut self) -> Result<Option<RawEntry>, Failure> {
        Ok(self.0.older()?)
    }
}
