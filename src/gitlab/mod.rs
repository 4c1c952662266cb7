//! GitLab's REST API, as far as a job's token may use it (docs.gitlab.com/api).
//!
//! Built on first use, with time limits; reading is tried again where that is safe: after 429, as the server says, and after 5xx.
//! Texts of errors hold no tokens, and what the server answers is shown shortened.

mod id_token;
mod job;
mod key_set;

pub use id_token::{AUDIENCE, Claims, IdTokenError, JobVariables, KeySet, verify as verify_id_token};
pub use job::{Job, User};

use crate::http::{self, Deadline, Http, RemoteError, expect_success, header};
use reqwest::Method;
use reqwest::blocking::Response;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// The most that one answer may hold, in bytes.
const LARGEST_ANSWER: u64 = 8 * 1024 * 1024;

/// How often a request that only reads is tried.
const TRIES: u32 = 3;

/// The longest that is waited because the server says so (`Retry-After`).
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The API of one GitLab, with a job's token.
pub struct Gitlab {
    http: Arc<Http>,
    api: String,
    job_token: Zeroizing<String>,
}

impl Gitlab {
    /// The API of the GitLab at this address, which must be vouched for: it is sent the token.
    pub fn new(http: Arc<Http>, server_url: &str, job_token: &str) -> Self {
        let api = format!("{}/api/v4", server_url.trim_end_matches('/'));
        Gitlab { http, api, job_token: Zeroizing::new(job_token.to_owned()) }
    }

    /// What is at this path, such as `/job`; `None` where there is no such thing, or the token may not see it, which GitLab does not
    /// tell apart.
    ///
    /// # Errors
    /// Where the server can't be reached in time, does not know the token (401), or answers nonsense.
    fn get<T: DeserializeOwned>(&self, path: &str, deadline: Deadline) -> Result<Option<T>, RemoteError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (problem, wait) = match self.get_once(path, deadline) {
                Ok(found) => return Ok(found),
                Err((problem, wait)) => (problem, wait.unwrap_or_else(|| http::pause(tries))),
            };
            if !problem.is_transient() || tries >= TRIES || wait > LONGEST_WAIT || deadline.remaining() <= wait {
                return Err(problem);
            }
            std::thread::sleep(wait);
        }
    }

    /// As [`Gitlab::get`]; with the problem, how long to wait where the server says it.
    fn get_once<T: DeserializeOwned>(
        &self,
        path: &str,
        deadline: Deadline,
    ) -> Result<Option<T>, (RemoteError, Option<Duration>)> {
        let mut headers = HeaderMap::new();
        let mut token = header(&self.job_token);
        token.set_sensitive(true);
        headers.insert("JOB-TOKEN", token);
        headers.insert("Accept", header("application/json"));
        let url = format!("{}{path}", self.api);
        let response = self.http.send(Method::GET, &url, headers, Vec::new(), deadline).map_err(|error| (error, None))?;
        if matches!(response.status().as_u16(), 403 | 404) {
            return Ok(None);
        }
        let wait = retry_after(&response);
        let response = expect_success(response).map_err(|error| (error, wait))?;
        read(response).map(Some).map_err(|error| (error, None))
    }
}

/// How long the server asks to wait, in whole seconds (RFC 9110 § 10.2.3; GitLab gives no dates).
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn read<T: DeserializeOwned>(response: Response) -> Result<T, RemoteError> {
    let mut bytes = Vec::new();
    let whole = response.take(LARGEST_ANSWER + 1).read_to_end(&mut bytes);
    whole.map_err(|error| RemoteError::Broken(error.to_string()))?;
    if bytes.len() as u64 > LARGEST_ANSWER {
        return Err(RemoteError::Nonsense("it is larger than 8 MiB".to_owned()));
    }
    serde_json::from_slice(&bytes).map_err(|error| RemoteError::Nonsense(error.to_string()))
}
