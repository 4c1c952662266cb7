//! The log's branch, wherever it is.

use super::cache::Cache;
use super::log_reader::LogReader;
use super::objects::{self, CommitSigner, NewCommit};
use super::reader::{OnNotice, Reader, Rewound};
use super::turn::Turn;
use super::{PublishError, StoreError};
use crate::core::log::entry::{CommitSignature, RawEntry};
use crate::core::record::CommitId;
use crate::git::{Advertised, GitRemote, PushError};
use crate::http::{Deadline, RemoteError};
use crate::scratch::Scratch;
use chrono::{DateTime, SecondsFormat, Utc};
use git2::{ErrorClass, ErrorCode, Oid, Repository};
use std::cell::{Ref, RefCell, RefMut};
use std::path::{Path, PathBuf};

/// How much of the branch is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// So many commits from the tip.
    Commits(i32),
    /// All of it.
    All,
}

/// The commits of the branch, the oldest first.
#[derive(Debug)]
pub struct History {
    /// Those that can be read.
    pub commits: Vec<CommitId>,
    /// Those among them whose subject is a recovery's.
    pub recoveries: Vec<CommitId>,
    /// The one before them that can't.
    pub broken: Option<(CommitId, StoreError)>,
}

/// The branch that holds the log.
pub struct LogStore {
    place: RefCell<Place>,
    pub(super) branch: String,
    remote: Option<GitRemote>,
    /// How a log is read that can't be appended to from here.
    pub(super) reader: Option<Reader>,
}

/// Where the log's objects are.
pub(super) struct Place {
    pub(super) repository: Repository,
    pub(super) reference: String,
    pub(super) cache: Option<Cache>,
    /// Where the objects of a remote log are, as long as we work on it.
    pub(super) _scratch: Option<Scratch>,
}

impl Place {
    /// An empty repository that goes with this value.
    pub(super) fn scratch(branch: &str) -> Result<Self, StoreError> {
        let problem = |error: String| StoreError::Repository { log: "a scratch repository".to_owned(), problem: error };
        let scratch = Scratch::make().map_err(|error| problem(error.to_string()))?;
        let repository = Repository::init_bare(scratch.path()).map_err(|error| problem(error.message().to_owned()))?;
        Ok(Place { repository, reference: format!("refs/heads/{branch}"), cache: None, _scratch: Some(scratch) })
    }
}

impl LogStore {
    /// The branch in a repository on this machine, read and updated in place.
    ///
    /// # Errors
    /// Where the repository can't be opened.
    pub fn local(path: &Path, branch: &str) -> Result<Self, StoreError> {
        let problem = |problem: String| StoreError::Repository { log: format!("the log at `{}`", path.display()), problem };
        let repository = Repository::open(path).map_err(|error| problem(explain(&error, path)))?;
        Ok(LogStore::of(repository, branch))
    }

    /// The branch in an opened repository.
    pub fn of(repository: Repository, branch: &str) -> Self {
        let place = Place { repository, reference: format!("refs/heads/{branch}"), cache: None, _scratch: None };
        LogStore { place: RefCell::new(place), branch: branch.to_owned(), remote: None, reader: None }
    }

    /// The branch in a repository on a server, fetched into a scratch repository that goes with this value.
    ///
    /// # Errors
    /// Where no scratch repository can be made.
    pub fn remote(remote: GitRemote, branch: &str) -> Result<Self, StoreError> {
        let place = RefCell::new(Place::scratch(branch)?);
        Ok(LogStore { place, branch: branch.to_owned(), remote: Some(remote), reader: None })
    }

    /// The same for reading only: through a copy on this machine, if there may be one, which stands for the log where the
    /// server can't be reached. `fetched` names a repository and its remote from which git has fetched the branch: what is
    /// read where there is no copy either.
    ///
    /// # Errors
    /// Where no scratch repository can be made.
    pub fn cached(
        remote: GitRemote,
        branch: &str,
        cache: Option<Cache>,
        fetched: Option<(PathBuf, String)>,
        on_notice: OnNotice,
    ) -> Result<Self, StoreError> {
        let reference = format!("refs/heads/{branch}");
        let place = match cache.and_then(|cache| Some((cache.repository().ok()?, cache))) {
            Some((repository, cache)) => Place { repository, reference, cache: Some(cache), _scratch: None },
            None => Place::scratch(branch)?,
        };
        let reader = Some(Reader::new(on_notice, fetched));
        Ok(LogStore { place: RefCell::new(place), branch: branch.to_owned(), remote: Some(remote), reader })
    }

