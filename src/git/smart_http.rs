//! Git's smart HTTP protocol for libgit2, spoken by our own HTTP client: the four requests of gitprotocol-http(5), reference
//! discovery and the exchange itself, for fetch and for push.

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
use std::sync::{Arc, Mutex, PoisonError};
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

/// The way to one repository over HTTP.
#[derive(Debug)]
pub struct HttpWay {
    http: Arc<Http>,
    credentials: Option<Credentials>,
    /// Where the repository is, once redirects were followed.
    base: Mutex<String>,
}

impl HttpWay {
    /// The way to this address, which holds no credentials itself, through this client and with these credentials.
    pub fn new(url: &str, http: Arc<Http>, credentials: Option<Credentials>) -> Self {
        HttpWay { http, credentials, base: Mutex::new(url.trim_end_matches('/').to_owned()) }
    }

    fn base(&self) -> String {
        self.base.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn move_to(&self, base: String) {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.header());
        }
        headers
    }

    /// Reference discovery; follows redirects within the same origin, as git does for its first request only.
    fn discover(&self, service: &str, route: &Route) -> Result<Response, RemoteError> {
        for _ in 0..MOST_REDIRECTS {
            let base = self.base();
            let suffix = format!("/info/refs?service={service}");
            let url = format!("{base}{suffix}");
            let response = self.http.send(Method::GET, &url, self.headers(), Vec::new(), route.deadline())?;
            note_time(route, &response);
            match expect_success(response) {
                Err(RemoteError::Redirect(to)) => self.move_to(followed(&base, &to, &suffix)?),
                Err(error) => return Err(error),
                Ok(response) => return expect_git(response, &format!("application/x-{service}-advertisement")),
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
        let url = format!("{}/{service}", self.base());
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
