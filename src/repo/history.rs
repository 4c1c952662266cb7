//! More history than a shallow clone has, fetched beside it: the job's own checkout is not touched.

use super::{Compared, IsWatched, RepoError, Step, changes, oid, steps};
use crate::core::record::CommitId;
use crate::git::{Advertised, GitRemote};
use crate::http::{Deadline, RemoteError};
use crate::scratch::Scratch;
use git2::{Oid, Repository};
use regex::Regex;

/// Depths that are tried one after the other; the last is all of it.
const DEPTHS: [i32; 4] = [50, 500, 5000, i32::MAX];

/// A scratch repository with two commits and, if it can be had, the history between them.
pub struct Deepened {
    repository: Repository,
    _scratch: Scratch,
}

/// Whether the history between the two is there: on the branch itself, and on all that was merged into it.
fn is_whole(repository: &Repository, previous: Oid, to: Oid) -> Result<bool, git2::Error> {
    if !repository.graph_descendant_of(to, previous)? {
        return Ok(false);
    }
    let mut walk = repository.revwalk()?;
    walk.push(to)?;
    walk.hide(previous)?;
    for id in walk {
        if changes::lacks_parents(&repository.find_commit(id?)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Deepened {
    /// Fetches `to`, and `previous` as its ancestor, as deep as needed and as the time allows.
    ///
    /// # Errors
    /// Where nothing could be fetched.
    pub fn fetch(remote: &GitRemote, previous: &CommitId, to: &CommitId, deadline: Deadline) -> Result<Deepened, RemoteError> {
        let here = |problem: String| RemoteError::Here(problem);
        let scratch = Scratch::make().map_err(|error| here(error.to_string()))?;
        let mut repository = Repository::init_bare(scratch.path()).map_err(|error| here(error.message().to_owned()))?;
        let wanted =
            |_: &Advertised| vec![format!("+{to}:refs/deploy-record/to"), format!("+{previous}:refs/deploy-record/previous")];
        let mut is_fetched = false;
        for depth in DEPTHS {
            match remote.fetch(&repository, depth, deadline, wanted) {
                Ok(_) => is_fetched = true,
                Err(error) if !is_fetched => return Err(error),
                Err(_) => break, // what is there is better than nothing, and is marked incomplete
            }
            // commits that were read before keep the parents that they had then
            repository = Repository::open_bare(scratch.path()).map_err(|error| here(error.message().to_owned()))?;
            let ids = oid(previous).and_then(|previous| Ok((oid(to)?, previous)));
            if ids.is_ok_and(|(to, previous)| is_whole(&repository, previous, to).unwrap_or(false)) {
                break;
            }
        }
        Ok(Deepened { repository, _scratch: scratch })
    }

    /// As [`super::Checkout::compare`].
    ///
    /// # Errors
    /// Where the repository is damaged.
    pub fn compare(
        &self,
        previous: &CommitId,
        to: &CommitId,
        tickets: &Regex,
        path: Option<&str>,
    ) -> Result<Compared, RepoError> {
        changes::between(&self.repository, oid(previous)?, oid(to)?, tickets, path)
    }

    /// As [`super::Checkout::steps`].
    ///
    /// # Errors
    /// Where the repository is damaged.
    pub fn steps(&self, previous: &CommitId, to: &CommitId, is_watched: IsWatched) -> Result<Option<Vec<Step>>, RepoError> {
        steps::between(&self.repository, Some(oid(previous)?), oid(to)?, is_watched)
    }
}
