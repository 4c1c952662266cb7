//! The job, as GitLab itself has it (docs.gitlab.com/api/jobs, "Retrieve job of a job token").

use super::answer::{Answer, Fields};
use super::call::{Call, READ};
use super::{ApiError, Gitlab, Token, User};
use crate::http::{Deadline, RemoteError};

/// A job, and who runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The branch or tag.
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
    pub web_url: Option<String>,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full id.
    pub id: String,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Its number.
    pub id: u64,
    /// The number of the project whose pipeline it is.
    pub project_id: u64,
    /// What started it, such as `push`; older servers don't tell.
    pub source: Option<String>,
}

impl Answer for Job {
    fn read(fields: Fields) -> Result<Self, String> {
        let missing = |name: &str| format!("`{name}` is missing");
        Ok(Job {
            id: fields.number("id")?,
            name: fields.text("name")?,
            reference: fields.text("ref")?,
            tag: fields.flag("tag")?.ok_or_else(|| missing("tag"))?,
            user: fields.part("user")?.ok_or_else(|| missing("user"))?,
            commit: fields.part("commit")?.ok_or_else(|| missing("commit"))?,
            pipeline: fields.part("pipeline")?.ok_or_else(|| missing("pipeline"))?,
            web_url: fields.optional_text("web_url")?,
        })
    }
}

impl Answer for Commit {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Commit { id: fields.text("id")? })
    }
}

impl Answer for Pipeline {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Pipeline {
            id: fields.number("id")?,
            project_id: fields.number("project_id")?,
            source: fields.optional_text("source")?,
        })
    }
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
