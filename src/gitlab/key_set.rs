//! The keys with which GitLab signs ID tokens (docs.gitlab.com/ci/secrets/id_token_authentication).

use super::id_token::KeySet;
use crate::http::{self, Deadline, FEW_TRIES, Http, RemoteError, expect_success, header};
use reqwest::Method;
use reqwest::header::HeaderMap;
use std::io::Read as _;

/// The most that the keys may hold, in bytes.
const LARGEST: u64 = 256 * 1024;

impl KeySet {
    /// The keys of the GitLab at this address, which must be vouched for: whoever answers there says who may sign. No token is sent.
    ///
    /// They are fetched anew each time, past every cache on the way. So a key that GitLab has begun to use a moment ago is among
    /// them, and a key that is not is nobody's. Whoever keeps them for longer must fetch them once more before a token is refused
    /// for a key that is not among them.
    ///
    /// # Errors
    /// Where the server can't be reached in time, or answers anything else than a key set.
    pub fn fetch(http: &Http, server_url: &str, deadline: Deadline) -> Result<KeySet, RemoteError> {
        let url = format!("{}/oauth/discovery/keys", server_url.trim_end_matches('/'));
        let mut tries = 0;
        loop {
            tries += 1;
            let problem = match fetch_once(http, &url, deadline) {
                Ok(keys) => return Ok(keys),
                Err(problem) => problem,
            };
            let wait = http::pause(tries);
            if !problem.is_transient() || tries >= FEW_TRIES || deadline.remaining() <= wait {
                return Err(problem);
            }
            std::thread::sleep(wait);
        }
    }
}

fn fetch_once(http: &Http, url: &str, deadline: Deadline) -> Result<KeySet, RemoteError> {
    let mut headers = HeaderMap::new();
    headers.insert("Accept", header("application/json"));
    headers.insert("Cache-Control", header("no-cache"));
    let response = expect_success(http.send(Method::GET, url, headers, Vec::new(), deadline)?)?;
    let mut bytes = Vec::new();
    let whole = response.take(LARGEST + 1).read_to_end(&mut bytes);
    whole.map_err(|error| RemoteError::Broken(error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(RemoteError::Nonsense("it is larger than 256 KiB".to_owned()));
    }
    KeySet::parse(&bytes).ok_or_else(|| RemoteError::Nonsense("it is no key set".to_owned()))
}
