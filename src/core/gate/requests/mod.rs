//! What GitLab tells of the merge requests by which a change came, and of who approved them.

#[cfg(test)]
mod attacks;
mod compose;
mod given;
mod note;
#[cfg(test)]
mod tests;

pub use compose::{approving, withdrawing};
pub use given::{Comment, Given, Place, given, page_of};
pub use note::{Saying, Words, read};

use super::facts::Author;
use crate::core::record::{CommitId, Link, Person, Time};

/// The merge requests that brought what is new.
#[derive(Debug, Clone, Default)]
pub enum Requests {
    /// GitLab was not asked: there is no token for it.
    #[default]
    NotAsked,
    /// It can't be told.
    Unknown(Unknown),
    /// GitLab told.
    Known(Brought),
}

/// That something can't be told.
#[derive(Debug, Clone, Default)]
pub struct Unknown {
    /// Why.
    pub because: String,
    /// What helps.
    pub advice: Option<String>,
    /// Whether only because GitLab can't be reached, so that it may be told in a while.
    pub is_unreachable: bool,
}

/// What brought a change.
#[derive(Debug, Clone, Default)]
pub struct Brought {
    /// The merge requests, in the order in which they came in.
    pub requests: Vec<Request>,
    /// The commits of the branch that none of them brought.
    pub direct: Vec<Direct>,
}

/// A merge request, and what it brought.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its number in the project.
    pub iid: u64,
    /// Its page.
    pub url: Option<Link>,
    /// Who wrote it.
    pub author: Option<Person>,
    /// Who merged it.
    pub merged_by: Option<Person>,
    /// When it was merged.
    pub merged_at: Option<Time>,
    /// Whether it is merged; of one that is open, the branch is deployed.
    pub is_merged: bool,
    /// Its labels.
    pub labels: Vec<String>,
    /// The files that its commits changed.
    pub paths: Vec<String>,
    /// Who wrote its commits.
    pub authors: Vec<Author>,
    /// The approvals on it.
    pub approvals: Approvals,
}

/// The approvals on a merge request.
#[derive(Debug, Clone, Default)]
pub enum Approvals {
    /// Nobody looked.
    #[default]
    NotRead,
    /// They can't be read.
    Unknown(Unknown),
    /// Such as count, and such as do not.
    Read(Vec<Given>),
}

/// A commit of the branch that no merged request brought.
#[derive(Debug, Clone)]
pub struct Direct {
    /// It.
    pub sha: CommitId,
    /// The files that it changed.
    pub paths: Vec<String>,
    /// Why no merge request stands for it.
    pub why: Why,
}

/// Why no merge request stands for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is none.
    NoRequest,
    /// GitLab does not tell.
    NotTold,
    /// An open one has it, and other commits than those that are deployed.
    Unlike(u64),
    /// It merges more than this one, or changes more than it merges.
    Beyond(u64),
}

impl Requests {
    /// What is known.
    pub fn known(&self) -> Option<&Brought> {
        match self {
            Requests::Known(brought) => Some(brought),
            Requests::NotAsked | Requests::Unknown(_) => None,
        }
    }
}
