//! The one HTTP client: certificate authorities, proxies, time limits; and what can go wrong on the way to any server.
//!
//! Git's smart protocol and GitLab's API go through it. It is built on first use, since building fails on machines without a
//! certificate store, and nobody who writes to a local log should hear of that. Redirects are never followed here: whoever
//! sends a request decides, so that no credential goes to another host.

use reqwest::blocking::{Client, Response};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Method, NoProxy, Proxy, redirect};
use std::error::Error as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// The moment at which to give up.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// As long from now as this.
    pub fn after(limit: Duration) -> Self {
        Deadline(Instant::now() + limit)
    }

    /// What is left, zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of this and as long from now as that.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        Deadline(self.0.min(Instant::now() + limit))
    }
}

/// How often something is tried that may go well in a moment, but hardly will: an answer that makes no sense.
pub const FEW_TRIES: u32 = 3;

/// How long to wait after so many tries: longer each time, up to two seconds, with jitter, so that those who collided do not
/// collide again.
pub fn pause(tries: u32) -> Duration {
    let base = (100 << tries.min(5)).min(2000);
    let mut random = [0; 2];
    let jitter = getrandom::fill(&mut random).map_or(0, |()| u64::from(u16::from_le_bytes(random)) % base);
    Duration::from_millis(base / 2 + jitter)
}

/// Why there is no answer, or not the one that was asked for. Texts hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The machine has no certificate store and no CA file was named.
    #[error("no certificate authorities: this machine has no certificate store")]
    NoCertificates,
    /// The named CA file can't be used.
    #[error("the CA file `{path}` can't be used: {problem}")]
    CaFile {
        /// Its path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The named proxy can't be used; its address is not shown, since it may hold a password.
    #[error("the proxy's address makes no sense: {0}")]
    Proxy(String),
    /// The server's certificate was refused, or TLS failed otherwise.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("no answer within the time limit")]
    Timeout,
    /// The connection broke within the request or the answer.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// An answer with another status than 2xx.
    #[error("HTTP {code}{}", if .body.is_empty() { String::new() } else { format!(": {}", .body) })]
    Status {
        /// The status.
        code: u16,
        /// The beginning of the body, on one line; empty for HTML pages.
        body: String,
    },
    /// There is no program that reaches hosts by SSH.
    #[error("can't run `{program}`: {problem}")]
    SshMissing {
        /// Its name, or the command line.
        program: String,
        /// What the system says.
        problem: String,
    },
    /// The host's key is not the known one, or none is known.
    #[error("ssh does not trust the host: {0}")]
    SshHostKey(String),
    /// The host does not take the person's key.
    #[error("the SSH login is refused: {0}")]
    SshLogin(String),
    /// Behind SSH there is no such repository, or the login may not see it.
    #[error("the server has no such repository: {0}")]
    NoRepository(String),
    /// The other end of an SSH connection said no.
    #[error("the server refuses: {0}")]
    SshRefused(String),
    /// The server points elsewhere.
    #[error("the server redirects to `{0}`")]
    Redirect(String),
    /// Not the server but this machine: a full disk, a folder that can't be written to.
    #[error("on this machine: {0}")]
    Here(String),
    /// An answer that makes no sense.
    #[error("the answer makes no sense: {0}")]
    Nonsense(String),
}

impl RemoteError {
    /// Whether the server can't be reached, or is down: nothing that it said is known.
    pub fn is_unreachable(&self) -> bool {
        match self {
            RemoteError::Connect(_) | RemoteError::Timeout | RemoteError::Broken(_) => true,
            RemoteError::Status { code, .. } => *code >= 500,
            _ => false,
        }
    }

    /// Whether the server certainly did nothing: no connection came about, or it turned the request down before it looked at it.
    pub fn was_not_done(&self) -> bool {
        matches!(self, RemoteError::Connect(_) | RemoteError::Status { code: 429, .. })
    }

    /// Whether the same request may go well in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            RemoteError::Connect(_) | RemoteError::Timeout | RemoteError::Broken(_) | RemoteError::Nonsense(_) => true,
            RemoteError::Status { code, .. } => *code == 429 || *code >= 500,
            RemoteError::NoCertificates
            | RemoteError::CaFile { .. }
            | RemoteError::Proxy(_)
            | RemoteError::Tls(_)
            | RemoteError::SshMissing { .. }
            | RemoteError::SshHostKey(_)
            | RemoteError::SshLogin(_)
            | RemoteError::NoRepository(_)
            | RemoteError::SshRefused(_)
            | RemoteError::Redirect(_)
            | RemoteError::Here(_) => false,
        }
    }
}

