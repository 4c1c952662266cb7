//! Branches and tags (docs.gitlab.com/api/branches, docs.gitlab.com/api/tags): a job's token may list both.

use super::answer::{Answer, Fields};
use super::call::{Call, EITHER, READ};
use super::{ApiError, Gitlab};
use crate::http::Deadline;

/// A branch or a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    name: String,
    protected: Option<bool>,
}

impl Answer for Reference {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Reference { name: fields.text("name")?, protected: fields.flag("protected")? })
    }
}

/// The kinds of references that a pipeline can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
}

impl Gitlab {
    /// Whether GitLab protects a branch or tag; `None` where it has none of that name, or is too old to tell.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn is_protected(&self, kind: ReferenceKind, name: &str, deadline: Deadline) -> Result<Option<bool>, ApiError> {
        let list = match kind {
            ReferenceKind::Branch => "branches",
            ReferenceKind::Tag => "tags",
        };
        let exactly = format!("^{name}$");
        let path = ["projects", &self.project, "repository", list];
        let query = [("search", exactly.as_str())];
        let call =
            Call { what: "which branches and tags are protected", path: &path, query: &query, tokens: EITHER, scope: READ };
        let found: Vec<Reference> = self.first(&call, deadline)?;
        Ok(found.into_iter().find(|reference| reference.name == name).and_then(|reference| reference.protected))
    }
}
