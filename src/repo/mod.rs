//! The repository at hand: commits, versions and differences, as git has them.

mod changes;
pub mod default_branch;
mod history;
mod ownership;
mod steps;
mod version;

pub use changes::{Compared, default_ticket_pattern};
pub use history::Deepened;
pub use steps::{IsWatched, MOST_STEPS, Step};

use crate::core::record::{Commit, CommitId, Line, Time};
use git2::{ErrorCode, ObjectType, Oid, Repository, Signature};
use regex::Regex;
use std::path::Path;

/// The most that a file of the default branch may hold to be read, in bytes.
const LARGEST_FILE: usize = 1024 * 1024;

/// Why the repository at hand can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// It belongs to another user.
    #[error(
        "the repository at `{0}` belongs to another user; if that is right, run `git config --global --add safe.directory {0}`"
    )]
    Owner(String),
    /// Anything else that git says.
    #[error("git: {0}")]
    Git(String),
}

impl From<git2::Error> for RepoError {
    fn from(error: git2::Error) -> Self {
        RepoError::Git(error.message().to_owned())
    }
}

/// A remote and its addresses, with `url.….insteadOf` applied, as git itself does it.
#[derive(Debug, Clone)]
pub struct RemoteAddress {
    /// Its name.
    pub name: String,
    /// Where git fetches.
    pub url: String,
    /// Where git pushes, if that is another address.
    pub push_url: Option<String>,
}

/// The command line by which git is to reach hosts by SSH (`core.sshCommand`), of this repository or the person.
pub fn ssh_command(checkout: Option<&Checkout>) -> Option<String> {
    let config = match checkout {
        Some(checkout) => checkout.repository.config(),
        None => git2::Config::open_default(),
    };
    config.ok()?.get_string("core.sshCommand").ok().filter(|line| !line.is_empty())
}

/// A repository on this machine, with or without a work tree.
pub struct Checkout {
    repository: Repository,
}

