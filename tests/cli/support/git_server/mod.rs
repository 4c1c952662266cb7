//! A GitLab-like git server for tests: `git http-backend` behind HTTP or HTTPS on 127.0.0.1.
//!
//! Each [`GitServer`] has a port, a folder, tokens and (with HTTPS) an authority of its own, so tests
//! run side by side. It answers as GitLab does: Basic authentication, job tokens with and without the
//! right to push, hooks that refuse with `GitLab: ` lines, and the REST API of [`Gitlab`]. Failures can be set for single requests
//! ([`Fault`]) or drawn at random from a seed. Every connection has its own thread, and nothing that
//! one request waits for holds up another. When it is dropped, it ends its connections and its git
//! processes, then removes its folder.

mod api;
mod backend;
mod connection;
mod fault;
mod http;
pub mod jwks;
mod log;
mod tests;
mod tls;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use backend::Backend;
use connection::Stream;
use fault::Faults;
use log::Log;
use tls::Identity;

#[allow(unused_imports, reason = "the fields of the state are of these types")]
pub use api::{
    Approval, Deployable, Deployment, DeploymentApproval, Environment, Gitlab, Group, Issue, Member, MergeRequest, Note,
    Project, Release, User, job,
};
pub use fault::{Failure, Fault, Step};
pub use log::Request;

/// How long a dropped server waits for its threads to notice.
const STOP_LIMIT: Duration = Duration::from_secs(10);

const PROJECT: &str = "grp/app.git";

type Action = Arc<dyn Fn() + Send + Sync>;

/// A running server; it stops when dropped.
pub struct GitServer {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    repository: PathBuf,
    ca_file: Option<PathBuf>,
    acceptor: Option<JoinHandle<()>>,
    _folder: TempDir,
}

/// What the connections of a server have in common.
struct Shared {
    backend: Backend,
    tls: Option<Arc<ServerConfig>>,
    job_token: String,
    read_only_token: String,
    faults: Mutex<Faults>,
    protected: Mutex<Vec<String>>,
    gitlab: Mutex<Gitlab>,
    violations: Mutex<Vec<String>>,
    keys: Mutex<Option<serde_json::Value>>,
    action: Mutex<Option<(Step, Action)>>,
    clock_offset: AtomicI64,
    log: Log,
    connections: Mutex<Connections>,
    closed: Condvar,
}

#[derive(Default)]
struct Connections {
    is_stopped: bool,
    next: u64,
    open: HashMap<u64, TcpStream>,
}

impl GitServer {
    /// Starts a server without TLS.
    ///
    /// # Panics
    /// If git is not installed (the message says how to), or no port or folder is to be had.
    pub fn http() -> GitServer {
        GitServer::start(None)
    }

    /// Starts a server with a certificate of its own authority ([`GitServer::ca_file`]).
    ///
    /// # Panics
    /// As [`GitServer::http`].
    pub fn https() -> GitServer {
        GitServer::start(Some(Identity::generate()))
    }

    /// The origin, as `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The URL of the project `grp/app.git`, without credentials.
    pub fn project_url(&self) -> String {
        format!("{}/{PROJECT}", self.url())
    }

    /// The project's bare repository on disk, with the default branch `main`.
    pub fn repository(&self) -> &Path {
        &self.repository
    }

    /// The authority's certificate (PEM); `None` without TLS.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// The token that may read and write, as `gitlab-ci-token` or `oauth2`.
    pub fn job_token(&self) -> &str {
        &self.shared.job_token
    }

    /// The token that may only read; a push gets status 403.
    pub fn read_only_token(&self) -> &str {
        &self.shared.read_only_token
    }

