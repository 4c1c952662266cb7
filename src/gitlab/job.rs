//! The job, as GitLab itself has it (docs.gitlab.com/api/jobs, "Retrieve job of a job token").

use super::call::{Call, READ};
use super::{ApiError, Gitlab, Token, User};
use crate::http::{Deadline, RemoteError};
use serde::Deserialize;

/// A job, and who runs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whether that is a tag.
    pub tag: bool,
    /// Who runs it: who started the pipeline, pressed Play, or retried the job.
    pub user: User,
    /// The commit.
    pub commit: Commit,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Its page.
    #[serde(default)]
    pub web_url: Option<String>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Commit {
    /// Its full id.
    pub id: String,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pipeline {
    /// Its number.
    pub id: u64,
    /// The number of the project whose pipeline it is.
    pub project_id: u64,
    /// What started it, such as `push`; older servers don't tell.
    #[serde(default)]
    pub source: Option<String>,
}

impl Gitlab {
    /// The job whose token it is; `None` where GitLab does not tell.
    ///
    /// # Errors
    /// Where the server can't be reached in time, does not know the token (401), or answers nonsense.
    pub fn job(&self, deadline: Deadline) -> Result<Option<Job>, RemoteError> {
        let what = "about this job";
        let call = Call { what, path: &["job"], query: &[], tokens: &[Token::Job], scope: READ };
        match self.get(&call, deadline) {
            Ok(job) => Ok(Some(job)),
            Err(ApiError::Remote { source, .. }) => Err(source),
            Err(ApiError::NoToken { .. } | ApiError::Untold { .. } | ApiError::TooMuch { .. }) => Ok(None),
        }
    }
}
