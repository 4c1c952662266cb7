//! GitLab's REST API on the same origin: one project with a memory, that answers with GitLab's status codes, bodies and headers
//! (docs.gitlab.com/api).
//!
//! [`ENDPOINTS`] says what there is, which tokens it takes and which parameters are understood. GitLab ignores a parameter that
//! it does not know; here that, like an endpoint that is missing, is a [violation](super::GitServer::violations): the server
//! answers 500 and its test fails, so that a misspelt filter can't pass for one that filters nothing. Where GitLab's own
//! description of its API is at hand, requests and answers are held against it too ([`description`]).

mod absent;
mod approvals;
mod call;
mod commits;
mod deployments;
pub mod description;
mod endpoints;
mod environments;
mod issues;
mod job;
mod members;
mod merge_requests;
mod notes;
mod paging;
mod project;
mod references;
mod releases;
mod state;
mod token;
mod users;

pub use deployments::{Deployable, Deployment, DeploymentApproval};
pub use environments::Environment;
pub use issues::Issue;
pub use job::job;
pub use members::{Group, Member};
pub use merge_requests::{Approval, MergeRequest};
pub use notes::Note;
pub use releases::Release;
pub use state::{Gitlab, Project};
pub use users::User;

use super::http::{Head, Response};
use super::{GitServer, Request, Shared, Step, lock};
use call::{Answer, Call, message};
use description::Description;
use endpoints::{Endpoint, JobTokens};
use serde_json::json;
use token::Caller;

/// Where the API is.
pub const ROOT: &str = "/api/v4";

impl GitServer {
    /// Sets what the API tells of the job whose token asks.
    pub fn set_job(&self, job: serde_json::Value) {
        self.gitlab(|gitlab| gitlab.job = Some(job));
    }

    /// What GitLab remembers behind its REST API, to look at and to change; requests wait meanwhile.
    pub fn gitlab<R>(&self, look: impl FnOnce(&mut Gitlab) -> R) -> R {
        look(&mut lock(&self.shared.gitlab))
    }

    /// What requests or answers of the API did that GitLab's don't do. Once it has been taken, the server can be dropped in peace.
    pub fn violations(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.violations))
    }

    /// All requests of the REST API so far, in the order in which their heads arrived.
    pub fn api_requests(&self) -> Vec<Request> {
        let requests = self.shared.log.requests().into_iter();
        requests.filter(|request| request.step == Some(Step::Api)).collect()
    }
}

/// Whether the request has a token that is accepted, of a job or of a user.
pub fn is_known(shared: &Shared, head: &Head) -> bool {
    !matches!(lock(&shared.gitlab).caller(head), Ok(Caller::Nobody) | Err(_))
}

/// Whether the request is one that GitLab's description knows, whatever becomes of it.
///
/// # Errors
/// The answer that fails its test.
pub fn check(shared: &Shared, head: &Head, body: &[u8]) -> Result<(), Response> {
    let checked = description(shared).map_or(Ok(()), |description| description.check_request(head, path(head), body));
    checked.map_err(|violation| violated(shared, head, &violation))
}

/// Answers a request below [`ROOT`].
pub fn respond(shared: &Shared, head: &Head, body: &[u8]) -> Response {
    let path = path(head);
    let answered = dispatch(shared, head, path, body).and_then(|response| {
        description(shared).map_or(Ok(()), |description| description.check_answer(&head.method, path, &response))?;
        Ok(response)
    });
    answered.unwrap_or_else(|violation| violated(shared, head, &violation))
}

fn description(shared: &Shared) -> Option<&'static Description> {
    description::at_hand().filter(|_| lock(&shared.gitlab).is_described)
}

/// The path below [`ROOT`], which may itself be below a relative URL root.
fn path(head: &Head) -> &str {
    head.path().split_once(ROOT).map_or("", |(_, path)| path)
}

fn violated(shared: &Shared, head: &Head, violation: &str) -> Response {
    let violation = format!("{} {}: {violation}", head.method, head.target);
    lock(&shared.violations).push(violation.clone());
    Response::text(500, &violation)
}

/// The answer; the text of a violation where the endpoint or a parameter is unknown.
fn dispatch(shared: &Shared, head: &Head, path: &str, body: &[u8]) -> Result<Response, String> {
    let (endpoint, places) = endpoints::find(&head.method, path).ok_or("the server does not have this endpoint")?;
    let mut gitlab = lock(&shared.gitlab);
    if gitlab.is_throttled() {
        return Ok(Response::text(429, "Retry later\n").with("Retry-After", "1"));
    }
    let mut caller = match gitlab.caller(head) {
        Ok(caller) => caller,
        Err(response) => return Ok(response),
    };
    if matches!(caller, Caller::Job { .. }) && !takes_job_token(&gitlab, endpoint) {
        caller = Caller::Nobody;
    }
    let call = match Call::new(caller, head, path, places, body) {
        Ok(call) => call,
        Err(response) => return Ok(response),
    };
    if let Some(unknown) = call.unknown(endpoint.parameters) {
        return Err(format!("the server does not know the parameter `{unknown}` here"));
    }
    Ok(answer(&mut gitlab, endpoint, &call).unwrap_or_else(|refusal| refusal))
}

fn takes_job_token(gitlab: &Gitlab, endpoint: &Endpoint) -> bool {
    match endpoint.job_tokens {
        JobTokens::Always => true,
        JobTokens::Newer => gitlab.job_token_reads_merge_requests,
        JobTokens::Never => false,
    }
}

/// In GitLab's order: who asks, whether they see the project, whether the token's scope is enough, then the endpoint itself.
fn answer(gitlab: &mut Gitlab, endpoint: &Endpoint, call: &Call) -> Answer {
    let is_read = endpoint.method == "GET";
    if call.caller == Caller::Nobody {
        return Err(to_nobody(endpoint));
    }
    if !call.caller.may(endpoint) {
        let text = "The request requires higher privileges than provided by the access token.";
        let scope = if is_read { "api read_api" } else { "api" };
        let body = json!({ "error": "insufficient_scope", "error_description": text, "scope": scope });
        return Err(call::json(403, &body));
    }
    if endpoint.path.starts_with("/projects/") {
        gitlab.project.find(call)?;
    }
    (endpoint.answer)(gitlab, call)
}

/// What is answered without a token, or with one that the endpoint does not take: some endpoints ask for a user first of all
/// (`before { authenticate! }` in GitLab's `lib/api/*.rb`), to the others the project is just not there.
fn to_nobody(endpoint: &Endpoint) -> Response {
    const ASK_FIRST: [&str; 4] = ["/notes", "/members/", "/deployments", "/environments"];
    let asks_first = endpoint.method != "GET" || ASK_FIRST.iter().any(|part| endpoint.path.contains(part));
    match endpoint.path.split('/').nth(1) {
        Some("projects") if !asks_first => message(404, "404 Project Not Found"),
        Some("users") => message(403, "403 Forbidden - Not authorized!"),
        _ => message(401, "401 Unauthorized"),
    }
}
