//! The job whose token asks (docs.gitlab.com/api/jobs, "Retrieve job of a job token").

use super::call::{Answer, Call, json, message, not_found};
use super::state::Gitlab;
use super::token::Caller;
use serde_json::{Value, json as to_json};

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    match (&call.caller, &gitlab.job) {
        (Caller::Job { .. }, Some(job)) => Ok(json(200, job)),
        (Caller::Job { .. }, None) => Err(not_found()),
        _ => Err(message(404, "404 Job Not Found")),
    }
}

impl Gitlab {
    /// Who runs the job; `ann` where no job is set.
    pub(super) fn job_user(&self) -> u64 {
        self.job.as_ref().and_then(|job| job["user"]["id"].as_u64()).unwrap_or(7)
    }
}

/// The job that [`TestEnv::gitlab_job`](crate::support::env::TestEnv::gitlab_job) runs in, as GitLab tells of it.
pub fn job(sha: &str) -> Value {
    to_json!({
        "id": 302, "status": "running", "stage": "deploy", "name": "deploy", "ref": "main", "tag": false, "allow_failure": false,
        "user": { "id": 7, "username": "ann", "name": "Ann Ö.", "state": "active", "bot": false },
        "commit": { "id": sha, "short_id": &sha[..8], "title": "A commit" },
        "pipeline": { "id": 574, "iid": 31, "project_id": 42, "sha": sha, "ref": "main", "status": "running", "source": "push" },
    })
}
