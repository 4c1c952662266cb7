//! What start and end of one deployment have in common.

use super::record::{CommitId, Kind, Line, Record, Time};
use super::state::PlaceKey;

/// One deployment, as its start and its end both tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Where.
    pub place: Option<PlaceKey>,
    kind: Kind,
    version: Option<Line>,
    sha: Option<CommitId>,
    /// When it began.
    pub started_at: Option<Time>,
}

impl Attempt {
    /// The deployment that this record tells of.
    pub fn of(record: &Record) -> Self {
        Attempt {
            place: PlaceKey::of(record),
            kind: record.kind,
            version: record.version.clone(),
            sha: record.commit.as_ref().map(|commit| commit.sha.clone()),
            started_at: record.started_at,
        }
    }
}
