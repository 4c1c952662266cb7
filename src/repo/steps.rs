//! How a branch came from one commit to another: its own commits, each with what it brought.

use super::{RepoError, changes, commit_id};
use crate::core::record::CommitId;
use git2::{Commit, Oid, Repository, TreeWalkMode, TreeWalkResult};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The most commits of a branch that are told one by one.
pub const MOST_STEPS: usize = 1000;

/// A commit of the branch itself: a merge with all that it brought, or a single one.
#[derive(Debug, Clone)]
pub struct Step {
    /// The commit.
    pub sha: CommitId,
    /// When it was committed, in seconds after 1970, as it says itself.
    pub at: i64,
    /// The files that it changed, against the branch before it.
    pub paths: Vec<String>,
    /// The addresses of those who wrote or committed it and what it merged, each once.
    pub addresses: Vec<String>,
    /// What it merged into the branch that is new: its parents but for the first.
    pub merged: Vec<CommitId>,
    /// Of a merge, the files that are not as git by itself merges its parents.
    pub own: Vec<String>,
}

/// A commit that is new.
struct New {
    parents: Vec<Oid>,
    at: i64,
    addresses: [String; 2],
}

/// The steps from one commit to another, the oldest first; only the last where nothing came before. `None` where there are too many,
/// or history does not go back that far.
pub(super) fn between(repository: &Repository, previous: Option<Oid>, to: Oid) -> Result<Option<Vec<Step>>, RepoError> {
    let Some(previous) = previous else {
        let new = HashMap::from([(to, read(repository, to)?)]);
        return steps(repository, &[to], &new, |_| true);
    };
    if repository.find_commit(previous).is_err() {
        return Ok(None);
    }
    let mut walk = repository.revwalk()?;
    walk.push(to)?;
    walk.hide(previous)?;
    let mut new = HashMap::new();
    for id in walk {
        let id = id?;
        new.insert(id, read(repository, id)?);
    }
    let mut branch = Vec::new();
    let mut next = Some(to);
    while let Some((id, commit)) = next.and_then(|id| Some((id, new.get(&id)?))) {
        if branch.len() == MOST_STEPS {
            return Ok(None);
        }
        branch.push(id);
        next = commit.parents.first().copied();
    }
    branch.reverse();
    steps(repository, &branch, &new, |id| new.contains_key(&id))
}

fn read(repository: &Repository, id: Oid) -> Result<New, RepoError> {
    let commit = repository.find_commit(id)?;
    let (author, committer) = (commit.author(), commit.committer());
    let address = |person: &git2::Signature| String::from_utf8_lossy(person.email_bytes()).to_lowercase();
    Ok(New {
        parents: commit.parent_ids().collect(),
        at: commit.time().seconds(),
        addresses: [address(&author), address(&committer)],
    })
}

fn steps(
    repository: &Repository,
    branch: &[Oid],
    new: &HashMap<Oid, New>,
    is_new: impl Fn(Oid) -> bool,
) -> Result<Option<Vec<Step>>, RepoError> {
    let mut told: HashSet<Oid> = branch.iter().copied().collect();
    let mut all = Vec::new();
    for id in branch {
        let Some(sha) = commit_id(*id) else { return Ok(None) };
        let commit = &new[id];
        let paths = match commit.parents.first() {
            Some(parent) => changes::paths(repository, *parent, *id)?,
            None => changes::all(repository, *id)?,
        };
        let Some(paths) = paths else { return Ok(None) };
        let addresses = addresses(*id, new, &mut told);
        let merged = commit.parents.iter().skip(1).copied().filter(|parent| is_new(*parent)).filter_map(commit_id).collect();
        let own = own(repository, *id, &paths)?;
        all.push(Step { sha, at: commit.at, paths, addresses, merged, own });
    }
    Ok(Some(all))
}

/// Which of these files a merge has otherwise than git by itself would merge them. Content that only moved is none of its own:
/// programs find new names differently.
fn own(repository: &Repository, id: Oid, paths: &[String]) -> Result<Vec<String>, RepoError> {
    let commit = repository.find_commit(id)?;
    let parents: Vec<Commit> = commit.parents().collect();
    let (ours, theirs) = match parents.as_slice() {
        [ours, theirs] => (ours, theirs),
        [] | [_] => return Ok(Vec::new()),
        _ => return Ok(paths.to_vec()),
    };
    let index = repository.merge_commits(ours, theirs, None)?;
    let tree = commit.tree()?;
    let mut present = HashSet::new();
    tree.walk(TreeWalkMode::PreOrder, |_, entry| {
        present.insert(entry.id());
        TreeWalkResult::Ok
    })?;
    let merged: HashSet<Oid> = index.iter().filter(|entry| (entry.flags >> 12) & 3 == 0).map(|entry| entry.id).collect();
    let is_own = |path: &&String| {
        let path = Path::new(path.trim_end_matches('/'));
        let expected = index.get_path(path, 0).map(|entry| entry.id);
        match (tree.get_path(path).ok().map(|entry| entry.id()), expected) {
            (Some(is), expected) => Some(is) != expected && !merged.contains(&is),
            (None, Some(expected)) => !present.contains(&expected),
            (None, None) => false,
        }
    };
    Ok(paths.iter().filter(is_own).cloned().collect())
}

/// Who wrote a commit and what it merged, but for what an earlier one brought.
fn addresses(id: Oid, new: &HashMap<Oid, New>, told: &mut HashSet<Oid>) -> Vec<String> {
    let mut addresses: Vec<String> = new[&id].addresses.to_vec();
    let mut waiting: Vec<Oid> = new[&id].parents.iter().skip(1).copied().collect();
    while let Some(id) = waiting.pop() {
        let Some(commit) = new.get(&id).filter(|_| told.insert(id)) else { continue };
        addresses.extend(commit.addresses.iter().cloned());
        waiting.extend(&commit.parents);
    }
    addresses.sort();
    addresses.dedup();
    addresses
}