    /// Queues a failure behind those already queued.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared.faults).push(fault);
    }

    /// Forgets the faults that are still queued.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Lets the hook refuse so many percent of the pushes, drawn from a seed in order of arrival.
    ///
    /// # Panics
    /// If it is more than 100.
    pub fn set_refuse_percent(&self, percent: u8, seed: u64) {
        lock(&self.shared.faults).set_refusals(percent, seed);
    }

    /// Cuts so many percent of the pushes off [before](Failure::CutBefore) and [after](Failure::CutAfter)
    /// git saw them, drawn from a seed in order of arrival.
    ///
    /// # Panics
    /// If it is more than 100 together.
    pub fn set_cut_percent(&self, before: u8, after: u8, seed: u64) {
        lock(&self.shared.faults).set_cuts(before, after, seed);
    }

    /// Sets the keys with which the server signs ID tokens, as it tells them at `/oauth/discovery/keys`.
    pub fn set_keys(&self, keys: &[serde_json::Value]) {
        *lock(&self.shared.keys) = Some(serde_json::json!({ "keys": keys }));
    }

    /// Lets the hook refuse pushes to a branch, in all repositories, as GitLab does for protected ones.
    pub fn protect(&self, branch: &str) {
        lock(&self.shared.protected).push(format!("refs/heads/{branch}"));
    }

    /// Sets what is called, on the connection's thread, once for each request of this step that git is about to see.
    ///
    /// The last action given counts. A request of the step through this server within the action calls it again.
    pub fn before(&self, step: Step, action: impl Fn() + Send + Sync + 'static) {
        *lock(&self.shared.action) = Some((step, Arc::new(action)));
    }

    /// Sets by how many seconds the `Date` of the answers is off.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.shared.clock_offset.store(seconds, Ordering::SeqCst);
    }

    /// All requests of git so far, in the order in which their heads arrived.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self.shared.log.requests().into_iter();
        requests.filter(|request| !matches!(request.step, Some(Step::Api | Step::Keys))).collect()
    }

    /// Makes another bare repository, such as `grp/other.git`, and returns its folder.
    ///
    /// # Panics
    /// If git or the file system refuses.
    pub fn add_repository(&self, path: &str) -> PathBuf {
        self.shared.backend.add_repository(path)
    }

    fn start(identity: Option<Identity>) -> GitServer {
        let folder = TempDir::new().expect("making the server's folder");
        let backend = Backend::new(folder.path());
        let repository = backend.add_repository(PROJECT);
        let ca_file = identity.as_ref().map(|identity| {
            let file = folder.path().join("ca.pem");
            fs::write(&file, &identity.authority).expect("writing the authority's certificate");
            file
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listening on 127.0.0.1");
        let address = listener.local_addr().expect("the port that was given");
        let scheme = if ca_file.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{address}");
        let (job_token, read_only_token) = (token("glcbt-64"), token("glcbt-65"));
        let gitlab = Gitlab::new(&url, repository.clone(), vec![job_token.clone(), read_only_token.clone()]);
        let shared = Arc::new(Shared {
            backend,
            tls: identity.map(|identity| identity.config),
            job_token,
            read_only_token,
            faults: Mutex::default(),
            protected: Mutex::default(),
            gitlab: Mutex::new(gitlab),
            violations: Mutex::default(),
            keys: Mutex::default(),
            action: Mutex::default(),
            clock_offset: AtomicI64::new(0),
            log: Log::default(),
            connections: Mutex::default(),
            closed: Condvar::new(),
        });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&shared, &listener)
        });
        GitServer { address, scheme, shared, repository, ca_file, acceptor: Some(acceptor), _folder: folder }
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        lock(&self.shared.connections).is_stopped = true;
        // The acceptor waits for a connection, so it gets one.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            acceptor.join().ok();
        }
        self.shared.closed.notify_all();
        self.shared.backend.stop();
        let connections = lock(&self.shared.connections);
        for stream in connections.open.values() {
            stream.shutdown(Shutdown::Both).ok();
        }
        let is_open = |connections: &mut Connections| !connections.open.is_empty();
        let closed = &self.shared.closed;
        drop(closed.wait_timeout_while(connections, STOP_LIMIT, is_open));
        let violations = self.violations();
        // What failed first tells more.
        assert!(violations.is_empty() || thread::panicking(), "not GitLab's API:\n{}", violations.join("\n"));
    }
}

impl Shared {
    /// The server's clock, as an HTTP date (RFC 9110 § 5.6.7).
    fn date(&self) -> String {
        let offset = TimeDelta::seconds(self.clock_offset.load(Ordering::SeqCst));
        (Utc::now() + offset).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Waits, but not longer than the server runs.
    fn pause(&self, time: Duration) {
        let connections = lock(&self.connections);
        let runs = |connections: &mut Connections| !connections.is_stopped;
        drop(self.closed.wait_timeout_while(connections, time, runs));
    }

    fn call_before(&self, step: Step) {
        let action = lock(&self.action).clone().filter(|(wanted, _)| *wanted == step);
        if let Some((_, action)) = action {
            action();
        }
    }

    /// Handles one connection from its first byte to its last.
    fn handle(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(tls, stream))
            }
        };
        connection::serve(self, stream)
    }
}

/// A connection in the server's list, taken out when its thread ends, however it ends.
struct Registration {
    shared: Arc<Shared>,
    number: u64,
}

impl Registration {
    /// Lists a connection; `None` if the server stops.
    fn new(shared: &Arc<Shared>, stream: &TcpStream) -> Option<Registration> {
        let stream = stream.try_clone().ok()?;
        let mut connections = lock(&shared.connections);
        if connections.is_stopped {
            return None;
        }
        let number = connections.next;
        connections.next += 1;
        connections.open.insert(number, stream);
        Some(Registration { shared: Arc::clone(shared), number })
    }

    fn serve(self, stream: TcpStream) {
        // An error is a client that went away or gave up, which many tests are about.
        self.shared.handle(stream).ok();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(stream) = lock(&self.shared.connections).open.remove(&self.number) {
            stream.shutdown(Shutdown::Both).ok();
        }
        self.shared.closed.notify_all();
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of file descriptors: others are about to be closed.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        if lock(&shared.connections).is_stopped {
            return;
        }
        if let Some(registration) = Registration::new(shared, &stream) {
            thread::spawn(move || registration.serve(stream));
        }
    }
}

/// A token of GitLab's shape that no other server has.
fn token(prefix: &str) -> String {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).expect("random bytes");
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}_{digits}")
}

/// Locks, also after a panic elsewhere: a failed test must not hide behind a poisoned lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
