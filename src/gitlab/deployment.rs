//! Deployments, as GitLab itself has them (docs.gitlab.com/api/deployments).

use super::call::{Call, EITHER, READ};
use super::{ApiError, Gitlab, User};
use crate::http::Deadline;
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// How many of the newest deployments are looked at.
const NEWEST: &str = "20";

/// The most pages of deployments that run which are read.
const MOST_PAGES: u32 = 10;

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    #[serde(default)]
    pub updated_at: Option<DateTime<Utc>>,
    /// Who made it; of one that was made by a job, its job tells better.
    #[serde(default)]
    pub user: Option<User>,
    /// Where to.
    pub environment: Environment,
    /// The job; none where the deployment was made through the API.
    #[serde(default)]
    pub deployable: Option<Deployable>,
    /// What approvers decided; from Premium on, and only where a single deployment is asked for.
    #[serde(default)]
    pub approvals: Vec<DeploymentApproval>,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
}

/// The job of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Deployable {
    /// Its number.
    pub id: u64,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Who ran it: who pressed Play, where it was a manual one.
    #[serde(default)]
    pub user: Option<User>,
    /// Its pipeline.
    #[serde(default)]
    pub pipeline: Option<Pipeline>,
    /// Its page.
    #[serde(default)]
    pub web_url: Option<String>,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pipeline {
    /// Its number.
    pub id: u64,
}

/// What an approver of a protected environment decided.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeploymentApproval {
    /// Who.
    pub user: User,
    /// `approved` or `rejected`.
    pub status: String,
    /// When.
    #[serde(default)]
    pub created_at: Option<DateTime<Utc>>,
    /// Why.
    #[serde(default)]
    pub comment: Option<String>,
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
        self.get(&call, deadline)
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
