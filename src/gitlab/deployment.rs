//! Deployments, as GitLab itself has them (docs.gitlab.com/api/deployments).

use super::answer::{Answer, Fields};
use super::call::{Call, EITHER, READ};
use super::{ApiError, Gitlab, User};
use crate::http::Deadline;
use chrono::{DateTime, Utc};

/// How many of the newest deployments are looked at.
const NEWEST: &str = "20";

/// The most pages of deployments that run which are read.
const MOST_PAGES: u32 = 10;

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its number.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// `created`, `running`, `success`, `failed`, `canceled`, `skipped` or `blocked`.
    pub status: String,
    /// When it came to be.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: Option<DateTime<Utc>>,
    /// Who made it; of one that was made by a job, its job tells better.
    pub user: Option<User>,
    /// Where to.
    pub environment: Environment,
    /// The job; none where the deployment was made through the API.
    pub deployable: Option<Deployable>,
    /// What approvers decided; from Premium on, and only where a single deployment is asked for.
    pub approvals: Vec<DeploymentApproval>,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: String,
}

/// The job of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployable {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Who ran it: who pressed Play, where it was a manual one.
    pub user: Option<User>,
    /// Its pipeline.
    pub pipeline: Option<Pipeline>,
    /// Its page.
    pub web_url: Option<String>,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Its number.
    pub id: u64,
}

/// What an approver of a protected environment decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentApproval {
    /// Who.
    pub user: User,
    /// `approved` or `rejected`.
    pub status: String,
    /// When.
    pub created_at: Option<DateTime<Utc>>,
    /// Why.
    pub comment: Option<String>,
}

impl Answer for Deployment {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Deployment {
            id: fields.number("id")?,
            sha: fields.text("sha")?,
            status: fields.text("status")?,
            created_at: fields.time("created_at")?.ok_or("`created_at` is missing")?,
            updated_at: fields.time("updated_at")?,
            user: fields.part("user")?,
            environment: fields.part("environment")?.ok_or("`environment` is missing")?,
            deployable: fields.part("deployable")?,
            approvals: fields.parts("approvals")?,
        })
    }
}

impl Answer for Environment {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Environment { name: fields.text("name")? })
    }
}

impl Answer for Deployable {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Deployable {
            id: fields.number("id")?,
            name: fields.optional_text("name")?.unwrap_or_default(),
            user: fields.part("user")?,
            pipeline: fields.part("pipeline")?,
            web_url: fields.optional_text("web_url")?,
        })
    }
}

impl Answer for Pipeline {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Pipeline { id: fields.number("id")? })
    }
}

impl Answer for DeploymentApproval {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(DeploymentApproval {
            user: fields.part("user")?.ok_or("`user` is missing")?,
            status: fields.text("status")?,
            created_at: fields.time("created_at")?,
            comment: fields.optional_text("comment")?,
        })
    }
}

impl Deployment {
    /// Who ran it. A manual job's user becomes whoever pressed Play, while the deployment keeps the one who started the pipeline.
    pub fn by(&self) -> Option<&User> {
        self.deployable.as_ref().and_then(|job| job.user.as_ref()).or(self.user.as_ref())
    }

    /// The number of its job.
    pub fn job(&self) -> Option<u64> {
        self.deployable.as_ref().map(|job| job.id)
    }
}

impl Gitlab {
    /// The newest deployments in this environment, the newest first.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn newest_deployments(&self, environment: &str, deadline: Deadline) -> Result<Vec<Deployment>, ApiError> {
        let path = ["projects", &self.project, "deployments"];
        let query = [("order_by", "id"), ("sort", "desc"), ("per_page", NEWEST), ("environment", environment)];
        let call = Call { what: "its deployments", path: &path, query: &query, tokens: EITHER, scope: READ };
        self.first(&call, deadline)
    }

    /// The deployments that run now, the newest first.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn running_deployments(&self, deadline: Deadline) -> Result<Vec<Deployment>, ApiError> {
        let path = ["projects", &self.project, "deployments"];
        let query = [("status", "running"), ("order_by", "id"), ("sort", "desc")];
        let call = Call { what: "its deployments", path: &path, query: &query, tokens: EITHER, scope: READ };
        self.list(&call, MOST_PAGES, deadline)
    }

    /// One deployment, with what its approvers decided.
    ///
    /// # Errors
    /// As [`ApiError`] says.
    pub fn deployment(&self, id: u64, deadline: Deadline) -> Result<Deployment, ApiError> {
        let id = id.to_string();
        let path = ["projects", &self.project, "deployments", &id];
        self.get(&Call { what: "about a deployment", path: &path, query: &[], tokens: EITHER, scope: READ }, deadline)
    }
}
