//! Git's smart HTTP protocol for libgit2, spoken by our own HTTP client.
//!
//! libgit2 is built without TLS; for addresses of a scheme of our own it asks here for the four requests of the protocol
//! (gitprotocol-http(5)): reference discovery and the exchange itself, for fetch and for push. Such an address only names a
//! [`Route`], so that nothing in a user's configuration (`url.….insteadOf`, proxies, credentials) changes where requests go. What
//! went wrong is kept there, typed, since libgit2 carries only a text.

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
    address: String,
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
    pub fn begin(&self, deadline: Deadline) {
        let mut seen = self.seen();
        seen.deadline = deadline;
        seen.failure = None;
        seen.push_was_sent = false;
    }

    /// The address by which libgit2 finds this route.
    pub fn address(&self) -> &str {
        &self.address
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

/// The scheme of addresses that name a route.
const SCHEME: &str = "deploy-record";

static ROUTES: LazyLock<Mutex<HashMap<String, Arc<Route>>>> = LazyLock::new(Mutex::default);

/// Makes a route to this address, which holds no credentials itself, through this client and with these credentials.
///
/// # Errors
/// Where libgit2 refuses the transport.
pub fn route(url: &str, http: Arc<Http>, credentials: Option<Credentials>, deadline: Deadline) -> Result<Arc<Route>, Error> {
    static REGISTERED: Once = Once::new();
    let mut registered = Ok(());
    // SAFETY: called once in the process, under `Once`, before any remote of ours is made
    REGISTERED.call_once(|| registered = unsafe { git2::transport::register(SCHEME, transport) });
    registered?;
    let base = url.trim_end_matches('/').to_owned();
    let seen = Seen { deadline, base, failure: None, server_time: None, push_was_sent: false };
    let mut routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
    let address = format!("{SCHEME}://{}/", routes.len());
    let route = Arc::new(Route { address: address.clone(), http, credentials, seen: Mutex::new(seen) });
    routes.insert(address, Arc::clone(&route));
    Ok(route)
}

fn transport(remote: &Remote<'_>) -> Result<Transport, Error> {
    let address = remote.url()?;
    let routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
    let route = routes.get(address).cloned().ok_or_else(|| Error::from_str("this address has no route"))?;
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
            Service::UploadPackLs => Box::new(Answer::new(&self.0, discover("git-upload-pack")?)),
            Service::ReceivePackLs => Box::new(Answer::new(&self.0, discover("git-receive-pack")?)),
            Service::UploadPack => Box::new(exchange("git-upload-pack")),
            Service::ReceivePack => Box::new(exchange("git-receive-pack")),
        })
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// The most that a server may offer, in bytes: a hundred thousand references have less.
const LARGEST_OFFER: usize = 32 * 1024 * 1024;

/// The answer to reference discovery.
struct Answer {
    route: Arc<Route>,
    response: Response,
    left: usize,
}

impl Answer {
    fn new(route: &Arc<Route>, response: Response) -> Self {
        Answer { route: Arc::clone(route), response, left: LARGEST_OFFER }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.response.read(buffer).map_err(|error| broken(&self.route, &error))?;
        self.left = self.left.checked_sub(read).ok_or_else(|| {
            let failure = HttpError::Nonsense("it lists more references than any repository has".to_owned());
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
