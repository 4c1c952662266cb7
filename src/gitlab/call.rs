//! Requests and answers: tokens, tries, redirects, pages.

use super::answer::{self, Answer};
use super::{ApiError, Gitlab, Token, link};
use crate::http::{self, Deadline, RemoteError, expect_success, header};
use reqwest::Method;
use reqwest::blocking::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::io::Read as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use url::Url;

/// The most that one answer may hold, in bytes.
const LARGEST_ANSWER: u64 = 8 * 1024 * 1024;

/// How often a request is tried.
const TRIES: u32 = 3;

/// How many redirects are followed, as those of a renamed project.
const MOST_REDIRECTS: u32 = 3;

/// The longest that is waited because the server says so (`Retry-After`).
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How many things come on one page; GitLab allows no more.
const PER_PAGE: usize = 100;

/// A request that is to be made.
pub(super) struct Call<'a> {
    /// What is asked, in words: `GitLab does not tell … {what}`.
    pub what: &'static str,
    /// The parts of the path below the API's root, not encoded.
    pub path: &'a [&'a str],
    /// The query, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// The tokens that GitLab takes here, in the order in which they are tried.
    pub tokens: &'static [Token],
    /// The scope that an access token needs.
    pub scope: &'static str,
}

/// How it is sent.
#[derive(Clone, Copy)]
struct Sending<'a> {
    method: &'a Method,
    body: Option<&'a Value>,
    deadline: Deadline,
}

impl Sending<'_> {
    fn get(deadline: Deadline) -> Self {
        Sending { method: &Method::GET, body: None, deadline }
    }
}

/// Endpoints that take a job's token on new servers; an access token else.
pub(super) const EITHER: &[Token] = &[Token::Job, Token::Access];
/// Endpoints that never take a job's token.
pub(super) const ACCESS: &[Token] = &[Token::Access];

/// The scope of a token that only reads.
pub(super) const READ: &str = "read_api";
/// The scope of a token that also writes.
pub(super) const WRITE: &str = "api";

impl Gitlab {
    /// Reads one thing.
    pub(super) fn get<T: Answer>(&self, call: &Call, deadline: Deadline) -> Result<T, ApiError> {
        let response = self.ask(call, &self.url(call), Sending::get(deadline))?;
        self.read(call, response, answer::one)
    }

    /// Reads the first page of a list.
    pub(super) fn first<T: Answer>(&self, call: &Call, deadline: Deadline) -> Result<Vec<T>, ApiError> {
        let response = self.ask(call, &self.url(call), Sending::get(deadline))?;
        self.read(call, response, answer::many)
    }

    /// Reads a file.
    pub(super) fn get_bytes(&self, call: &Call, deadline: Deadline) -> Result<Vec<u8>, ApiError> {
        let response = self.ask(call, &self.url(call), Sending::get(deadline))?;
        self.bytes(response).map_err(|source| ApiError::Remote { what: call.what, source })
    }

    /// Reads a list, page by page, at most so many of them.
    pub(super) fn list<T: Answer>(&self, call: &Call, most: u32, deadline: Deadline) -> Result<Vec<T>, ApiError> {
        let remote = |source| ApiError::Remote { what: call.what, source };
        let per_page = PER_PAGE.to_string();
        let first = Call { query: &[call.query, &[("per_page", per_page.as_str())]].concat(), ..*call };
        let mut url = self.url(&first);
        let mut all = Vec::new();
        for page in 1..=most {
            let response = self.ask(call, &url, Sending::get(deadline))?;
            let next = Next::of(response.headers());
            let items: Vec<T> = self.read(call, response, answer::many)?;
            let is_full = items.len() >= PER_PAGE;
            all.extend(items);
            url = match next {
                Next::At(address) => self.redirected(&url, &address).map_err(remote)?,
                Next::Page => with_page(&first, page + 1, self),
                // behind a proxy that drops the headers, a full page is not taken for the last
                Next::Unsaid if is_full => with_page(&first, page + 1, self),
                Next::None | Next::Unsaid => return Ok(all),
            };
        }
        Err(ApiError::TooMuch { what: call.what, most })
    }

