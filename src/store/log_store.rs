//! The log's branch, wherever it is.

use super::objects::{self, CommitSigner, NewCommit};
use super::reader::LogReader;
use super::{PublishError, StoreError};
use crate::core::log::entry::{CommitSignature, RawEntry};
use crate::core::record::CommitId;
use crate::git::{Advertised, GitRemote, PushError};
use crate::http::Deadline;
use chrono::{DateTime, Utc};
use git2::{ErrorClass, ErrorCode, Oid, Repository};
use std::path::Path;
use tempfile::TempDir;

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
    repository: Repository,
    branch: String,
    reference: String,
    remote: Option<GitRemote>,
    is_read_only: bool,
    /// Where the objects of a remote log are, as long as we work on it.
    _scratch: Option<TempDir>,
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
        let reference = format!("refs/heads/{branch}");
        LogStore { repository, branch: branch.to_owned(), reference, remote: None, is_read_only: false, _scratch: None }
    }

    /// Whether it can be appended to: not while the branch is checked out, since the files there would not follow.
    ///
    /// # Errors
    /// Says what to do.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        let head = self.repository.find_reference("HEAD").ok();
        let checked_out = head.and_then(|head| head.symbolic_target().ok().flatten().map(str::to_owned));
        if self.remote.is_some() || self.repository.is_bare() || checked_out.as_deref() != Some(self.reference.as_str()) {
            return Ok(());
        }
        let problem = format!("the branch `{}` is checked out there; switch to another branch first", self.branch);
        Err(StoreError::Repository { log: self.description(), problem })
    }

    /// What the last `git fetch` brought of a remote's branch: for reading only, nothing can be published to it.
    ///
    /// # Errors
    /// Where the repository can't be opened.
    pub fn tracking(path: &Path, remote: &str, branch: &str) -> Result<Self, StoreError> {
        let mut store = LogStore::local(path, branch)?;
        store.reference = format!("refs/remotes/{remote}/{branch}");
        store.is_read_only = true;
        Ok(store)
    }

    /// The branch in a repository behind HTTP(S), fetched into a scratch repository that goes with this value.
    ///
    /// # Errors
    /// Where no scratch repository can be made.
    pub fn remote(remote: GitRemote, branch: &str) -> Result<Self, StoreError> {
        let problem = |error: String| StoreError::Repository { log: "a scratch repository".to_owned(), problem: error };
        let scratch =
            tempfile::Builder::new().prefix("deploy-record.").tempdir().map_err(|error| problem(error.to_string()))?;
        let repository = Repository::init_bare(scratch.path()).map_err(|error| problem(error.message().to_owned()))?;
        let reference = format!("refs/heads/{branch}");
        let (remote, scratch) = (Some(remote), Some(scratch));
        Ok(LogStore { repository, branch: branch.to_owned(), reference, remote, is_read_only: false, _scratch: scratch })
    }

    /// The log in words: `branch deploy-log of https://…`.
    pub fn description(&self) -> String {
        let place = match &self.remote {
            Some(remote) => remote.url().to_owned(),
            None => self.repository.path().display().to_string(),
        };
        format!("branch `{}` of {place}", self.branch)
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
        let tip = match &self.remote {
            None => self.local_tip().map_err(|error| self.broken(&error))?,
            Some(remote) => {
                let depth = match depth {
                    Depth::Commits(commits) => commits,
                    Depth::All => i32::MAX,
                };
                let choose = |advertised: &Advertised| match advertised.get(&self.reference) {
                    Some(_) => vec![format!("+{0}:{0}", self.reference)],
                    None => Vec::new(),
                };
                let advertised = remote.fetch(&self.repository, depth, deadline, choose);
                let source = |source| StoreError::Unreachable { log: self.description(), source };
                // what was fetched is what the reference says now; the offer is only older
                match advertised.map_err(source)?.get(&self.reference) {
                    Some(_) => self.local_tip().map_err(|error| self.broken(&error))?,
                    None => None,
                }
            }
        };
        tip.map(|tip| objects::commit_id(tip).map_err(|error| self.broken(&error))).transpose()
    }

    /// One commit of the branch.
    ///
    /// # Errors
    /// Where it is not at hand or damaged.
    pub fn read(&self, commit: &CommitId) -> Result<RawEntry, StoreError> {
        self.oid(commit).and_then(|id| objects::read(&self.repository, id)).map_err(|error| self.broken(&error))
    }

    /// The bytes of a commit's `state.json`, empty where there is none.
    ///
    /// # Errors
    /// As [`LogStore::read`].
    pub fn read_state(&self, commit: &CommitId) -> Result<Vec<u8>, StoreError> {
        self.oid(commit).and_then(|id| objects::state(&self.repository, id)).map_err(|error| self.broken(&error))
    }

    /// A commit's own signature, if it has one.
    ///
    /// # Errors
    /// As [`LogStore::read`].
    pub fn read_signature(&self, commit: &CommitId) -> Result<Option<CommitSignature>, StoreError> {
        self.oid(commit).and_then(|id| objects::signature(&self.repository, id)).map_err(|error| self.broken(&error))
    }

    /// A second hand on what is here, for another thread.
    ///
    /// # Errors
    /// Where the repository can't be opened again.
    pub fn reader(&self) -> Result<LogReader, StoreError> {
        LogReader::open(self.repository.path(), self.description()).map_err(|error| self.broken(&error))
    }

    /// Whether a commit is at hand.
    pub fn has(&self, commit: &CommitId) -> bool {
        self.oid(commit).is_ok_and(|id| self.repository.find_commit(id).is_ok())
    }

    /// The commits of the branch, from the oldest to the tip, along their first parents.
    pub fn history(&self, tip: &CommitId) -> History {
        let mut history = History { commits: Vec::new(), recoveries: Vec::new(), broken: None };
        let mut next = Some(tip.clone());
        while let Some(commit) = next {
            next = match self.oid(&commit).and_then(|id| objects::link(&self.repository, id)) {
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
        Ok(objects::commit_id(objects::write(&self.repository, new, base, sign)?)?)
    }

    /// Moves the branch from `base` to `commit`, and only from there.
    ///
    /// # Errors
    /// Tells apart what certainly did not happen from what may have.
    pub fn publish(&self, commit: &CommitId, base: Option<&CommitId>, deadline: Deadline) -> Result<(), PublishError> {
        let oid = |id: &CommitId| self.oid(id).map_err(|error| PublishError::NotSent(self.broken(&error)));
        let (commit, base) = (oid(commit)?, base.map(oid).transpose()?);
        let Some(remote) = &self.remote else { return self.publish_here(commit, base) };
        remote.push(&self.repository, commit, &self.reference, base, deadline).map_err(|error| match error {
            PushError::Conflict => PublishError::Conflict,
            PushError::Refused(words) => PublishError::Refused(words),
            PushError::NotSent(source) => PublishError::NotSent(StoreError::Unreachable { log: self.description(), source }),
            PushError::Unknown(error) => PublishError::Unknown(error),
        })
    }

    fn publish_here(&self, commit: Oid, base: Option<Oid>) -> Result<(), PublishError> {
        if self.is_read_only {
            let problem = "it is only a copy of a remote's branch".to_owned();
            return Err(PublishError::NotSent(StoreError::Repository { log: self.description(), problem }));
        }
        // libgit2 holds the reference's lock file while it compares and writes, so that this is a compare-and-swap; the zero id
        // means that there must be none yet
        let base = base.unwrap_or(Oid::ZERO_SHA1);
        match self.repository.reference_matching(&self.reference, commit, true, base, "deploy-record: append") {
            Ok(_) => Ok(()),
            Err(error) => Err(match error.code() {
                ErrorCode::Modified | ErrorCode::Exists | ErrorCode::NotFound => PublishError::Conflict,
                ErrorCode::Locked => {
                    let lock = self.repository.commondir().join(format!("{}.lock", self.reference));
                    PublishError::Locked(lock.display().to_string())
                }
                _ => PublishError::NotSent(self.broken(&error)),
            }),
        }
    }

    fn local_tip(&self) -> Result<Option<Oid>, git2::Error> {
        match self.repository.refname_to_id(&self.reference) {
            Ok(tip) => Ok(Some(tip)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn oid(&self, commit: &CommitId) -> Result<Oid, git2::Error> {
        Oid::from_str(commit.as_str())
    }

    fn broken(&self, error: &git2::Error) -> StoreError {
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
