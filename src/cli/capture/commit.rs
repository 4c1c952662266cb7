//! What: the commit, and the version as people name it.

use super::DeliveryArgs;
use crate::ci::CiFacts;
use crate::cli::exit::Failure;
use crate::core::record::{Commit, CommitId, Line, Strength};
use crate::repo::Checkout;
use anyhow::anyhow;

/// The commit that is delivered, and how strongly it is known.
pub(super) fn find(
    args: &DeliveryArgs,
    ci: Option<&CiFacts>,
    checkout: Option<&Checkout>,
) -> Result<(Option<Commit>, Strength), Failure> {
    let head = checkout.and_then(Checkout::head);
    let of_job = ci.map(|ci| ci.sha.clone());
    let (sha, mut strength) = match (&args.commit, &of_job) {
        (Some(text), _) => (Some(resolve(text, checkout)?), Strength::Asserted),
        (None, Some(sha)) if head.as_ref() == Some(sha) => (Some(sha.clone()), Strength::Observed),
        (None, Some(sha)) => match &head {
            // a variable that names a commit which may go ahead would let another one through
            Some(head) => return Err(contradiction(sha, head)),
            None => (Some(sha.clone()), Strength::Asserted),
        },
        (None, None) => (head, Strength::Observed),
    };
    let Some(sha) = sha else { return Ok((None, strength)) };
    let known = checkout.map(|checkout| checkout.commit(&sha)).transpose().map_err(Failure::unable)?.flatten();
    if known.is_none() {
        strength = Strength::Asserted;
    }
    let mut commit = known.unwrap_or_else(|| bare(&sha));
    let is_jobs = of_job.as_ref() == Some(&sha);
    commit.branch = if is_jobs { ci.and_then(|ci| ci.branch.clone()) } else { None };
    commit.tag = if is_jobs { ci.and_then(|ci| ci.tag.clone()) } else { None };
    if ci.is_none() && checkout.and_then(Checkout::head).as_ref() == Some(&sha) {
        commit.branch = checkout.and_then(Checkout::branch);
    }
    Ok((Some(commit), strength))
}

fn contradiction(sha: &CommitId, head: &CommitId) -> Failure {
    Failure::usage(anyhow!("ci-contradiction: CI_COMMIT_SHA is `{sha}`, but the checkout stands at `{head}`"))
        .hint("if the job's script checks out another commit on purpose, name the one that is delivered with --commit")
        .hint("if a variable of the pipeline sets CI_COMMIT_SHA, remove it")
}

/// Whether the code that is delivered is another project's than the pipeline's, or than the repository's at hand.
pub(super) fn is_other_project(args: &DeliveryArgs, ci: Option<&CiFacts>, checkout: Option<&Checkout>) -> bool {
    let own = match ci {
        Some(ci) => ci.project.path.as_ref().map(ToString::to_string),
        None => checkout.and_then(Checkout::project_path),
    };
    match (&args.project, own) {
        // GitLab's paths are the same in any case
        (Some(project), Some(own)) => !project.eq_ignore_ascii_case(&own),
        _ => false,
    }
}

/// Of another project's commit only its id is known, and only where it is given.
pub(super) fn of_other_project(args: &DeliveryArgs) -> Result<(Option<Commit>, Strength), Failure> {
    let sha = args.commit.as_deref().map(CommitId::new).transpose();
    let sha = sha.map_err(|problem| {
        Failure::usage(anyhow!("--commit: {problem}")).hint("a commit of another project is named by its full id")
    })?;
    Ok((sha.as_ref().map(bare), Strength::Asserted))
}

fn bare(sha: &CommitId) -> Commit {
    Commit {
        sha: sha.clone(),
        title: None,
        author: None,
        authored_at: None,
        branch: None,
        tag: None,
        newer: Default::default(),
    }
}

/// The commit that a text names in the repository at hand; a full id counts as it is.
pub fn resolve(text: &str, checkout: Option<&Checkout>) -> Result<CommitId, Failure> {
    if let Some(id) = checkout.and_then(|checkout| checkout.resolve(text)) {
        return Ok(id);
    }
    CommitId::new(text).map_err(|_| {
        Failure::usage(anyhow!("--commit: the repository at hand has no commit `{}`", text.escape_debug()))
            .hint("give its full id")
    })
}

/// The version: what is given, else the job's tag, else what git calls the commit.
pub(super) fn version(
    args: &DeliveryArgs,
    ci: Option<&CiFacts>,
    checkout: Option<&Checkout>,
    commit: Option<&Commit>,
) -> Result<Line, Failure> {
    if let Some(version) = args.version.as_deref().and_then(Line::clean) {
        return Ok(version);
    }
    let of_job = ci.filter(|ci| commit.is_some_and(|commit| commit.sha == ci.sha)).and_then(|ci| ci.tag.clone());
    let described = || {
        let commit = commit?;
        let version = checkout.and_then(|checkout| checkout.version_of(&commit.sha));
        Line::clean(&version.unwrap_or_else(|| commit.sha.short().to_owned()))
    };
    of_job.or_else(described).ok_or_else(|| {
        Failure::usage(anyhow!("which version? There is no commit at hand to take it from"))
            .hint("give it with --version, or a commit with --commit")
    })
}
