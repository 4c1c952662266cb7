//! A commit of the log, looked at by itself.

use crate::core::finding::Finding;
use crate::core::log::entry::{self, CommitSignature, Inspected, RawEntry, Trust};

/// Whether a commit's own signature is checked, too.
#[derive(Debug, Clone)]
pub enum CommitCheck {
    /// It is left alone.
    Skip,
    /// It is checked; `None` where the commit has none.
    Check(Option<CommitSignature>),
}

/// A commit and all that can be said of it without its neighbours: the costly part of a verification, which needs no order.
#[derive(Debug, Clone)]
pub struct Examined {
    pub(super) entry: RawEntry,
    pub(super) inspected: Inspected,
    /// What is wrong with the commit's own signature.
    pub(super) of_commit: Vec<Finding>,
    signature: CommitCheck,
    place: u64,
}

impl Examined {
    /// Looks at a commit that stands at this place in the log, as far as is known: where commits before it are no records, or
    /// records are missing, the verifier knows better.
    pub fn new(entry: RawEntry, signature: CommitCheck, trust: &Trust, place: u64) -> Self {
        let inspected = entry::inspect(&entry, trust, place);
        let of_commit = match &signature {
            CommitCheck::Skip => Vec::new(),
            CommitCheck::Check(signature) => {
                entry::inspect_commit_signature(&entry, &inspected, signature.as_ref(), trust, place)
            }
        };
        Examined { entry, inspected, of_commit, signature, place }
    }

    /// The same at its true place, on which only revocations depend.
    pub(super) fn at(self, place: u64, trust: &Trust) -> Self {
        if place == self.place || trust.revocations.is_empty() {
            return self;
        }
        Examined::new(self.entry, self.signature, trust, place)
    }
}
