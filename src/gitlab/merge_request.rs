//! Merge requests (docs.gitlab.com/api/merge_requests, and docs.gitlab.com/api/commits, "List merge requests associated with a
//! commit").

use super::answer::{Answer, Fields};
use super::call::{ACCESS, Call, EITHER, READ};
use super::{ApiError, Gitlab, User};
use crate::http::Deadline;
use chrono::{DateTime, Utc};

/// The most pages of merged requests that are read.
const MOST_PAGES: u32 = 10;

/// A merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRequest {
    /// Its number in the project.
    pub iid: u64,
    /// `opened`, `closed`, `locked` or `merged`.
    pub state: String,
    /// Who wrote it.
    pub author: Option<User>,
    /// Who merged it.
    pub merge_user: Option<User>,
    /// When it was merged.
    pub merged_at: Option<DateTime<Utc>>,
    /// The branch into which it goes.
    pub target_branch: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// The newest commit of its branch.
    pub sha: Option<String>,
    /// The commit that merged it.
    pub merge_commit_sha: Option<String>,
    /// The commit into which its own were squashed.
    pub squash_commit_sha: Option<String>,
    /// Its page.
    pub web_url: Option<String>,
}

/// The approvals of a merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    /// Who approved it; whether it counts as approved says nothing where no approval is required.
    pub approved_by: Vec<ApprovedBy>,
}

/// One approval of a merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedBy {
    /// Who.
    pub user: User,
}

impl Answer for MergeRequest {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(MergeRequest {
            iid: fields.number("iid")?,
            state: fields.text("state")?,
            author: fields.part("author")?,
            merge_user: match fields.part("merge_user")? {
                Some(user) => Some(user),
                // older servers
                None => fields.part("merged_by")?,
            },
            merged_at: fields.time("merged_at")?,
            target_branch: fields.optional_text("target_branch")?.unwrap_or_default(),
            labels: fields.texts("labels")?,
            sha: fields.optional_text("sha")?,
            merge_commit_sha: fields.optional_text("merge_commit_sha")?,
            squash_commit_sha: fields.optional_text("squash_commit_sha")?,
            web_url: fields.optional_text("web_url")?,
        })
    }
}

impl Answer for Approvals {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Approvals { approved_by: fields.parts("approved_by")? })
    }
}

impl Answer for ApprovedBy {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(ApprovedBy { user: fields.part("user")?.ok_or("`user` is missing")? })
    }
}

impl Gitlab {
    /// The merge requests that were merged, changed since then, the newest first.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn merged_requests(&self, since: DateTime<Utc>, deadline: Deadline) -> Result<Vec<MergeRequest>, ApiError> {
        let since = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let query = [("state", "merged"), ("updated_after", &since), ("order_by", "updated_at"), ("sort", "desc")];
        let path = ["projects", &self.project, "merge_requests"];
        self.list(
            &Call { what: "its merge requests", path: &path, query: &query, tokens: EITHER, scope: READ },
            MOST_PAGES,
            deadline,
        )
    }

    /// The merge requests that a commit is part of.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn merge_requests_of(&self, sha: &str, deadline: Deadline) -> Result<Vec<MergeRequest>, ApiError> {
        let what = "the merge requests of a commit";
        let path = ["projects", &self.project, "repository", "commits", sha, "merge_requests"];
        self.list(&Call { what, path: &path, query: &[], tokens: EITHER, scope: READ }, 1, deadline)
    }

    /// One merge request, as it is now.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn merge_request(&self, iid: u64, deadline: Deadline) -> Result<MergeRequest, ApiError> {
        let iid = iid.to_string();
        let path = ["projects", &self.project, "merge_requests", &iid];
        self.get(&Call { what: "about a merge request", path: &path, query: &[], tokens: EITHER, scope: READ }, deadline)
    }

    /// Who approved a merge request by the button.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn approvals_of(&self, iid: u64, deadline: Deadline) -> Result<Approvals, ApiError> {
        let iid = iid.to_string();
        let path = ["projects", &self.project, "merge_requests", &iid, "approvals"];
        self.get(&Call { what: "who approved a merge request", path: &path, query: &[], tokens: ACCESS, scope: READ }, deadline)
    }
}
