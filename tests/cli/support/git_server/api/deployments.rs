//! Deployments (docs.gitlab.com/api/deployments).

use super::call::{Answer, Call, json, message};
use super::merge_requests::answer_list;
use super::paging::page;
use super::state::{Gitlab, timestamp};
use crate::support::git_server::http::Response;
use chrono::{DateTime, Utc};
use serde_json::{Value, json as to_json};

/// What the list can be narrowed and ordered by.
pub const FILTERS: &str =
    "environment status order_by sort updated_after updated_before finished_after finished_before page per_page";

const ANY: &str = "";

/// A deployment.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Its number on the instance.
    pub id: u64,
    /// Its number in the project.
    pub iid: u64,
    pub environment: String,
    /// Its branch or tag.
    pub reference: String,
    pub is_tag: bool,
    pub sha: String,
    /// `created`, `running`, `success`, `failed`, `canceled`, `skipped` or `blocked`.
    pub status: String,
    /// Who started it.
    pub user: Option<u64>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Its job; those made through the API have none.
    pub deployable: Option<Deployable>,
    /// What was said where approvals are asked for (Premium).
    pub approvals: Vec<DeploymentApproval>,
    /// How many approvals are asked for (Premium).
    pub required_approvals: u32,
    /// The merge requests that it shipped, by their numbers in the project.
    pub merge_requests: Vec<u64>,
}

/// The job of a deployment.
#[derive(Clone, Debug)]
pub struct Deployable {
    pub id: u64,
    pub name: String,
    pub stage: String,
    /// Who runs it, who is not always who started the deployment's pipeline.
    pub user: Option<u64>,
    pub pipeline: u64,
    /// What started the pipeline, such as `push`.
    pub pipeline_source: String,
}

/// A decision about a deployment that waits for one.
#[derive(Clone, Debug)]
pub struct DeploymentApproval {
    pub user: u64,
    /// `approved` or `rejected`.
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub comment: String,
}

impl Gitlab {
    /// Adds a deployment by a job `deploy` on `main`; gives its number.
    pub fn deployment(&mut self, environment: &str, sha: &str, job: u64, user: u64, status: &str) -> u64 {
        self.environment(environment);
        let iid = self.deployments.len() as u64 + 1;
        let (id, now) = (40 + iid, self.now());
        self.deployments.push(Deployment {
            id,
            iid,
            environment: environment.to_owned(),
            reference: "main".to_owned(),
            is_tag: false,
            sha: sha.to_owned(),
            status: status.to_owned(),
            user: Some(user),
            created_at: now,
            updated_at: now,
            finished_at: matches!(status, "success" | "failed" | "canceled").then_some(now),
            deployable: Some(Deployable {
                id: job,
                name: "deploy".to_owned(),
                stage: "deploy".to_owned(),
                user: Some(user),
                pipeline: 574,
                pipeline_source: "push".to_owned(),
            }),
            approvals: Vec::new(),
            required_approvals: 0,
            merge_requests: Vec::new(),
        });
        id
    }

    /// # Panics
    /// If there is no such deployment.
    pub fn deployment_mut(&mut self, id: u64) -> &mut Deployment {
        let found = self.deployments.iter_mut().find(|deployment| deployment.id == id);
        found.unwrap_or_else(|| panic!("there is no deployment {id}"))
    }

    /// Ends a deployment that ran, as its job ends.
    pub fn finish_deployment(&mut self, id: u64, status: &str) {
        let now = self.now();
        let deployment = self.deployment_mut(id);
        deployment.status = status.to_owned();
        (deployment.finished_at, deployment.updated_at) = (Some(now), now);
    }

    /// Approves a deployment that waits for it (Premium).
    pub fn approve_deployment(&mut self, id: u64, user: u64, comment: &str) {
        let (created_at, status) = (self.now(), "approved".to_owned());
        let approval = DeploymentApproval { user, status, created_at, comment: comment.to_owned() };
        self.deployment_mut(id).approvals.push(approval);
    }

    fn find_deployment(&self, call: &Call) -> Result<&Deployment, Response> {
        let id = call.number("deployment_id")?;
        let found = self.deployments.iter().find(|deployment| deployment.id == id);
        found.ok_or_else(|| message(404, "404 Not found"))
    }

    pub(super) fn deployment_json(&self, deployment: &Deployment) -> Value {
        let environment = self.environments.iter().find(|known| known.name == deployment.environment);
        to_json!({
            "id": deployment.id,
            "iid": deployment.iid,
            "ref": deployment.reference,
            "sha": deployment.sha,
            "created_at": timestamp(deployment.created_at),
            "updated_at": timestamp(deployment.updated_at),
            "status": deployment.status,
            "user": self.basic_user(deployment.user),
            "environment": environment.map(|environment| environment.basic_json()),
            "deployable": deployment.deployable.as_ref().map(|deployable| self.deployable_json(deployment, deployable)),
        })
    }

