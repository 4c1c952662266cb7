//! Git's smart HTTP protocol for libgit2, spoken by our own HTTP client: the four requests of gitprotocol-http(5), reference
//! discovery and the exchange itself, for fetch and for push.

use super::credential::CredentialHelper;
use super::route::Route;
use crate::http::{Http, RemoteError, expect_success, header};
use base64::Engine as _;
use chrono::DateTime;
use git2::Error;
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use reqwest::Method;
use reqwest::blocking::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use zeroize::Zeroizing;

const MOST_REDIRECTS: usize = 5;

/// User name and token for HTTP Basic authentication.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    token: Zeroizing<String>,
}

impl Credentials {
    /// GitLab takes `gitlab-ci-token` with a job's token, and any name, by custom `oauth2`, with an access token.
    pub fn new(user: &str, token: &str) -> Self {
        Credentials { user: user.to_owned(), token: Zeroizing::new(token.to_owned()) }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    fn header(&self) -> HeaderValue {
        let pair = Zeroizing::new(format!("{}:{}", self.user, self.token.as_str()));
        let mut value = header(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.as_bytes())));
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "Credentials({}, …)", self.user)
    }
}

/// How to log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// Not at all.
    Nobody,
    /// With these.
    As(Credentials),
    /// Not at all, until the server asks for it; then with what git's helpers have.
    Ask(CredentialHelper),
}

/// The way to one repository over HTTP.
#[derive(Debug)]
pub struct HttpWay {
    http: Arc<Http>,
    helper: Option<CredentialHelper>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where the repository is, once redirects were followed.
    base: String,
    credentials: Option<Credentials>,
    helper: Asked,
}

/// What came of git's credential helpers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Not,
    /// They were asked, and the server has not judged yet.
    Unjudged,
    /// They were asked, and have heard what the server said.
    Told,
}

impl HttpWay {
    /// The way to this address, which holds no credentials itself, through this client.
    pub fn new(url: &str, http: Arc<Http>, login: Login) -> Self {
        let (credentials, helper) = match login {
            Login::Nobody => (None, None),
            Login::As(credentials) => (Some(credentials), None),
            Login::Ask(helper) => (None, Some(helper)),
        };
        let state = State { base: url.trim_end_matches('/').to_owned(), credentials, helper: Asked::Not };
        HttpWay { http, helper, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(credentials) = &self.state().credentials {
            headers.insert(AUTHORIZATION, credentials.header());
        }
        headers
    }

    /// Asks git's helpers, once; gives whether there is something to try again with.
    fn ask(&self, route: &Route) -> bool {
        let mut state = self.state();
        let Some(helper) = self.helper.as_ref().filter(|_| state.helper == Asked::Not) else { return false };
        state.helper = Asked::Told;
        let begin = Instant::now();
        state.credentials = helper.fill(&state.base, helper.patience(route.deadline().remaining()));
        if state.credentials.is_some() {
            state.helper = Asked::Unjudged;
            route.extend(begin.elapsed());
        }
        state.credentials.is_some()
    }

    /// Tells git's helpers what the server says to what they gave.
    fn tell(&self, are_right: bool) {
        let mut state = self.state();
        let (Some(helper), Some(credentials)) = (&self.helper, &state.credentials) else { return };
        if state.helper == Asked::Unjudged || !are_right {
            helper.note(&state.base, credentials, are_right);
        }
        state.helper = Asked::Told;
    }

    /// Reference discovery; follows redirects within the same origin, as git does for its first request only.
    fn discover(&self, service: &str, route: &Route) -> Result<Response, RemoteError> {
        for _ in 0..MOST_REDIRECTS {
            let base = self.state().base.clone();
            let suffix = format!("/info/refs?service={service}");
            let url = format!("{base}{suffix}");
            let response = self.http.send(Method::GET, &url, self.headers(), Vec::new(), route.deadline())?;
            note_time(route, &response);
            match expect_success(response) {
                Err(RemoteError::Redirect(to)) => self.state().base = followed(&base, &to, &suffix)?,
                Err(RemoteError::Status { code: 401, .. }) if self.ask(route) => {}
                Err(error) => {
                    if matches!(error, RemoteError::Status { code: 401, .. }) {
                        self.tell(false);
                    }
                    return Err(error);
                }
                Ok(response) => {
                    self.tell(true);
                    return expect_git(response, &format!("application/x-{service}-advertisement"));
                }
            }
        }
        Err(RemoteError::Redirect("itself, again and again".to_owned()))
    }

    fn exchange(&self, service: &str, body: Vec<u8>, route: &Route) -> Result<Response, RemoteError> {
        if service == "git-receive-pack" {
            route.note_push();
        }
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, header(&format!("application/x-{service}-request")));
        headers.insert(ACCEPT, header(&format!("application/x-{service}-result")));
        let url = format!("{}/{service}", self.state().base);
        let response = self.http.send(Method::POST, &url, headers, body, route.deadline())?;
        note_time(route, &response);
        expect_git(expect_success(response)?, &format!("application/x-{service}-result"))
    }
}

