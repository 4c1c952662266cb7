//! Files of the default branch as the server has it: what decides in CI, whatever is checked out.

use super::{Checkout, commit_id, read_file};
use crate::core::record::CommitId;
use crate::git::{Advertised, GitRemote};
use crate::http::{Deadline, RemoteError};
use crate::scratch::Scratch;
use git2::{Oid, Repository};
use std::cell::RefCell;
use std::collections::HashMap;

/// Some files of the default branch.
#[derive(Debug)]
pub struct DefaultBranch {
    /// Its name.
    pub name: String,
    /// Its commit.
    pub commit: CommitId,
    /// Content by path, of those that are there.
    pub files: HashMap<String, Vec<u8>>,
}

/// Reads files of the branch that the server's `HEAD` names: from the checkout where that has the commit, else by fetching it.
///
/// # Errors
/// Where the server can't be reached, or names no default branch.
pub fn read(
    remote: &GitRemote,
    checkout: Option<&Checkout>,
    paths: &[&str],
    deadline: Deadline,
) -> Result<DefaultBranch, RemoteError> {
    let nonsense = |problem: String| RemoteError::Nonsense(problem);
    let scratch = Scratch::make().map_err(|error| RemoteError::Here(error.to_string()))?;
    let fetched = Repository::init_bare(scratch.path()).map_err(|error| RemoteError::Here(error.message().to_owned()))?;
    let found: RefCell<Option<(String, CommitId, Oid)>> = RefCell::new(None);
    let choose = |advertised: &Advertised| {
        let branch = advertised.default_branch.clone().and_then(|name| Some((advertised.get(&name)?, name)));
        let Some((oid, name)) = branch else { return Vec::new() };
        let Some(commit) = commit_id(oid) else { return Vec::new() };
        let is_here = checkout.is_some_and(|checkout| checkout.has(&commit));
        let refspecs = if is_here { Vec::new() } else { vec![format!("+{name}:refs/deploy-record/default")] };
        found.replace(Some((name, commit, oid)));
        refspecs
    };
    remote.fetch(&fetched, 1, deadline, choose)?;
    let (name, commit, oid) = found.into_inner().ok_or_else(|| nonsense("the server names no default branch".to_owned()))?;
    let mut files = HashMap::new();
    for path in paths {
        let content = match checkout.filter(|checkout| checkout.has(&commit)) {
            Some(checkout) => checkout.read_file(&commit, path),
            None => read_file(&fetched, oid, path),
        };
        if let Some(content) = content.map_err(|error| nonsense(error.to_string()))? {
            files.insert((*path).to_owned(), content);
        }
    }
    Ok(DefaultBranch { name: name.trim_start_matches("refs/heads/").to_owned(), commit, files })
}
