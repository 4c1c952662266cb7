//! GitLab's REST API on the same origin: what a job's token may ask, with GitLab's status codes and bodies.
//!
//! Without a job set, the server is one that does not tell (404).

use super::Shared;
use super::http::{Head, Response};
use super::lock;
use serde_json::{Value, json};

/// Where the API is.
pub const ROOT: &str = "/api/v4";

/// Answers a request below [`ROOT`].
pub fn respond(shared: &Shared, head: &Head) -> Response {
    if !is_known(shared, head) {
        return message(401, "401 Unauthorized");
    }
    let job = lock(&shared.job).clone();
    match (head.method.as_str(), head.path().split_once(ROOT).map(|(_, path)| path), job) {
        ("GET", Some("/job"), Some(job)) => Response::new(200, "application/json", job.to_string()),
        _ => message(404, "404 Not Found"),
    }
}

/// Whether the token is one of a job that runs.
pub fn is_known(shared: &Shared, head: &Head) -> bool {
    let token = head.header("JOB-TOKEN");
    token.is_some_and(|token| token == shared.job_token || token == shared.read_only_token)
}

fn message(status: u16, text: &str) -> Response {
    Response::new(status, "application/json", json!({ "message": text }).to_string())
}

/// The job that [`TestEnv::gitlab_job`](crate::support::env::TestEnv::gitlab_job) runs in, as GitLab tells of it.
pub fn job(sha: &str) -> Value {
    json!({
        "id": 302, "status": "running", "stage": "deploy", "name": "deploy", "ref": "main", "tag": false, "allow_failure": false,
        "user": { "id": 7, "username": "ann", "name": "Ann Ö.", "state": "active", "bot": false },
        "commit": { "id": sha, "short_id": &sha[..8], "title": "A commit" },
        "pipeline": { "id": 574, "iid": 31, "project_id": 42, "sha": sha, "ref": "main", "status": "running", "source": "push" },
    })
}
