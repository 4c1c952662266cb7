//! What is owed in the place that is deployed to.

use super::Facts;
use crate::core::state::OpenReview;

/// The reviews there that should have been done by now.
pub(super) fn overdue<'a>(facts: &'a Facts) -> impl Iterator<Item = &'a OpenReview> {
    let now = facts.now;
    facts.log.reviews().iter().filter(move |review| review.due.is_some_and(|due| due.utc() < now))
}
