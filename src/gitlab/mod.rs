//! GitLab's REST API (docs.gitlab.com/api/rest): one file per resource, and here what all of them share.
//!
//! Each call says which token it can be made with: a job's token costs nobody anything, but GitLab takes it only at some endpoints
//! (docs.gitlab.com/ci/jobs/ci_job_token); an access token is somebody's. Reading is tried again where that is safe: after 429, as the
//! server says, and after 5xx. What writes is sent once, unless it certainly was not done. Texts of errors hold no tokens, and what
//! the server answers is shown shortened.

mod answer;
mod call;
mod deployment;
mod environment;
mod error;
mod file;
mod id_token;
mod issue;
mod job;
mod key_set;
mod link;
mod merge_request;
mod note;
mod reference;
mod user;

pub use deployment::{Deployment, DeploymentApproval};
pub use error::{ApiError, Token, scopes};
pub use id_token::{AUDIENCE, Claims, IdTokenError, JobVariables, KeySet, verify as verify_id_token};
pub use issue::{Issue, NewIssue};
pub use job::Job;
pub use merge_request::{Approvals, ApprovedBy, MergeRequest};
pub use note::Note;
pub use reference::ReferenceKind;
pub use user::{Member, User};

use crate::http::Http;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use zeroize::Zeroizing;

/// The API of one GitLab, as far as the tokens at hand may use it, for one project.
pub struct Gitlab {
    http: Arc<Http>,
    api: String,
    /// The project's number or path.
    project: String,
    job_token: Option<Zeroizing<String>>,
    access_token: Option<Zeroizing<String>>,
    /// The server takes the job's token for fewer calls than a newer one would: known once one was turned down.
    is_job_token_poor: AtomicBool,
    count: AtomicU32,
    /// How long all requests together may take, and how long they took, in milliseconds.
    budget: Duration,
    spent: AtomicU64,
    tell: Tell,
}

/// Where requests are told, each in a line.
pub type Tell = Box<dyn Fn(&str) + Send + Sync>;

/// The tokens at hand.
#[derive(Default)]
pub struct Tokens {
    /// The job's own (`CI_JOB_TOKEN`).
    pub job: Option<Zeroizing<String>>,
    /// A person's, project's, group's or service account's.
    pub access: Option<Zeroizing<String>>,
}

impl Gitlab {
    /// The API of the GitLab at this address, which must be vouched for: it is sent the tokens. `project` is the number or the path.
    /// All requests together take at most as long as `budget`. Each request is told to `tell`, in a line.
    pub fn new(http: Arc<Http>, server_url: &str, project: &str, tokens: Tokens, budget: Duration, tell: Tell) -> Self {
        // a job's token that is given as the access token, too, is none
        let access_token = tokens.access.filter(|token| tokens.job.as_ref().is_none_or(|job| **job != **token));
        Gitlab {
            http,
            api: format!("{}/api/v4", server_url.trim_end_matches('/')),
            project: project.to_owned(),
            job_token: tokens.job,
            access_token,
            is_job_token_poor: AtomicBool::new(false),
            count: AtomicU32::new(0),
            budget,
            spent: AtomicU64::new(0),
            tell,
        }
    }

    /// Whether there is an access token.
    pub fn has_access_token(&self) -> bool {
        self.access_token.is_some()
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}
