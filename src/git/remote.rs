//! A remote repository: what it has, fetching from it, pushing to it.

use super::route::{Route, Way};
use super::smart_http::{HttpWay, Login};
use super::smart_ssh::SshWay;
use super::ssh::{Ssh, SshAddress};
use crate::http::{self, Deadline, FEW_TRIES, Http, RemoteError};
use chrono::{DateTime, Utc};
use git2::{
    AutotagOption, Direction, ErrorClass, ErrorCode, FetchOptions, Oid, PushOptions, Remote, RemoteCallbacks, Repository,
};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// A remote repository, by its address.
#[derive(Debug)]
pub struct GitRemote {
    url: String,
    route: Arc<Route>,
    takes_push_options: Cell<bool>,
}

/// What a remote offers.
#[derive(Debug, Clone, Default)]
pub struct Advertised {
    /// The branch that `HEAD` names, such as `refs/heads/main`.
    pub default_branch: Option<String>,
    /// Its references and where they point.
    pub references: Vec<(String, Oid)>,
}

impl Advertised {
    /// Where a reference points.
    pub fn get(&self, name: &str) -> Option<Oid> {
        self.references.iter().find(|(known, _)| known == name).map(|(_, oid)| *oid)
    }
}

/// Why a push did not, or may not, have gone through.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Somebody else was faster: certain that nothing changed.
    #[error("the branch moved meanwhile")]
    Conflict,
    /// The server said no: certain that nothing changed.
    #[error("the server refused the push: {0}")]
    Refused(String),
    /// The server could not be asked: certain that nothing changed.
    #[error("{0}")]
    NotSent(RemoteError),
    /// The push was sent and no verdict came back: it may have gone through or not.
    #[error("the push was sent, and then: {0}")]
    Unknown(RemoteError),
}

/// The most that is kept of what a server says beside its verdict, in bytes.
const LONGEST_REMARKS: usize = 2048;

/// Words by which servers say that a reference moved between the offer and the update.
const CONFLICTS: &[&str] = &[
    "failed to update ref",
    "cannot lock ref",
    "reference already exists",
    "fetch first",
    "non-fast-forward",
    "non fast forward",
    "stale info",
    "incorrect old value",
];

impl GitRemote {
    /// A remote at this HTTP(S) address, which holds no credentials.
    ///
    /// # Errors
    /// Where libgit2 refuses the transport.
    pub fn http(url: &str, http: Arc<Http>, login: Login) -> Result<Self, git2::Error> {
        GitRemote::new(url, Way::Http(Arc::new(HttpWay::new(url, http, login))))
    }

    /// A remote at this SSH address, reached by this program.
    ///
    /// # Errors
    /// Where libgit2 refuses the transport.
    pub fn ssh(address: &SshAddress, ssh: Ssh) -> Result<Self, git2::Error> {
        GitRemote::new(&address.to_string(), Way::Ssh(Arc::new(SshWay::new(address.clone(), ssh))))
    }

    fn new(url: &str, way: Way) -> Result<Self, git2::Error> {
        Ok(GitRemote { url: url.to_owned(), route: Route::new(way)?, takes_push_options: Cell::new(true) })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server's clock as of its last answer.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        self.route.server_time()
    }

    /// Fetches what `choose` picks from what the remote offers, as refspecs, to a depth of so many commits (`i32::MAX`: all).
    /// What may go well in a moment is tried again until the deadline.
    ///
    /// # Errors
    /// What went wrong on the way.
    pub fn fetch(
        &self,
        repository: &Repository,
        depth: i32,
        deadline: Deadline,
        choose: impl Fn(&Advertised) -> Vec<String>,
    ) -> Result<Advertised, RemoteError> {
        let mut tries = 0;
        loop {
            self.route.begin(deadline);
            let failure = match self.try_fetch(repository, depth, &choose) {
                Ok(advertised) => return Ok(advertised),
                Err(error) => self.failure(&error),
            };
            tries += 1;
            let pause = http::pause(tries);
            let most = match failure {
                RemoteError::Nonsense(_) => FEW_TRIES,
                // nobody listens, or there is no network: a laptop should not have to wait for the time limit
                RemoteError::Connect(_) => 2 * FEW_TRIES,
                _ => u32::MAX,
            };
            if !failure.is_transient() || tries >= most || deadline.remaining() <= pause {
                return Err(failure);
            }
            std::thread::sleep(pause);
        }
    }

