//! How remotes are reached, and what happened on the way.
//!
//! libgit2 is built without TLS and without SSH; for addresses of a scheme of our own it asks here. Such an address only names a
//! [`Route`], so that nothing in a user's configuration (`url.….insteadOf`, proxies, credentials) changes where requests go. What
//! went wrong is kept there, typed, since libgit2 carries only a text.

// Registering a transport is `unsafe` in git2, because libgit2's list of transports has no lock: it happens once, under `Once`.
#![allow(unsafe_code)]

use super::smart_http::{HttpWay, SmartHttp};
use super::smart_ssh::{SmartSsh, SshWay};
use crate::http::{Deadline, RemoteError};
use chrono::{DateTime, Utc};
use git2::transport::Transport;
use git2::{Error, Remote};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// The scheme of addresses that name a route.
const SCHEME: &str = "deploy-record";

static ROUTES: LazyLock<Mutex<HashMap<String, Arc<Route>>>> = LazyLock::new(Mutex::default);

/// How one remote is reached, and what happened on the way.
#[derive(Debug)]
pub struct Route {
    address: String,
    way: Way,
    seen: Mutex<Seen>,
}

/// The ways to a remote.
#[derive(Debug, Clone)]
pub enum Way {
    /// One request after the other.
    Http(Arc<HttpWay>),
    /// One connection for offer and exchange.
    Ssh(Arc<SshWay>),
}

#[derive(Debug)]
struct Seen {
    deadline: Deadline,
    failure: Option<RemoteError>,
    server_time: Option<DateTime<Utc>>,
    push_was_sent: bool,
}

impl Route {
    /// Makes a route that libgit2 finds by its address.
    ///
    /// # Errors
    /// Where libgit2 refuses the transport.
    pub fn new(way: Way) -> Result<Arc<Route>, Error> {
        static REGISTERED: Once = Once::new();
        let mut registered = Ok(());
        // SAFETY: called once in the process, under `Once`, before any remote of ours is made
        REGISTERED.call_once(|| registered = unsafe { git2::transport::register(SCHEME, transport) });
        registered?;
        let deadline = Deadline::after(Duration::ZERO);
        let seen = Seen { deadline, failure: None, server_time: None, push_was_sent: false };
        let mut routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
        let address = format!("{SCHEME}://{}/", routes.len());
        let route = Arc::new(Route { address: address.clone(), way, seen: Mutex::new(seen) });
        routes.insert(address, Arc::clone(&route));
        Ok(route)
    }

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

    /// The time limit of the exchange that is under way.
    pub fn deadline(&self) -> Deadline {
        self.seen().deadline
    }

    /// Lets the exchange that is under way take so much longer: the time of a person who was asked.
    pub fn extend(&self, by: Duration) {
        let mut seen = self.seen();
        seen.deadline = Deadline::after(seen.deadline.remaining() + by);
    }

    /// What went wrong in the last exchange.
    pub fn failure(&self) -> Option<RemoteError> {
        self.seen().failure.clone()
    }

    /// Keeps what went wrong.
    pub fn fail(&self, error: &RemoteError) {
        self.seen().failure = Some(error.clone());
    }

    /// Whether the last exchange got so far that the server may have changed something.
    pub fn push_was_sent(&self) -> bool {
        self.seen().push_was_sent
    }

    /// From now on the server may have changed something.
    pub fn note_push(&self) {
        self.seen().push_was_sent = true;
    }

    /// The server's clock as of its last answer; SSH does not tell it.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        self.seen().server_time
    }

    /// Keeps the server's clock.
    pub fn note_time(&self, time: DateTime<Utc>) {
        self.seen().server_time = Some(time);
    }
}

fn transport(remote: &Remote<'_>) -> Result<Transport, Error> {
    let address = remote.url()?;
    let routes = ROUTES.lock().unwrap_or_else(PoisonError::into_inner);
    let route = routes.get(address).cloned().ok_or_else(|| Error::from_str("this address has no route"))?;
    match route.way.clone() {
        Way::Http(way) => Transport::smart(remote, true, SmartHttp::new(route, way)),
        Way::Ssh(way) => Transport::smart(remote, false, SmartSsh::new(route, way)),
    }
}
