//! Opening a checkout that belongs to another user.

// libgit2's switch is process-wide and has no lock, so git2 marks it `unsafe`.
#![allow(unsafe_code)]

use git2::Repository;
use std::path::Path;
use std::sync::Once;

/// Finds the repository at or above `directory`. In a CI job the runner's helper has often cloned as another user than the
/// job's, and the job runs what is in there anyway; so its owner is not checked.
pub(super) fn discover(directory: &Path, trust_owner: bool) -> Result<Repository, git2::Error> {
    static SWITCHED: Once = Once::new();
    let mut switched = Ok(());
    if trust_owner {
        // SAFETY: done once, before this process opens any repository, by its only thread that uses libgit2
        SWITCHED.call_once(|| switched = unsafe { git2::opts::set_verify_owner_validation(false) });
    }
    switched?;
    Repository::discover(directory)
}