    pub(super) fn place(&self) -> Ref<'_, Place> {
        self.place.borrow()
    }

    pub(super) fn place_mut(&self) -> RefMut<'_, Place> {
        self.place.borrow_mut()
    }

    /// That the log no longer holds the newest record that was seen on this machine.
    pub fn rewound(&self) -> Option<Rewound> {
        self.reader.as_ref().and_then(Reader::rewound)
    }

    /// Whether it can be appended to: not while the branch is checked out, since the files there would not follow.
    ///
    /// # Errors
    /// Says what to do.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        let place = self.place();
        let head = place.repository.find_reference("HEAD").ok();
        let checked_out = head.and_then(|head| head.symbolic_target().ok().flatten().map(str::to_owned));
        if self.remote.is_some() || place.repository.is_bare() || checked_out.as_deref() != Some(place.reference.as_str()) {
            return Ok(());
        }
        let problem = format!("the branch `{}` is checked out there; switch to another branch first", self.branch);
        Err(StoreError::Repository { log: self.description(), problem })
    }

    /// The log in words: `branch deploy-log of https://…`.
    pub fn description(&self) -> String {
        let place = match &self.remote {
            Some(remote) => remote.url().to_owned(),
            None => self.place().repository.path().display().to_string(),
        };
        let as_of = self.reader.as_ref().and_then(Reader::as_of);
        let as_of = as_of.map(|time| format!(" as of {}", time.to_rfc3339_opts(SecondsFormat::Secs, true)));
        format!("branch `{}` of {place}{}", self.branch, as_of.unwrap_or_default())
    }

    /// The branch's name.
    pub fn branch(&self) -> &str {
        &self.branch
    }

    /// The server's clock as of its last answer; `None` for a log on this machine.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        self.remote.as_ref().and_then(GitRemote::server_time)
    }

    /// The tip as it is now, with that much history at hand; `None` where the branch does not exist.
    ///
    /// # Errors
    /// Where the log can't be reached or read.
    pub fn fetch(&self, depth: Depth, deadline: Deadline) -> Result<Option<CommitId>, StoreError> {
        match (&self.remote, &self.reader) {
            (_, Some(reader)) => self.fetch_to_read(reader, depth, deadline),
            (Some(_), None) => self.fetch_from_server(depth, deadline).map_err(|source| self.unreachable(source)),
            (None, None) => {
                let tip = self.local_tip().map_err(|error| self.broken(&error))?;
                tip.map(|tip| objects::commit_id(tip).map_err(|error| self.broken(&error))).transpose()
            }
        }
    }

    pub(super) fn fetch_from_server(&self, depth: Depth, deadline: Deadline) -> Result<Option<CommitId>, RemoteError> {
        let Some(remote) = &self.remote else { return Ok(None) };
        let depth = match depth {
            Depth::Commits(commits) => commits,
            Depth::All => i32::MAX,
        };
        let place = self.place();
        let choose = |advertised: &Advertised| match advertised.get(&place.reference) {
            Some(_) => vec![format!("+{0}:{0}", place.reference)],
            None => Vec::new(),
        };
        let here = |error: git2::Error| RemoteError::Here(error.message().to_owned());
        // what was fetched is what the reference says now; the offer is only older
        match remote.fetch(&place.repository, depth, deadline, choose)?.get(&place.reference) {
            Some(_) => self.local_tip().and_then(|tip| tip.map(objects::commit_id).transpose()).map_err(here),
            None => Ok(None),
        }
    }

    pub(super) fn unreachable(&self, source: RemoteError) -> StoreError {
        StoreError::Unreachable { log: self.description(), source }
    }

    /// Reads; what a copy can't give is fetched again.
    fn reading<T>(&self, read: impl Fn(&Repository) -> Result<T, git2::Error>) -> Result<T, StoreError> {
        let result = read(&self.place().repository);
        let result = match result {
            Err(_) if self.read_anew() => read(&self.place().repository),
            result => result,
        };
        result.map_err(|error| self.broken(&error))
    }

    /// The first parent, as the commit itself names it, and whether its subject is a recovery's.
    pub(super) fn link(&self, commit: &CommitId) -> Result<(Option<CommitId>, bool), git2::Error> {
        objects::link(&self.place().repository, self.oid(commit)?)
    }

    /// The first parent, as the commit itself names it.
    pub(super) fn parent(&self, commit: &CommitId) -> Result<Option<CommitId>, git2::Error> {
        Ok(self.link(commit)?.0)
    }

    /// One commit of the branch.
    ///
    /// # Errors
    /// Where it is not at hand or damaged.
    pub fn read(&self, commit: &CommitId) -> Result<RawEntry, StoreError> {
        self.reading(|repository| objects::read(repository, self.oid(commit)?))
    }

    /// The bytes of a commit's `state.json`, empty where there is none.
    ///
    /// # Errors
    /// As [`LogStore::read`].
    pub fn read_state(&self, commit: &CommitId) -> Result<Vec<u8>, StoreError> {
        self.reading(|repository| objects::state(repository, self.oid(commit)?))
    }

    /// A commit's own signature, if it has one.
    ///
    /// # Errors
    /// As [`LogStore::read`].
    pub fn read_signature(&self, commit: &CommitId) -> Result<Option<CommitSignature>, StoreError> {
        self.reading(|repository| objects::signature(repository, self.oid(commit)?))
    }

    /// A second hand on what is here, for another thread.
    ///
    /// # Errors
    /// Where the repository can't be opened again.
    pub fn reader(&self) -> Result<LogReader, StoreError> {
        LogReader::open(self.place().repository.path(), self.description()).map_err(|error| self.broken(&error))
    }

    /// Whether a commit is at hand.
    pub fn has(&self, commit: &CommitId) -> bool {
        self.oid(commit).is_ok_and(|id| self.place().repository.find_commit(id).is_ok())
    }

    /// The commits of the branch, from the oldest to the tip, along their first parents.
    pub fn history(&self, tip: &CommitId) -> History {
        let mut history = History { commits: Vec::new(), recoveries: Vec::new(), broken: None };
        let mut next = Some(tip.clone());
        while let Some(commit) = next {
            next = match self.link(&commit) {
                Ok((parent, is_recovery)) => {
                    history.recoveries.extend(is_recovery.then(|| commit.clone()));
                    parent
                }
                Err(error) => {
                    history.broken = Some((commit, self.broken(&error)));
                    break;
                }
            };
            history.commits.push(commit);
        }
        history.commits.reverse();
        history
    }

    /// Makes a signed commit on top of `base`; the branch does not change.
    ///
    /// # Errors
    /// Where objects can't be written (a full disk, no permission), or signing fails.
    pub fn write(&self, new: &NewCommit, base: Option<&CommitId>, sign: &CommitSigner) -> anyhow::Result<CommitId> {
        let base = base.map(|base| self.oid(base)).transpose()?;
        Ok(objects::commit_id(objects::write(&self.place().repository, new, base, sign)?)?)
    }

    /// Moves the branch from `base` to `commit`, and only from there.
    ///
    /// # Errors
    /// Tells apart what certainly did not happen from what may have.
    pub fn publish(&self, commit: &CommitId, base: Option<&CommitId>, deadline: Deadline) -> Result<(), PublishError> {
        let oid = |id: &CommitId| self.oid(id).map_err(|error| PublishError::NotSent(self.broken(&error)));
        let (commit, base) = (oid(commit)?, base.map(oid).transpose()?);
        if self.reader.is_some() {
            let problem = "it was opened for reading".to_owned();
            return Err(PublishError::NotSent(StoreError::Repository { log: self.description(), problem }));
        }
        let Some(remote) = &self.remote else { return self.publish_here(commit, base) };
        let place = self.place();
        remote.push(&place.repository, commit, &place.reference, base, deadline).map_err(|error| match error {
            PushError::Conflict => PublishError::Conflict,
            PushError::Refused(words) => PublishError::Refused(words),
            PushError::NotSent(source) => PublishError::NotSent(StoreError::Unreachable { log: self.description(), source }),
            PushError::Unknown(error) => PublishError::Unknown(error),
        })
    }

    fn publish_here(&self, commit: Oid, base: Option<Oid>) -> Result<(), PublishError> {
        let place = self.place();
        // libgit2 holds the reference's lock file while it compares and writes, so that this is a compare-and-swap; the zero id
        // means that there must be none yet
        let base = base.unwrap_or(Oid::ZERO_SHA1);
        let _turn = Turn::take(&place.repository, &place.reference, commit);
        match place.repository.reference_matching(&place.reference, commit, true, base, "deploy-record: append") {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.code() {
                ErrorCode::Modified | ErrorCode::Exists | ErrorCode::NotFound => PublishError::Conflict,
                ErrorCode::Locked => {
                    let lock = place.repository.commondir().join(format!("{}.lock", place.reference));
                    PublishError::Locked(lock.display().to_string())
                }
                _ => PublishError::NotSent(self.broken(&error)),
            }),
        }
    }

    pub(super) fn local_tip(&self) -> Result<Option<Oid>, git2::Error> {
        let place = self.place();
        match place.repository.refname_to_id(&place.reference) {
            Ok(tip) => Ok(Some(tip)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn oid(&self, commit: &CommitId) -> Result<Oid, git2::Error> {
        Oid::from_str(commit.as_str())
    }

    pub(super) fn broken(&self, error: &git2::Error) -> StoreError {
        if self.place().cache.is_some() && !self.reader.as_ref().is_some_and(Reader::is_fresh) {
            // a copy says nothing about the log
            return StoreError::Missing { log: self.description(), problem: error.message().to_owned() };
        }
        StoreError::of(self.description(), error)
    }
}

fn explain(error: &git2::Error, path: &Path) -> String {
    if error.code() == ErrorCode::Owner {
        let path = path.display();
        return format!("it belongs to another user; if that is right, run `git config --global --add safe.directory {path}`");
    }
    if error.code() == ErrorCode::NotFound || error.class() == ErrorClass::Os {
        return "there is no git repository; make one with `git init --bare`".to_owned();
    }
    error.message().to_owned()
}