    fn try_fetch(
        &self,
        repository: &Repository,
        depth: i32,
        choose: &impl Fn(&Advertised) -> Vec<String>,
    ) -> Result<Advertised, git2::Error> {
        let mut remote = repository.remote_anonymous(self.route.address())?;
        let mut connection = remote.connect_auth(Direction::Fetch, None, None)?;
        let advertised = advertised(connection.remote())?;
        let refspecs = choose(&advertised);
        if !refspecs.is_empty() {
            let mut options = FetchOptions::new();
            options.depth(depth).download_tags(AutotagOption::None).update_fetchhead(false);
            connection.remote().fetch(&refspecs, Some(&mut options), None)?;
        }
        Ok(advertised)
    }

    /// Pushes a commit to a branch, without force, and only where the branch still stands at `expected`
    /// (`None`: does not exist).
    ///
    /// # Errors
    /// Tells apart what certainly did not happen from what may have.
    pub fn push(
        &self,
        repository: &Repository,
        commit: Oid,
        branch: &str,
        expected: Option<Oid>,
        deadline: Deadline,
    ) -> Result<(), PushError> {
        self.route.begin(deadline);
        let verdict = Verdict::default();
        let refspec = format!("{commit}:{branch}");
        let mut pushed = self.try_push(repository, &refspec, expected, &verdict);
        if pushed.as_ref().is_err_and(|error| error.message().contains("push-options not supported")) {
            self.takes_push_options.set(false);
            pushed = self.try_push(repository, &refspec, expected, &verdict);
        }
        match (pushed, verdict.reported.into_inner()) {
            (_, Some(Some(refusal))) => Err(classify(&refusal, &verdict.remarks.into_inner())),
            (Ok(()), Some(None)) => Ok(()),
            (Ok(()), None) => Err(PushError::Unknown(RemoteError::Nonsense("it reported no verdict on the branch".to_owned()))),
            (Err(_), _) if verdict.moved.get() => Err(PushError::Conflict),
            (Err(error), _) if error.code() == ErrorCode::NotFastForward => Err(PushError::Conflict),
            (Err(error), _) => Err(self.push_failure(&error)),
        }
    }

    fn try_push(
        &self,
        repository: &Repository,
        refspec: &str,
        expected: Option<Oid>,
        verdict: &Verdict,
    ) -> Result<(), git2::Error> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.push_update_reference(|_, status| {
            verdict.reported.replace(Some(status.map(str::to_owned)));
            Ok(())
        });
        callbacks.sideband_progress(|bytes| {
            let mut remarks = verdict.remarks.borrow_mut();
            if remarks.len() < LONGEST_REMARKS {
                remarks.push_str(&String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_REMARKS)]));
            }
            true
        });
        callbacks.push_negotiation(|updates| {
            // libgit2 would create a branch anew that was deleted since the fetch
            if updates.iter().all(|update| update.src() == expected.unwrap_or(Oid::ZERO_SHA1)) {
                return Ok(());
            }
            verdict.moved.set(true);
            Err(git2::Error::from_str("the branch moved meanwhile"))
        });
        let mut options = PushOptions::new();
        options.remote_callbacks(callbacks);
        if self.takes_push_options.get() {
            // GitLab starts no pipeline for a push with this option (docs.gitlab.com, "Push options")
            options.remote_push_options(&["ci.skip"]);
        }
        repository.remote_anonymous(self.route.address())?.push(&[refspec], Some(&mut options))
    }

    fn failure(&self, error: &git2::Error) -> RemoteError {
        self.route.failure().unwrap_or_else(|| match error.class() {
            ErrorClass::Os | ErrorClass::Filesystem => RemoteError::Here(error.message().to_owned()),
            _ => RemoteError::Nonsense(error.message().to_owned()),
        })
    }

    fn push_failure(&self, error: &git2::Error) -> PushError {
        let failure = self.failure(error);
        match self.route.push_was_sent() {
            true => PushError::Unknown(failure),
            false => PushError::NotSent(failure),
        }
    }
}

#[derive(Default)]
struct Verdict {
    /// The server's word on the branch: `Some(None)` is yes, `Some(Some(_))` is no.
    reported: RefCell<Option<Option<String>>>,
    remarks: RefCell<String>,
    moved: Cell<bool>,
}

fn advertised(remote: &Remote<'_>) -> Result<Advertised, git2::Error> {
    let default_branch = remote.default_branch().ok().and_then(|name| name.as_str().ok().map(str::to_owned));
    let references = remote.list()?.iter().map(|head| (head.name().to_owned(), head.oid())).collect();
    Ok(Advertised { default_branch, references })
}

fn classify(refusal: &str, remarks: &str) -> PushError {
    // only the report's own words count: a hook may print anything
    let reason = refusal.to_lowercase();
    if CONFLICTS.iter().any(|words| reason.contains(words)) {
        return PushError::Conflict;
    }
    let remarks: Vec<_> = remarks.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if remarks.is_empty() {
        return PushError::Refused(refusal.to_owned());
    }
    PushError::Refused(format!("{refusal}: {}", remarks.join(" ")))
}