    /// Writes something; sent once, unless it certainly was not done.
    pub(super) fn write<T: Answer>(
        &self,
        call: &Call,
        method: &Method,
        body: &Value,
        deadline: Deadline,
    ) -> Result<T, ApiError> {
        let response = self.ask(call, &self.url(call), Sending { method, body: Some(body), deadline })?;
        self.read(call, response, answer::one)
    }

    /// Makes a call with the tokens that it takes, one after the other, until GitLab answers.
    fn ask(&self, call: &Call, url: &str, sending: Sending) -> Result<Response, ApiError> {
        let mut turned_down = None;
        for token in call.tokens.iter().copied().filter(|token| self.has(*token)) {
            let is_poor = token == Token::Job && self.is_job_token_poor.load(Ordering::Relaxed) && call.tokens.len() > 1;
            if is_poor && self.has_access_token() {
                continue;
            }
            match self.try_often(call, url, token, sending) {
                Err(error @ ApiError::Untold { .. }) => {
                    if token == Token::Job && call.tokens.len() > 1 {
                        self.is_job_token_poor.store(true, Ordering::Relaxed);
                    }
                    // what the better token hears is what helps
                    turned_down = Some(error);
                }
                decided => return decided,
            }
        }
        Err(turned_down.unwrap_or(ApiError::NoToken { what: call.what, scope: call.scope }))
    }

    fn has(&self, token: Token) -> bool {
        match token {
            Token::Job => self.job_token.is_some(),
            Token::Access => self.access_token.is_some(),
        }
    }

    fn try_often(&self, call: &Call, url: &str, token: Token, sending: Sending) -> Result<Response, ApiError> {
        let remote = |source| ApiError::Remote { what: call.what, source };
        let mut tries = 0;
        loop {
            tries += 1;
            let (problem, wait) = match self.send(url, token, sending) {
                Ok(response) if is_turned_down(&response, call, token) => return Err(untold(call, token, response)),
                Ok(response) => {
                    let wait = retry_after(&response);
                    match expect_success(response) {
                        Ok(response) => return Ok(response),
                        Err(problem) => (problem, wait.unwrap_or_else(|| http::pause(tries))),
                    }
                }
                Err(problem) => (problem, http::pause(tries)),
            };
            let is_safe = *sending.method == Method::GET || problem.was_not_done();
            let is_worth_it = problem.is_transient() && is_safe && tries < TRIES;
            if !is_worth_it || wait > LONGEST_WAIT || sending.deadline.remaining() <= wait {
                return Err(remote(problem));
            }
            self.spend(wait);
            std::thread::sleep(wait);
        }
    }

    fn url(&self, call: &Call) -> String {
        let Ok(mut url) = Url::parse(&self.api) else { return self.api.clone() };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        url.to_string()
    }

