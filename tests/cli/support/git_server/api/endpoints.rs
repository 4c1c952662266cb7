//! What there is of the API, which tokens it takes, and which parameters are understood.

use super::call::{Answer, Call};
use super::state::Gitlab;
use super::{
    approvals, commits, deployments, environments, issues, job, members, merge_requests, notes, project, references, releases,
    users,
};

/// Whether an endpoint takes the token of a job (docs.gitlab.com/ci/jobs/ci_job_token, "Job token access").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobTokens {
    /// It always did.
    Always,
    /// It does since about GitLab 18; [`Gitlab::job_token_reads_merge_requests`].
    Newer,
    /// It doesn't: to it, a job's token is no token.
    Never,
}

/// One method of one path.
pub struct Endpoint {
    pub method: &'static str,
    /// Below `/api/v4`, with `:name` for each part that varies.
    pub path: &'static str,
    pub job_tokens: JobTokens,
    /// The names of the parameters in query and body, between spaces.
    pub parameters: &'static str,
    pub answer: fn(&mut Gitlab, &Call) -> Answer,
}

/// The varying parts of a path, by name, as they were sent.
pub type Places = Vec<(&'static str, String)>;

/// The endpoint of a path below `/api/v4`.
pub fn find(method: &str, path: &str) -> Option<(&'static Endpoint, Places)> {
    let endpoints = ENDPOINTS.iter().filter(|endpoint| endpoint.method == method);
    let matching = endpoints.filter_map(|endpoint| places(endpoint.path, path).map(|places| (endpoint, places)));
    // the most literal one: `members/all` is no member's number
    matching.min_by_key(|(_, places)| places.len())
}

fn places(template: &'static str, path: &str) -> Option<Places> {
    let (names, parts): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let is_alike = names.len() == parts.len();
    let mut pairs = names.into_iter().zip(parts).filter(|(name, part)| name != part).map(|(name, part)| {
        let name = name.strip_prefix(':')?;
        (!part.is_empty()).then(|| (name, part.to_owned()))
    });
    is_alike.then(|| pairs.by_ref().collect()).flatten()
}

const fn endpoint(
    method: &'static str,
    path: &'static str,
    job_tokens: JobTokens,
    parameters: &'static str,
    answer: fn(&mut Gitlab, &Call) -> Answer,
) -> Endpoint {
    Endpoint { method, path, job_tokens, parameters, answer }
}

use JobTokens::{Always, Never, Newer};

#[rustfmt::skip]
pub const ENDPOINTS: &[Endpoint] = &[
    endpoint("GET", "/job", Always, "", job::show),

    endpoint("GET", "/user", Never, "", users::show_own),
    endpoint("GET", "/users", Never, "username page per_page", users::list),
    endpoint("GET", "/users/:user_id", Never, "", users::show),

    endpoint("GET", "/groups/:id/members/all", Never, "user_ids query page per_page", members::list_of_group),
    endpoint("GET", "/groups/:id/members/all/:user_id", Never, "", members::show_of_group),
    endpoint("GET", "/projects/:id/members/all", Never, "user_ids query page per_page", members::list),
    endpoint("GET", "/projects/:id/members/all/:user_id", Never, "", members::show),

    endpoint("GET", "/projects/:id", Never, "", project::show),
    endpoint("GET", "/projects/:id/repository/files/:file_path/raw", Always, "ref", project::raw_file),
    endpoint("GET", "/projects/:id/repository/branches", Newer, "search page per_page", references::branches),
    endpoint("GET", "/projects/:id/repository/tags", Newer, "search order_by sort page per_page", references::tags),
    endpoint("GET", "/projects/:id/repository/commits/:sha", Newer, "stats", commits::show),
    endpoint("GET", "/projects/:id/repository/commits/:sha/merge_requests", Newer, "state page per_page", commits::merge_requests),

    endpoint("GET", "/projects/:id/merge_requests", Newer, merge_requests::FILTERS, merge_requests::list),
    endpoint("GET", "/projects/:id/merge_requests/:merge_request_iid", Newer, "", merge_requests::show),
    endpoint("GET", "/projects/:id/merge_requests/:merge_request_iid/approvals", Never, "", approvals::show),
    endpoint("GET", "/projects/:id/merge_requests/:merge_request_iid/notes", Newer, "order_by sort activity_filter page per_page", notes::list),
    endpoint("POST", "/projects/:id/merge_requests/:merge_request_iid/notes", Never, "body internal", notes::create),
    endpoint("GET", "/projects/:id/merge_requests/:merge_request_iid/notes/:note_id", Newer, "", notes::show),
    endpoint("PUT", "/projects/:id/merge_requests/:merge_request_iid/notes/:note_id", Never, "body", notes::update),
    endpoint("DELETE", "/projects/:id/merge_requests/:merge_request_iid/notes/:note_id", Never, "", notes::delete),

    endpoint("GET", "/projects/:id/deployments", Always, deployments::FILTERS, deployments::list),
    endpoint("GET", "/projects/:id/deployments/:deployment_id", Always, "", deployments::show),
    endpoint("GET", "/projects/:id/deployments/:deployment_id/merge_requests", Always, merge_requests::FILTERS, deployments::merge_requests),
    endpoint("GET", "/projects/:id/environments", Always, "name search states page per_page", environments::list),
    endpoint("GET", "/projects/:id/environments/:environment_id", Always, "", environments::show),

    endpoint("GET", "/projects/:id/issues", Never, issues::FILTERS, issues::list),
    endpoint("POST", "/projects/:id/issues", Never, "title description labels assignee_id assignee_ids due_date confidential issue_type", issues::create),
    endpoint("GET", "/projects/:id/issues/:issue_iid", Never, "", issues::show),
    endpoint("PUT", "/projects/:id/issues/:issue_iid", Never, issues::CHANGES, issues::update),

    endpoint("GET", "/projects/:id/releases", Always, "order_by sort page per_page", releases::list),
    endpoint("POST", "/projects/:id/releases", Always, "tag_name tag_message ref name description released_at", releases::create),
    endpoint("GET", "/projects/:id/releases/:tag_name", Always, "", releases::show),
    endpoint("PUT", "/projects/:id/releases/:tag_name", Always, "name description released_at", releases::update),
];