    fn deployable_json(&self, deployment: &Deployment, deployable: &Deployable) -> Value {
        let user = deployable.user.and_then(|user| self.find_user(user));
        let pipeline_url = self.project.web_url(&format!("/-/pipelines/{}", deployable.pipeline));
        to_json!({
            "id": deployable.id,
            "name": deployable.name,
            "stage": deployable.stage,
            "status": deployment.status,
            "ref": deployment.reference,
            "tag": deployment.is_tag,
            "coverage": null,
            "allow_failure": false,
            "created_at": timestamp(deployment.created_at),
            "started_at": timestamp(deployment.created_at),
            "finished_at": deployment.finished_at.map(timestamp),
            "user": user.map(|user| self.full_user(user)),
            "commit": { "id": deployment.sha, "short_id": deployment.sha.get(..8), "title": "A commit" },
            "pipeline": {
                "id": deployable.pipeline,
                "iid": 31,
                "project_id": self.project.id,
                "sha": deployment.sha,
                "ref": deployment.reference,
                "status": deployment.status,
                "source": deployable.pipeline_source,
                "created_at": timestamp(deployment.created_at),
                "updated_at": timestamp(deployment.updated_at),
                "web_url": pipeline_url,
            },
            "web_url": self.project.web_url(&format!("/-/jobs/{}", deployable.id)),
        })
    }

    fn approvals_json(&self, deployment: &Deployment) -> Vec<Value> {
        let approvals = deployment.approvals.iter().map(|approval| {
            to_json!({
                "user": self.basic_user(approval.user),
                "status": approval.status,
                "created_at": timestamp(approval.created_at),
                "comment": approval.comment,
            })
        });
        approvals.collect()
    }
}

pub fn list(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let status = call.choice("status", &[ANY, "created", "running", "success", "failed", "canceled", "skipped", "blocked"])?;
    let order = call.choice("order_by", &["id", "iid", "created_at", "updated_at", "finished_at", "ref"])?;
    check_pairs(call, status, order)?;
    let environment = call.text("environment");
    let mut found = Vec::new();
    for deployment in &gitlab.deployments {
        let fits = (status == ANY || deployment.status == status)
            && environment.as_ref().is_none_or(|name| *name == deployment.environment)
            && call.within("updated", Some(deployment.updated_at))?
            && call.within("finished", deployment.finished_at)?;
        if fits {
            found.push(deployment);
        }
    }
    let is_by_update = call.has("updated_after") || call.has("updated_before");
    match if is_by_update { "updated_at" } else { order } {
        "created_at" => found.sort_by_key(|deployment| (deployment.created_at, deployment.id)),
        "updated_at" => found.sort_by_key(|deployment| (deployment.updated_at, deployment.id)),
        "finished_at" => found.sort_by_key(|deployment| (deployment.finished_at, deployment.id)),
        "ref" => found.sort_by_key(|deployment| (deployment.reference.clone(), deployment.id)),
        _ => found.sort_by_key(|deployment| deployment.id),
    }
    if call.choice("sort", &["asc", "desc"])? == "desc" {
        found.reverse();
    }
    page(gitlab, call, &found, |deployment| gitlab.deployment_json(deployment))
}

/// Which filters go together (GitLab's `app/finders/deployments_finder.rb`).
fn check_pairs(call: &Call, status: &str, order: &str) -> Result<(), Response> {
    let has = |name: &str| call.has(&format!("{name}_after")) || call.has(&format!("{name}_before"));
    let (updated, finished) = (has("updated"), has("finished"));
    let text = if updated && finished {
        "Both `updated_at` filter and `finished_at` filter can not be specified"
    } else if finished != (order == "finished_at") {
        "`finished_at` filter and `finished_at` sorting must be paired"
    } else if finished && status != "success" {
        "`finished_at` filter must be combined with `success` status filter."
    } else {
        return Ok(());
    };
    Err(message(400, text))
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let deployment = gitlab.find_deployment(call)?;
    let mut body = gitlab.deployment_json(deployment);
    if gitlab.is_premium {
        let approvals = gitlab.approvals_json(deployment);
        let given = deployment.approvals.iter().filter(|approval| approval.status == "approved").count() as u32;
        body["pending_approval_count"] = deployment.required_approvals.saturating_sub(given).into();
        body["approval_summary"] = to_json!({ "rules": [{
            "user_id": null,
            "group_id": null,
            "access_level": 40,
            "access_level_description": "Maintainers",
            "required_approvals": deployment.required_approvals,
            "deployment_approvals": approvals.clone(),
        }] });
        body["approvals"] = approvals.into();
    }
    Ok(json(200, &body))
}

pub fn merge_requests(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let shipped = &gitlab.find_deployment(call)?.merge_requests;
    let all = gitlab.merge_requests.iter().filter(|merge_request| shipped.contains(&merge_request.iid));
    answer_list(gitlab, call, all.collect())
}