impl Checkout {
    /// The repository at or above a folder; `None` where there is none.
    ///
    /// # Errors
    /// Where there is one that can't be used. `trust_owner`: it may belong to another user.
    pub fn discover(directory: &Path, trust_owner: bool) -> Result<Option<Checkout>, RepoError> {
        match ownership::discover(directory, trust_owner) {
            Ok(repository) => Ok(Some(Checkout { repository })),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) if error.code() == ErrorCode::Owner => Err(RepoError::Owner(directory.display().to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// The git directory that all worktrees share.
    pub fn git_dir(&self) -> &Path {
        self.repository.commondir()
    }

    /// The work tree.
    pub fn work_dir(&self) -> Option<&Path> {
        self.repository.workdir()
    }

    /// The commit that is checked out.
    pub fn head(&self) -> Option<CommitId> {
        commit_id(self.repository.head().ok()?.peel_to_commit().ok()?.id())
    }

    /// The branch that is checked out; `None` when detached.
    pub fn branch(&self) -> Option<Line> {
        let head = self.repository.find_reference("HEAD").ok()?;
        let name = head.symbolic_target_bytes()?;
        Line::clean(&String::from_utf8_lossy(name.strip_prefix(b"refs/heads/")?))
    }

    /// The commit that a revision such as `HEAD~1`, a tag or a short id names.
    pub fn resolve(&self, revision: &str) -> Option<CommitId> {
        commit_id(self.repository.revparse_single(revision).ok()?.peel_to_commit().ok()?.id())
    }

    /// What git knows of a commit; `None` where it is not here, as in a shallow clone.
    ///
    /// # Errors
    /// Where the repository is damaged.
    pub fn commit(&self, id: &CommitId) -> Result<Option<Commit>, RepoError> {
        let commit = match self.repository.find_commit(oid(id)?) {
            Ok(commit) => commit,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let author = commit.author();
        Ok(Some(Commit {
            sha: id.clone(),
            title: commit.summary_bytes().and_then(|title| Line::clean(&String::from_utf8_lossy(title))),
            author: Line::clean(&String::from_utf8_lossy(author.name_bytes())),
            authored_at: Time::from_timestamp(author.when().seconds()),
            branch: None,
            tag: None,
            newer: Default::default(),
        }))
    }

    /// The version that git knows for a commit: a tag, else `git describe`, where history allows it to be right.
    pub fn version_of(&self, id: &CommitId) -> Option<String> {
        version::of(&self.repository, oid(id).ok()?)
    }

    /// What is new in `to` since `previous`. `path` is the project's, for its merge requests.
    ///
    /// # Errors
    /// Where the repository is damaged. What a shallow clone does not have is marked `incomplete`.
    pub fn compare(
        &self,
        previous: &CommitId,
        to: &CommitId,
        tickets: &Regex,
        path: Option<&str>,
    ) -> Result<Compared, RepoError> {
        changes::between(&self.repository, oid(previous)?, oid(to)?, tickets, path)
    }

    /// How the branch came to `to` from `previous`, the oldest step first; only the last where nothing came before. `None` where
    /// there are more than [`MOST_STEPS`], or history does not go back that far.
    ///
    /// # Errors
    /// Where the repository is damaged.
    pub fn steps(
        &self,
        previous: Option<&CommitId>,
        to: &CommitId,
        is_watched: IsWatched,
    ) -> Result<Option<Vec<Step>>, RepoError> {
        steps::between(&self.repository, previous.map(oid).transpose()?, oid(to)?, is_watched)
    }

    /// All files of a commit, relative to the top; `None` where it is not here.
    ///
    /// # Errors
    /// Where the repository is damaged.
    pub fn all_paths(&self, commit: &CommitId) -> Result<Option<Vec<String>>, RepoError> {
        changes::all(&self.repository, oid(commit)?)
    }

    /// The addresses of a commit's author and committer.
    pub fn addresses(&self, commit: &CommitId) -> Vec<String> {
        let Some(commit) = oid(commit).ok().and_then(|id| self.repository.find_commit(id).ok()) else { return Vec::new() };
        let address = |person: &Signature| String::from_utf8_lossy(person.email_bytes()).to_lowercase();
        let mut addresses = vec![address(&commit.author()), address(&commit.committer())];
        addresses.dedup();
        addresses
    }

    /// What a trailer (git-interpret-trailers(1)) says in a commit's message.
    pub fn trailer(&self, commit: &CommitId, name: &str) -> Option<String> {
        trailer(&self.repository.find_commit(oid(commit).ok()?).ok()?, name)
    }

    /// What it says in the commit that a merge brings.
    pub fn merged_trailer(&self, commit: &CommitId, name: &str) -> Option<String> {
        let commit = self.repository.find_commit(oid(commit).ok()?).ok()?;
        commit.parents().skip(1).find_map(|commit| trailer(&commit, name))
    }

    /// The branches whose newest commit this is, here and at `origin`.
    pub fn branches_at(&self, commit: &CommitId) -> Vec<String> {
        let (Ok(id), Ok(references)) = (oid(commit), self.repository.references_glob("refs/*")) else { return Vec::new() };
        let name = |reference: git2::Reference| {
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            let branch = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/remotes/origin/"))?;
            (reference.target() == Some(id)).then(|| branch.to_owned())
        };
        references.flatten().filter_map(name).collect()
    }

    /// The person's address, as git's configuration has it.
    pub fn user_address(&self) -> Option<String> {
        self.repository.config().ok()?.get_string("user.email").ok().filter(|address| !address.is_empty())
    }

    /// Whether a commit comes before what the default branch or this one had at the server when it was fetched last.
    pub fn is_behind(&self, commit: &CommitId, branch: Option<&str>) -> bool {
        let names = ["HEAD", "main", "master"].into_iter().chain(branch);
        let tips = names.filter_map(|name| self.resolve(&format!("refs/remotes/origin/{name}")));
        tips.into_iter().any(|tip| tip != *commit && self.contains(tip.as_str(), commit))
    }

    /// The person's name, as git's configuration has it.
    pub fn user_name(&self) -> Option<Line> {
        let name = self.repository.config().ok()?.get_string("user.name").ok()?;
        Line::clean(&name)
    }

    /// Git's signing key, where it is an SSH key (`gpg.format ssh`).
    pub fn signing_key(&self) -> Option<String> {
        let config = self.repository.config().ok()?;
        if config.get_string("gpg.format").ok()? != "ssh" {
            return None;
        }
        config.get_string("user.signingkey").ok().filter(|key| !key.is_empty())
    }

    /// Name and commit of the default branch: what `origin` calls so, else `main` or `master`, there before here; where there is
    /// none of these, the branch that is checked out.
    pub fn default_branch_commit(&self) -> Option<(String, CommitId)> {
        let names = [
            "refs/remotes/origin/HEAD",
            "refs/remotes/origin/main",
            "refs/remotes/origin/master",
            "refs/heads/main",
            "refs/heads/master",
            "HEAD",
        ];
        let head = names.iter().find_map(|name| self.repository.find_reference(name).ok()?.resolve().ok())?;
        let name = String::from_utf8_lossy(head.shorthand_bytes()).into_owned();
        Some((name, commit_id(head.peel_to_commit().ok()?.id())?))
    }

    /// Name and commit of the default branch at `origin`, as it was fetched last.
    pub fn fetched_default_branch(&self) -> Option<(String, CommitId)> {
        let names = ["HEAD", "main", "master"];
        names.iter().find_map(|name| Some((format!("origin/{name}"), self.resolve(&format!("refs/remotes/origin/{name}"))?)))
    }

    /// The content of a file in a commit; `None` where there is no such regular file.
    ///
    /// # Errors
    /// Where it is larger than 1 MiB, or the repository is damaged.
    pub fn read_file(&self, commit: &CommitId, path: &str) -> Result<Option<Vec<u8>>, RepoError> {
        read_file(&self.repository, oid(commit)?, path)
    }

    /// Whether a commit and its files are here.
    pub fn has(&self, commit: &CommitId) -> bool {
        oid(commit).is_ok_and(|id| self.repository.find_commit(id).and_then(|commit| commit.tree()).is_ok())
    }

    /// The commit at which a branch of this repository stands.
    pub fn branch_commit(&self, branch: &str) -> Option<CommitId> {
        commit_id(self.repository.refname_to_id(&format!("refs/heads/{branch}")).ok()?)
    }

    /// Whether a revision is this commit or comes after it.
    pub fn contains(&self, revision: &str, commit: &CommitId) -> bool {
        let Some(revision) = self.resolve(revision) else { return false };
        let ids = oid(&revision).and_then(|revision| Ok((revision, oid(commit)?)));
        ids.is_ok_and(|(one, other)| one == other || self.repository.graph_descendant_of(one, other).unwrap_or(false))
    }

    /// The name of a remote, `origin` before others.
    pub fn first_remote(&self) -> Option<String> {
        let remotes = self.repository.remotes().ok()?;
        let names: Vec<_> = remotes.iter().filter_map(|name| name.ok().flatten()).collect();
        let name = names.iter().find(|name| **name == "origin").or(names.first())?;
        Some((*name).to_owned())
    }

    /// The remote from which this branch was fetched.
    pub fn remote_with_branch(&self, branch: &str) -> Option<RemoteAddress> {
        let remotes = self.repository.remotes().ok()?;
        let names = remotes.iter().filter_map(|name| name.ok().flatten());
        let has_branch = |name: &&str| self.repository.find_reference(&format!("refs/remotes/{name}/{branch}")).is_ok();
        let name = names.into_iter().find(has_branch)?;
        let remote = self.repository.find_remote(name).ok()?;
        let push_url = remote.pushurl().ok().flatten().map(str::to_owned);
        Some(RemoteAddress { name: name.to_owned(), url: remote.url().ok()?.to_owned(), push_url })
    }

    /// The project's path, as `origin` has it: `grp/app` of `git@gitlab.example:grp/app.git`. `None` for a folder.
    pub fn project_path(&self) -> Option<String> {
        let url = self.remote_url("origin")?;
        let path = match url::Url::parse(&url) {
            Ok(url) if url.has_host() => url.path().to_owned(),
            Ok(_) => return None,
            Err(_) => url.split_once(':').filter(|(host, _)| host.contains('@'))?.1.to_owned(),
        };
        let path = path.trim_matches('/');
        Some(path.strip_suffix(".git").unwrap_or(path).to_owned()).filter(|path| !path.is_empty())
    }

    /// The address of `origin` as it was written into the configuration, without `url.….insteadOf`: in a job, the runner wrote it.
    pub fn origin(&self) -> Option<String> {
        self.repository.config().ok()?.get_string("remote.origin.url").ok().filter(|url| !url.is_empty())
    }

    /// The address of a remote, with `url.….insteadOf` applied; it may hold a password.
    pub fn remote_url(&self, name: &str) -> Option<String> {
        let remote = self.repository.find_remote(name).ok()?;
        remote.url().ok().map(str::to_owned)
    }
}

fn trailer(commit: &git2::Commit, name: &str) -> Option<String> {
    let trailers = git2::message_trailers_bytes(commit.message_raw_bytes()).ok()?;
    let found = trailers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
    let value = found.map(|(_, value)| String::from_utf8_lossy(value).trim().to_owned());
    value.filter(|value| !value.is_empty())
}

fn read_file(repository: &Repository, commit: Oid, path: &str) -> Result<Option<Vec<u8>>, RepoError> {
    let tree = repository.find_commit(commit)?.tree()?;
    let entry = match tree.get_path(Path::new(path)) {
        Ok(entry) if entry.kind() == Some(ObjectType::Blob) && entry.filemode() != 0o120_000 => entry,
        Ok(_) => return Ok(None),
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let blob = repository.find_blob(entry.id())?;
    if blob.size() > LARGEST_FILE {
        return Err(RepoError::Git(format!("`{path}` is larger than 1 MiB")));
    }
    Ok(Some(blob.content().to_vec()))
}

fn oid(id: &CommitId) -> Result<Oid, git2::Error> {
    Oid::from_str(id.as_str())
}

fn commit_id(id: Oid) -> Option<CommitId> {
    CommitId::new(id.to_string()).ok()
}