/// The client, built on first use.
#[derive(Debug)]
pub struct Http {
    ca_file: Option<PathBuf>,
    proxy: Option<Zeroizing<String>>,
    client: OnceLock<Result<Client, RemoteError>>,
    without_tls: OnceLock<Result<Client, RemoteError>>,
}

impl Http {
    /// A client that trusts the machine's certificate store, or, where a CA file is named, only that. It takes the proxies of
    /// the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`), or, where one is named, that; an empty one means none.
    /// `NO_PROXY` counts for all of them.
    pub fn new(ca_file: Option<PathBuf>, proxy: Option<String>) -> Self {
        Http { ca_file, proxy: proxy.map(Zeroizing::new), client: OnceLock::new(), without_tls: OnceLock::new() }
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// # Errors
    /// Where no answer came. An answer with an error status is no error here: see [`expect_success`].
    pub fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        deadline: Deadline,
    ) -> Result<Response, RemoteError> {
        if deadline.has_passed() {
            return Err(RemoteError::Timeout);
        }
        let client = match url.starts_with("http://") {
            true => self.without_tls.get_or_init(|| self.build(Some(Vec::new()))),
            false => self.client.get_or_init(|| self.certificates().and_then(|authorities| self.build(authorities))),
        };
        let client = client.as_ref().map_err(Clone::clone)?;
        let request = client.request(method, url).headers(headers).body(body).timeout(deadline.remaining());
        request.send().map_err(|error| classify(&error))
    }

    /// The authorities to trust alone; `None` means the machine's.
    fn certificates(&self) -> Result<Option<Vec<Certificate>>, RemoteError> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let broken = |problem: String| RemoteError::CaFile { path: path.display().to_string(), problem };
        let pem = std::fs::read(path).map_err(|error| broken(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| broken(chain(&error)))?;
        if certificates.is_empty() {
            return Err(broken("it holds no PEM certificate".to_owned()));
        }
        Ok(Some(certificates))
    }

    fn build(&self, authorities: Option<Vec<Certificate>>) -> Result<Client, RemoteError> {
        // an error means that it is set already, by an earlier client
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("deploy-record/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(LONGEST_CONNECT);
        let builder = match self.proxy.as_ref().map(|proxy| proxy.as_str()) {
            None => builder,
            Some("") => builder.no_proxy(),
            Some(address) => builder.proxy(proxy(address)?),
        };
        let builder = match authorities {
            Some(authorities) => builder.tls_certs_only(authorities),
            None => builder,
        };
        builder.build().map_err(|error| match chain(&error) {
            text if text.contains("No CA certificates") => RemoteError::NoCertificates,
            text => RemoteError::Tls(text),
        })
    }
}

/// A proxy as git writes it, for all addresses but those of `NO_PROXY`.
fn proxy(address: &str) -> Result<Proxy, RemoteError> {
    let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let proxy = Proxy::all(&address).map_err(|error| RemoteError::Proxy(chain(&error)))?;
    Ok(proxy.no_proxy(NoProxy::from_env()))
}

/// The answer, if its status is 2xx.
///
/// # Errors
/// [`RemoteError::Redirect`] for 3xx, else [`RemoteError::Status`] with the beginning of the body.
pub fn expect_success(response: Response) -> Result<Response, RemoteError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    if status.is_redirection() {
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        return Err(RemoteError::Redirect(location.unwrap_or("nowhere").to_owned()));
    }
    Err(RemoteError::Status { code: status.as_u16(), body: excerpt(response) })
}

/// A header's value; one that no header can carry becomes empty.
pub fn header(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn excerpt(response: Response) -> String {
    let mut bytes = Vec::new();
    // an error page that breaks off is still an error page
    let _ = response.take(4096).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    if text.starts_with('<') {
        return String::new();
    }
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(200).collect()
}

fn classify(error: &reqwest::Error) -> RemoteError {
    let text = chain(error);
    let lower = text.to_lowercase();
    if error.is_timeout() {
        RemoteError::Timeout
    } else if lower.contains("proxy auth") {
        RemoteError::Status { code: 407, body: String::new() }
    } else if lower.contains("certificate") || lower.contains("received fatal alert") {
        // anything else that happens to a handshake may be a line that was cut
        RemoteError::Tls(text)
    } else if error.is_connect() {
        RemoteError::Connect(text)
    } else {
        RemoteError::Broken(text)
    }
}

/// The causes of an error, without the address, which may carry a token.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}
