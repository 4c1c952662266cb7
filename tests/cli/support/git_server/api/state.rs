//! What the server remembers, and the knobs that make it another GitLab.

use super::call::{Call, message};
use super::token::AccessToken;
use super::{Deployment, Environment, Group, Issue, Member, MergeRequest, Note, ROOT, Release, User};
use crate::support::git_server::http::Response;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde_json::Value;
use std::path::PathBuf;

/// One GitLab with one project; [`GitServer::gitlab`](crate::support::git_server::GitServer::gitlab) hands it out.
///
/// From the start it has the users `ann` (7), `chen` (8), `dana` (9) and `eve` (10), who are members of nothing, and the project
/// `grp/app` (42), whose visibility is internal: each of them may read and comment, and what asks for a role needs
/// [`Gitlab::member`].
pub struct Gitlab {
    /// The server's origin.
    pub url: String,
    pub project: Project,
    /// What a job is told of itself; without, the server is one that does not tell (404).
    pub job: Option<Value>,
    pub users: Vec<User>,
    /// Who is a member of the project itself.
    pub members: Vec<Member>,
    pub groups: Vec<Group>,
    pub merge_requests: Vec<MergeRequest>,
    pub notes: Vec<Note>,
    pub deployments: Vec<Deployment>,
    pub environments: Vec<Environment>,
    pub issues: Vec<Issue>,
    pub releases: Vec<Release>,
    /// By how much the time of what happens now is off.
    pub clock_offset: TimeDelta,
    /// Whether a job's token may read commits, merge requests and their notes, as since about GitLab 18; before, commits and merge
    /// requests are not there for it (404), and for notes it is no token (401).
    pub job_token_reads_merge_requests: bool,
    /// Whether it is the tier Premium; else Free.
    pub is_premium: bool,
    /// After so many further requests come those that get 429.
    pub rate_limit: Option<u32>,
    /// How many requests get 429 before all is well again.
    pub throttles: u32,
    /// Whether lists tell how long they are; those over 10,000 elements don't.
    pub sends_totals: bool,
    /// Whether a push takes the approvals of a merge request back.
    pub resets_approvals: bool,
    /// Whether requests and answers are held against GitLab's description; not where a test is about what GitLab refuses.
    pub(in super::super) is_described: bool,
    /// The number of the note that comes next.
    pub next_note: u64,
    pub(super) access_tokens: Vec<AccessToken>,
    pub(super) job_tokens: Vec<String>,
    pub(super) release_cache: super::releases::Cache,
}

/// The project.
pub struct Project {
    pub id: u64,
    /// Such as `grp/app`.
    pub path: String,
    /// The paths it had, which redirect.
    pub former_paths: Vec<String>,
    /// Tags, by name or with `*` at the end, that only Maintainers may create.
    pub protected_tags: Vec<String>,
    /// Branches and tags that are not protected; all others are.
    pub unprotected: Vec<String>,
    /// The bare repository.
    pub repository: PathBuf,
    pub(super) url: String,
}

impl Gitlab {
    pub(in super::super) fn new(url: &str, repository: PathBuf, job_tokens: Vec<String>) -> Gitlab {
        let project = Project {
            id: 42,
            path: "grp/app".to_owned(),
            former_paths: Vec::new(),
            protected_tags: Vec::new(),
            unprotected: Vec::new(),
            repository,
            url: url.to_owned(),
        };
        let mut gitlab = Gitlab {
            url: url.to_owned(),
            project,
            job: None,
            users: Vec::new(),
            members: Vec::new(),
            groups: vec![Group { id: 5, path: "grp".to_owned(), members: Vec::new() }],
            merge_requests: Vec::new(),
            notes: Vec::new(),
            deployments: Vec::new(),
            environments: Vec::new(),
            issues: Vec::new(),
            releases: Vec::new(),
            clock_offset: TimeDelta::zero(),
            job_token_reads_merge_requests: true,
            is_premium: false,
            rate_limit: None,
            throttles: 1,
            sends_totals: true,
            resets_approvals: false,
            is_described: true,
            next_note: 301,
            access_tokens: Vec::new(),
            job_tokens,
            release_cache: Default::default(),
        };
        for (id, name) in [(7, "ann"), (8, "chen"), (9, "dana"), (10, "eve")] {
            gitlab.user(id, name);
        }
        gitlab
    }

    /// The time, to the millisecond.
    pub fn now(&self) -> DateTime<Utc> {
        (Utc::now() + self.clock_offset).trunc_subsecs(3)
    }

    /// The time of a change, which is never that of what it changes.
    pub(super) fn after(&self, earlier: DateTime<Utc>) -> DateTime<Utc> {
        self.now().max(earlier + TimeDelta::milliseconds(1))
    }

    /// Counts a request; whether it is one too many.
    pub(super) fn is_throttled(&mut self) -> bool {
        match self.rate_limit {
            None => false,
            Some(0) => {
                self.throttles = self.throttles.saturating_sub(1);
                if self.throttles == 0 {
                    (self.rate_limit, self.throttles) = (None, 1);
                }
                true
            }
            Some(left) => {
                self.rate_limit = Some(left - 1);
                false
            }
        }
    }
}

impl Project {
    /// The page of something in the project, such as `/-/jobs/302`.
    pub fn web_url(&self, below: &str) -> String {
        format!("{}/{}{below}", self.url, self.path)
    }

    /// Whether the request is about this project.
    ///
    /// # Errors
    /// 404 where it isn't, 301 to this project's number where it has moved.
    pub(super) fn find(&self, call: &Call) -> Result<(), Response> {
        let asked = call.place("id");
        if asked == self.id.to_string() || asked == self.path {
            return Ok(());
        }
        if !self.former_paths.contains(&asked) {
            return Err(message(404, "404 Project Not Found"));
        }
        let rest = call.path.split('/').skip(3).map(|part| format!("/{part}")).collect::<String>();
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&call.query).finish();
        let query = if query.is_empty() { query } else { format!("?{query}") };
        let location = format!("{}{ROOT}/projects/{}{rest}{query}", self.url, self.id);
        Err(Response::text(301, "This resource has been moved permanently").with("Location", &location))
    }
}

/// A time as GitLab writes it.
pub fn timestamp(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
