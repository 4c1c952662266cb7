//! Git's smart HTTP protocol for libgit2, spoken by our own HTTP client.
//!
//! libgit2 is built without TLS; for `http://` and `https://` it asks here for the four requests of the protocol
//! (gitprotocol-http(5)): reference discovery and the exchange itself, for fetch and for push. What went wrong is kept in the
//! [`Route`], typed, since libgit2 carries only a text.

// Registering a transport is `unsafe` in git2, because libgit2's list of transports has no lock: it happens once, under `Once`.
#![allow(unsafe_code)]

use crate::http::{Deadline, Http, HttpError, expect_success, header};
use base64::Engine as _;
use chrono::{DateTime, Utc};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use git2::{Error, Remote};
use reqwest::Method;
use reqwest::blocking::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};
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

/// How one remote is reached, and what happened on the way.
#[derive(Debug)]
pub struct Route {
    url: String,
    http: Arc<Http>,
    credentials: Option<Credentials>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    deadline: Deadline,
    /// Where the repository is, once redirects were followed.
    base: String,
    failure: Option<HttpError>,
    server_time: Option<DateTime<Utc>>,
    push_was_sent: bool,
}

impl Route {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the time limit for what comes, and forgets what went wrong before.
    pub fn begin(self: &Arc<Self>, deadline: Deadline) {
        // libgit2 finds a transport by the address alone; the last one to begin is the one that is meant
        ROUTES.lock().unwrap_or_else(PoisonError::into_inner).insert(self.url.clone(), Arc::clone(self));
        let mut seen = self.seen();
        seen.deadline = deadline;
        seen.failure = None;
        seen.push_was_sent = false;
    }

    /// What went wrong in the last exchange.
    pub fn failure(&self) -> Option<HttpError> {
        self.seen().failure.clone()
    }

    /// Whether the last exchange got so far that the server may have changed something.
    pub fn push_was_sent(&self) -> bool {
        self.seen().push_was_sent
    }

    /// The server's clock, from the `Date` of its last answer.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        self.seen().server_time
    }

    fn fail(&self, error: &HttpError) {
        self.seen().failure = Some(error.clone());
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.header());
        }
        headers
    }

    fn note_time(&self, response: &Response) {
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
        if let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) {
            self.seen().server_time = Some(date.to_utc());
        }
    }

    /// Reference discovery; follows redirects within the same origin, as git does for its first request only.
    fn discover(&self, service: &str) -> Result<Response, HttpError> {
        for _ in 0..MOST_REDIRECTS {
            let (base, deadline) = {
                let seen = self.seen();
                (seen.base.clone(), seen.deadline)
            };
            let suffix = format!("/info/refs?service={service}");
            let response = self.http.send(Method::GET, &format!("{base}{suffix}"), self.headers(), Vec::new(), deadline)?;
            self.note_time(&response);
            match expect_success(response) {
                Err(HttpError::Redirect(to)) => self.seen().base = followed(&base, &to, &suffix)?,
                Err(error) => return Err(error),
                Ok(response) => return expect_git(response, &format!("application/x-{service}-advertisement")),
            }
        }
        Err(HttpError::Redirect("itself, again and again".to_owned()))
    }

    fn exchange(&self, service: &str, body: Vec<u8>) -> Result<Response, HttpError> {
        let (base, deadline) = {
            let mut seen = self.seen();
            seen.push_was_sent |= service == "git-receive-pack";
            (seen.base.clone(), seen.deadline)
        };
        let mut headers = self.headers();
        headers.insert(CONTENT_TYPE, header(&format!("application/x-{service}-request")));
        headers.insert(ACCEPT, header(&format!("application/x-{service}-result")));
        let response = self.http.send(Method::POST, &format!("{base}/{service}"), headers, body, deadline)?;
        self.note_time(&response);
        expect_git(expect_success(response)?, &format!("application/x-{service}-result"))
    }
}

fn followed(base: &str, to: &str, suffix: &str) -> Result<String, HttpError> {
    let elsewhere = || HttpError::Redirect(to.to_owned());
    let from = url::Url::parse(base).map_err(|_| elsewhere())?;
    let to_url = from.join(to).map_err(|_| elsewhere())?;
    if to_url.origin() != from.origin() {
        return Err(elsewhere());
    }
    to_url.as_str().strip_suffix(suffix).map(str::to_owned).ok_or_else(elsewhere)
}

fn expect_git(response: Response, content_type: &str) -> Result<Response, HttpError> {
    let found = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    if found == content_type {
        return Ok(response);
    }
    Err(HttpError::Nonsense(format!("expected {content_type}, found {found}; is this a git repository's address?")))
}

static ROUTES: LazyLock<Mutex<HashMap<String, Arc<Route>>>> = LazyLock::new(Mutex::default);

/// Makes libgit2 reach this address through this client, with these credentials. The address must hold none itself.
///
/// # Errors
/// Where libgit2 refuses the transport.
pub fn route(url: &str, http: Arc<Http>, credentials: Option<Credentials>, deadline: Deadline) -> Result<Arc<Route>, Error> {
    static REGISTERED: Once = Once::new();
    let mut registered = Ok(());
    REGISTERED.call_once(|| registered = register());
    registered?;
    let base = url.trim_end_matches('/').to_owned();
    let seen = Seen { deadline, base, failure: None, server_time: None, push_was_sent: false };
    Ok(Arc::new(Route { url: url.to_owned(), http, credentials, seen: Mutex::new(seen) }))
}

fn register() -> Result<(), Error> {
    for scheme in ["http", "https"] {
        // SAFETY: called once in the process, under `Once`, before any remote of ours is made
        unsafe { git2::transport::register(scheme, transport)? };
    }
    Ok(())
}

fn transport(remote: &Remote<'_>) -> Result<Transport, Error> {
    let url = remote.url()?;
    let routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
    let route = routes.get(url).cloned().ok_or_else(|| Error::from_str("this address has no route"))?;
    Transport::smart(remote, true, Smart(route))
}

struct Smart(Arc<Route>);

impl SmartSubtransport for Smart {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        let discover = |service: &str| {
            let answer = self.0.discover(service).inspect_err(|error| self.0.fail(error));
            answer.map_err(|error| Error::from_str(&error.to_string()))
        };
        let exchange =
            |service: &'static str| Exchange { route: Arc::clone(&self.0), service, request: Vec::new(), answer: None };
        Ok(match action {
            Service::UploadPackLs => Box::new(Answer { route: Arc::clone(&self.0), response: discover("git-upload-pack")? }),
            Service::ReceivePackLs => Box::new(Answer { route: Arc::clone(&self.0), response: discover("git-receive-pack")? }),
            Service::UploadPack => Box::new(exchange("git-upload-pack")),
            Service::ReceivePack => Box::new(exchange("git-receive-pack")),
        })
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The answer to reference discovery.
struct Answer {
    route: Arc<Route>,
    response: Response,
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.response.read(buffer).map_err(|error| broken(&self.route, &error))
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
                let answer = self.route.exchange(self.service, request).inspect_err(|error| self.route.fail(error));
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
        HttpError::Timeout
    } else {
        HttpError::Broken("the answer breaks off".to_owned())
    };
    route.fail(&failure);
    io::Error::other(failure)
}
