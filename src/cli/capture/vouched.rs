//! Who deploys where, in which job: what variables say, and how far GitLab vouches for it.

use super::deployment::{self, Listed, Seen, Subject};
use crate::ci::CiFacts;
use crate::cli::api;
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::identity;
use crate::cli::settings::Settings;
use crate::cli::witness::{self, IfExpired, Witness};
use crate::core::record::{CommitId, Job, Name, Person, Strength};
use crate::gitlab::{Gitlab, ReferenceKind};
use crate::repo::Checkout;

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// Where to.
    pub environment: &'a Name,
    /// What.
    pub commit: Option<&'a CommitId>,
    /// The code is another project's than the job's.
    pub is_other: bool,
    /// Whether it is about to happen, and an ID token that has expired is refused, or has happened.
    pub if_expired: IfExpired,
}

/// What is known, and how strongly.
#[derive(Debug)]
pub(super) struct Vouched {
    pub job: Option<Job>,
    pub actor: Option<Person>,
    /// How job and actor are known.
    pub of_job: Strength,
    /// How the commit is known, where GitLab says that it is the job's.
    pub of_commit: Option<Strength>,
    pub of_environment: Strength,
    /// The number by which GitLab has the deployment.
    pub deployment: Option<u64>,
    /// The newest deployments there that went well, as GitLab has them.
    pub listed: Vec<Listed>,
    /// GitLab says that the branch or tag is not protected, whatever the variable says.
    pub is_unprotected: bool,
}

/// Asks GitLab, in a job; elsewhere it is whoever sits here.
///
/// # Errors
/// Where GitLab contradicts a variable, or an ID token is not right.
pub(super) fn ask(about: About, ctx: &Context, settings: &Settings) -> Result<Vouched, Failure> {
    let Some(ci) = &settings.ci else {
        return Ok(Vouched {
            job: None,
            actor: actor_here(ctx, settings),
            of_job: Strength::Asserted,
            of_commit: None,
            of_environment: Strength::Asserted,
            deployment: None,
            listed: Vec::new(),
            is_unprotected: false,
        });
    };
    let gitlab = settings.gitlab.as_deref();
    let witness = match settings.is_stale {
        true => None,
        false => witness::ask(ctx, ci, gitlab, about.if_expired)?,
    };
    let seen = match about.is_other {
        true => Seen::default(),
        false => deployment::find(about.environment, about.commit, subject(about), ci, ctx, settings)?,
    };
    let is_unprotected = is_unprotected(witness.as_ref(), ci, gitlab, ctx);
    Ok(put_together(about, ci, witness, seen, is_unprotected))
}

fn subject(about: About) -> Subject {
    match about.if_expired {
        IfExpired::Refuse => Subject::ToCome,
        IfExpired::GoOn => Subject::Happened,
    }
}

fn put_together(about: About, ci: &CiFacts, witness: Option<Witness>, seen: Seen, is_unprotected: bool) -> Vouched {
    let named = ci.job.clone();
    // another project's code is delivered by this one's job
    let named = if about.is_other { Job { project: ci.project.path.clone(), ..named } } else { named };
    let own = witness.as_ref().map(|witness| witness.job(named.clone())).unwrap_or(named);
    let strength = witness.as_ref().map_or(Strength::Asserted, |witness| witness.strength);
    let is_jobs_commit = witness.as_ref().is_some_and(|witness| Some(&witness.commit) == about.commit);
    let is_attested = witness.as_ref().is_some_and(|witness| witness.attests_environment(about.environment));
    let is_found = seen.found.as_ref().is_some_and(|found| found.environment == about.environment.as_str());
    let actor = witness.map_or_else(|| ci.actor.clone(), |witness| witness.actor);
    let deployment = seen.found.as_ref().map(|found| found.id);
    let (job, actor, of_job) = match seen.found.and_then(|found| found.other) {
        Some((job, actor)) => (job, actor, Strength::Fetched),
        None => (own, actor, strength),
    };
    Vouched {
        job: Some(job),
        actor: Some(actor),
        of_job,
        of_commit: is_jobs_commit.then_some(strength),
        of_environment: match (is_attested, is_found) {
            (true, _) => Strength::Attested,
            (false, true) => Strength::Fetched,
            (false, false) => Strength::Asserted,
        },
        deployment,
        listed: seen.listed,
        is_unprotected,
    }
}

/// Whether GitLab says that the branch or tag is not protected: by its signature, else by its list.
fn is_unprotected(witness: Option<&Witness>, ci: &CiFacts, gitlab: Option<&Gitlab>, ctx: &Context) -> bool {
    if let Some(signed) = witness.and_then(Witness::is_protected) {
        return !signed;
    }
    let reference = match (&ci.branch, &ci.tag) {
        (_, Some(tag)) => Some((ReferenceKind::Tag, tag)),
        (Some(branch), None) => Some((ReferenceKind::Branch, branch)),
        (None, None) => None,
    };
    // where the variable says so already, nobody needs to be asked
    let Some(((kind, name), gitlab)) = reference.zip(gitlab).filter(|_| ci.is_protected != Some(false)) else { return false };
    let deadline = api::deadline(ctx);
    match gitlab.is_protected(kind, name.as_str(), deadline) {
        Ok(is_protected) => is_protected == Some(false),
        Err(error) => {
            ctx.ui.verbose(&error.to_string());
            false
        }
    }
}

/// Who sits here: the one whose key signs, or whose address git has, by the policy's `people`.
fn actor_here(ctx: &Context, settings: &Settings) -> Option<Person> {
    let checkout = settings.checkout.as_ref();
    let name = checkout.and_then(Checkout::user_name);
    let of_address = || settings.config.rules.people.login(&checkout?.user_address()?);
    let login = identity::person_here(ctx, settings).or_else(of_address);
    (name.is_some() || login.is_some()).then(|| Person { login, name, ..Person::default() })
}