    /// One request, and those that it is redirected to on the same server: GitLab answers so for a project that was renamed, and a
    /// write that is not sent again to the new address would be lost.
    fn send(&self, url: &str, token: Token, sending: Sending) -> Result<Response, RemoteError> {
        let mut url = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.send_once(&url, token, sending)?;
            let location = response.headers().get("location").and_then(|value| value.to_str().ok());
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 307 | 308);
            match location.filter(|_| is_redirect) {
                Some(location) => url = self.redirected(&url, location)?,
                None => return Ok(response),
            }
        }
        Err(RemoteError::Redirect("one address after another".to_owned()))
    }

    /// Where a redirect leads, if that is on the same server and below its API.
    fn redirected(&self, url: &str, location: &str) -> Result<String, RemoteError> {
        let elsewhere = || RemoteError::Redirect(location.to_owned());
        let target = Url::parse(url).and_then(|url| url.join(location)).map_err(|_| elsewhere())?;
        let root = Url::parse(&self.api).map_err(|_| elsewhere())?;
        let is_api = target.path().starts_with(&format!("{}/", root.path()));
        if target.origin() == root.origin() && is_api { Ok(target.to_string()) } else { Err(elsewhere()) }
    }

    fn send_once(&self, url: &str, token: Token, sending: Sending) -> Result<Response, RemoteError> {
        let Sending { method, body, deadline } = sending;
        let (name, value) = match token {
            Token::Job => ("JOB-TOKEN", &self.job_token),
            Token::Access => ("PRIVATE-TOKEN", &self.access_token),
        };
        let mut headers = HeaderMap::new();
        let mut secret = header(value.as_deref().map_or("", |token| token.as_str()));
        secret.set_sensitive(true);
        headers.insert(name, secret);
        headers.insert("Accept", header("application/json"));
        let bytes = match body {
            Some(body) => {
                headers.insert("Content-Type", header("application/json"));
                body.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        let left = self.budget.saturating_sub(Duration::from_millis(self.spent.load(Ordering::Relaxed)));
        let begun = Instant::now();
        let answer = self.http.send(method.clone(), url, headers, bytes, deadline.at_most(left));
        self.spend(begun.elapsed());
        (self.tell)(&line(method, &url[self.api.len().min(url.len())..], begun.elapsed(), &answer));
        answer
    }

    fn read<T>(&self, call: &Call, response: Response, as_what: fn(&Value) -> Result<T, String>) -> Result<T, ApiError> {
        let told = self.value(response).and_then(|value| as_what(&value).map_err(RemoteError::Nonsense));
        told.map_err(|source| ApiError::Remote { what: call.what, source })
    }

    fn value(&self, response: Response) -> Result<Value, RemoteError> {
        serde_json::from_slice(&self.bytes(response)?).map_err(|error| RemoteError::Nonsense(error.to_string()))
    }

    fn bytes(&self, response: Response) -> Result<Vec<u8>, RemoteError> {
        let begun = Instant::now();
        let mut bytes = Vec::new();
        let whole = response.take(LARGEST_ANSWER + 1).read_to_end(&mut bytes);
        self.spend(begun.elapsed());
        whole.map_err(|error| RemoteError::Broken(error.to_string()))?;
        if bytes.len() as u64 > LARGEST_ANSWER {
            return Err(RemoteError::Nonsense("it is larger than 8 MiB".to_owned()));
        }
        Ok(bytes)
    }

    fn spend(&self, time: Duration) {
        self.spent.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// A request in a line, with the number by which GitLab's own logs have it.
fn line(method: &Method, path: &str, took: Duration, answer: &Result<Response, RemoteError>) -> String {
    let took = took.as_millis();
    match answer {
        Ok(response) => {
            let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok());
            let id = id.map(|id| format!(", request {id}")).unwrap_or_default();
            format!("GitLab: {method} {path}: {} in {took} ms{id}", response.status().as_u16())
        }
        Err(problem) => format!("GitLab: {method} {path}: {problem} after {took} ms"),
    }
}

/// Whether the answer says that this token may not, or that there is no such thing. Where GitLab looks for a user before anything
/// else, a job's token that it does not take there gets 401, as an unknown one does.
fn is_turned_down(response: &Response, call: &Call, token: Token) -> bool {
    match response.status().as_u16() {
        403 | 404 => true,
        401 => token == Token::Job && call.tokens == EITHER,
        _ => false,
    }
}

fn untold(call: &Call, token: Token, response: Response) -> ApiError {
    let code = response.status().as_u16();
    let words = match expect_success(response) {
        Err(RemoteError::Status { body, .. }) => body,
        _ => String::new(),
    };
    ApiError::Untold { what: call.what, scope: call.scope, token, code, words }
}

/// Where the next page of a list is.
enum Next {
    /// At this address.
    At(String),
    /// Under the next number.
    Page,
    /// There is none.
    None,
    /// The server does not say.
    Unsaid,
}

impl Next {
    fn of(headers: &HeaderMap) -> Next {
        let text =
            |name: &str| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ");
        let links = text("link");
        let number = headers.contains_key("x-next-page").then(|| text("x-next-page"));
        match (link::next(&links), number) {
            (Some(address), _) => Next::At(address.to_owned()),
            (None, Some(number)) if !number.trim().is_empty() => Next::Page,
            (None, None) if links.is_empty() => Next::Unsaid,
            (None, _) => Next::None,
        }
    }
}

fn with_page(call: &Call, page: u32, gitlab: &Gitlab) -> String {
    let page = page.to_string();
    gitlab.url(&Call { query: &[call.query, &[("page", page.as_str())]].concat(), ..*call })
}

/// How long the server asks to wait, in whole seconds (RFC 9110 § 10.2.3; GitLab gives no dates).
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