fn note_time(route: &Route, response: &Response) {
    let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
    if let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
        route.note_time(date.to_utc());
    }
}

fn followed(base: &str, to: &str, suffix: &str) -> Result<String, RemoteError> {
    let elsewhere = || RemoteError::Redirect(to.to_owned());
    let from = url::Url::parse(base).map_err(|_| elsewhere())?;
    let to_url = from.join(to).map_err(|_| elsewhere())?;
    if to_url.origin() != from.origin() {
        return Err(elsewhere());
    }
    to_url.as_str().strip_suffix(suffix).map(str::to_owned).ok_or_else(elsewhere)
}

fn expect_git(response: Response, content_type: &str) -> Result<Response, RemoteError> {
    let found = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    if found == content_type {
        return Ok(response);
    }
    Err(RemoteError::Nonsense(format!("expected {content_type}, found {found}; is this a git repository's address?")))
}

/// Asks libgit2's questions over HTTP.
pub struct SmartHttp {
    route: Arc<Route>,
    way: Arc<HttpWay>,
}

impl SmartHttp {
    /// For one remote of libgit2.
    pub fn new(route: Arc<Route>, way: Arc<HttpWay>) -> Self {
        SmartHttp { route, way }
    }

    fn discover(&self, service: &str) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        let answer = self.way.discover(service, &self.route).inspect_err(|error| self.route.fail(error));
        let response = answer.map_err(|error| Error::from_str(&error.to_string()))?;
        Ok(Box::new(Answer { route: Arc::clone(&self.route), response, left: LARGEST_OFFER }))
    }

    fn exchange(&self, service: &'static str) -> Box<dyn SmartSubtransportStream> {
        let (route, way) = (Arc::clone(&self.route), Arc::clone(&self.way));
        Box::new(Exchange { route, way, service, request: Vec::new(), answer: None })
    }
}

impl SmartSubtransport for SmartHttp {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        match action {
            Service::UploadPackLs => self.discover("git-upload-pack"),
            Service::ReceivePackLs => self.discover("git-receive-pack"),
            Service::UploadPack => Ok(self.exchange("git-upload-pack")),
            Service::ReceivePack => Ok(self.exchange("git-receive-pack")),
        }
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The most that a server may offer, in bytes: a hundred thousand references have less.
pub const LARGEST_OFFER: usize = 32 * 1024 * 1024;

/// The answer to reference discovery.
struct Answer {
    route: Arc<Route>,
    response: Response,
    left: usize,
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.response.read(buffer).map_err(|error| broken(&self.route, &error))?;
        self.left = self.left.checked_sub(read).ok_or_else(|| {
            let failure = RemoteError::Nonsense("it lists more references than any repository has".to_owned());
            self.route.fail(&failure);
            io::Error::other(failure)
        })?;
        Ok(read)
    }
}

impl Write for Answer {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("reference discovery takes no body"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One request and its answer: libgit2 writes all of the request before it reads.
struct Exchange {
    route: Arc<Route>,
    way: Arc<HttpWay>,
    service: &'static str,
    request: Vec<u8>,
    answer: Option<Response>,
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                let request = std::mem::take(&mut self.request);
                let answer = self.way.exchange(self.service, request, &self.route).inspect_err(|error| self.route.fail(error));
                self.answer.insert(answer.map_err(io::Error::other)?)
            }
        };
        answer.read(buffer).map_err(|error| broken(&self.route, &error))
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken(route: &Route, error: &io::Error) -> io::Error {
    let failure = if error.kind() == io::ErrorKind::TimedOut || error.to_string().contains("timed out") {
        RemoteError::Timeout
    } else {
        RemoteError::Broken("the answer breaks off".to_owned())
    };
    route.fail(&failure);
    io::Error::other(failure)
}
