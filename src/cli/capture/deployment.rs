//! The deployment as GitLab itself has it: the environment that a variable can't change, and of a job that only records, who ran the
//! one that deployed.

use crate::ci::CiFacts;
use crate::cli::api;
use crate::cli::context::Context;
use crate::cli::contradiction;
use crate::cli::exit::Failure;
use crate::cli::settings::Settings;
use crate::core::record::{CommitId, Job, Line, Link, Name, Person, Tier, Time};
use crate::gitlab::{ApiError, Deployment};

/// What has begun, and is not only planned.
const BEGUN: &[&str] = &["running", "success", "failed", "canceled"];

/// What GitLab has of an environment.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The deployment that this is about.
    pub found: Option<Found>,
    /// The newest that went well there.
    pub listed: Vec<Listed>,
}

/// A deployment that a job made, and that went well.
#[derive(Debug)]
pub(super) struct Listed {
    /// Its number.
    pub id: u64,
    /// The commit.
    pub sha: CommitId,
    /// The number of its job.
    pub job: u64,
    /// The name of its job.
    pub name: Line,
    /// When it came to be.
    pub began: Time,
    /// When it ended.
    pub ended: Time,
}

/// The deployment that this is about, as GitLab has it.
#[derive(Debug)]
pub(super) struct Found {
    /// Its number.
    pub id: u64,
    /// Its environment.
    pub environment: String,
    /// The job that deployed and who ran it, where that is another job than this one.
    pub other: Option<(Job, Person)>,
}

/// What a job does with a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// It makes it, or asks whether it may be made.
    ToCome,
    /// It may be about another job's, which it only records.
    Happened,
}

/// Looks for the deployment of this job, or for the one of this pipeline and commit that this job is about.
///
/// # Errors
/// Where GitLab says that this job deploys somewhere else than its variables say.
pub(super) fn find(
    environment: &Name,
    sha: Option<&CommitId>,
    subject: Subject,
    ci: &CiFacts,
    ctx: &Context,
    settings: &Settings,
) -> Result<Seen, Failure> {
    let Some(gitlab) = settings.gitlab.as_deref() else { return Ok(Seen::default()) };
    let deadline = api::deadline(ctx);
    let there = told(gitlab.newest_deployments(environment.as_str(), deadline), ctx);
    let good = there.iter().filter_map(went_well).collect();
    if let Some(own) = own(&there, ci) {
        refuse_contradiction(ci, own)?;
        let found = Found { id: own.id, environment: own.environment.name.clone(), other: None };
        return Ok(Seen { found: Some(found), listed: good });
    }
    let running = told(gitlab.running_deployments(deadline), ctx);
    if let Some(own) = own(&running, ci) {
        refuse_contradiction(ci, own)?;
        // the job deploys to another environment than the one that is named on the command line
        return Ok(Seen { found: None, listed: good });
    }
    let is_of_it = |deployment: &&Deployment| {
        let pipeline = deployment.deployable.as_ref().and_then(|job| job.pipeline.as_ref());
        let is_here = pipeline.is_some_and(|pipeline| Some(pipeline.id) == ci.job.pipeline_id);
        is_here && Some(deployment.sha.as_str()) == sha.map(CommitId::as_str) && BEGUN.contains(&deployment.status.as_str())
    };
    let of_another = there.iter().filter(|_| subject == Subject::Happened).find(is_of_it);
    let found = of_another.and_then(|deployment| of_another_job(deployment, ci));
    Ok(Seen { found, listed: good })
}

/// The newest deployments there that went well, as far as GitLab tells, in a job.
pub(super) fn that_went_well(environment: &Name, ctx: &Context, settings: &Settings) -> Vec<Listed> {
    let is_job = settings.ci.is_some();
    let Some(gitlab) = settings.gitlab.as_deref().filter(|_| is_job) else { return Vec::new() };
    let deadline = api::deadline(ctx);
    told(gitlab.newest_deployments(environment.as_str(), deadline), ctx).iter().filter_map(went_well).collect()
}

fn went_well(deployment: &Deployment) -> Option<Listed> {
    let job = deployment.deployable.as_ref().filter(|_| deployment.status == "success")?;
    Some(Listed {
        id: deployment.id,
        sha: CommitId::new(deployment.sha.as_str()).ok()?,
        job: job.id,
        name: Line::clean(&job.name)?,
        began: Time::new(deployment.created_at),
        ended: Time::new(deployment.updated_at.unwrap_or(deployment.created_at)),
    })
}

fn told(answer: Result<Vec<Deployment>, ApiError>, ctx: &Context) -> Vec<Deployment> {
    answer.unwrap_or_else(|error| {
        ctx.ui.verbose(&error.to_string());
        Vec::new()
    })
}

/// Refuses a job that says that it deploys nothing, while GitLab has a deployment that it makes.
///
/// # Errors
/// Names both.
pub(super) fn refuse_denial(ctx: &Context, settings: &Settings) -> Result<(), Failure> {
    let gitlab = settings.gitlab.as_deref();
    let Some((ci, gitlab)) = settings.ci.as_ref().zip(gitlab) else { return Ok(()) };
    let deadline = api::deadline(ctx);
    let running = told(gitlab.running_deployments(deadline), ctx);
    let Some(own) = own(&running, ci) else { return Ok(()) };
    let action = ci.environment.as_ref().and_then(|environment| environment.action.as_deref()).unwrap_or_default();
    Err(contradiction::refused(&format!(
        "CI_ENVIRONMENT_ACTION is `{}`, but GitLab says that this job deploys to `{}`",
        action.escape_debug(),
        own.environment.name.escape_debug()
    )))
}

/// Refuses a tier by which a deployment would not be recorded, while GitLab has another one for the environment.
///
/// # Errors
/// Names both.
pub(super) fn refuse_tier(name: &Name, said: Tier, ctx: &Context, settings: &Settings) -> Result<(), Failure> {
    let Some(gitlab) = settings.gitlab.as_deref() else { return Ok(()) };
    let deadline = api::deadline(ctx);
    let told = gitlab.tier(name.as_str(), deadline).unwrap_or_else(|error| {
        ctx.ui.verbose(&error.to_string());
        None
    });
    match told.and_then(|tier| tier.parse::<Tier>().ok()).filter(|told| *told != said) {
        Some(told @ (Tier::Production | Tier::Staging)) => Err(contradiction::refused(&format!(
            "CI_ENVIRONMENT_TIER is `{said}`, but GitLab says that `{name}` is of the tier `{told}`"
        ))),
        _ => Ok(()),
    }
}

/// The one that this job makes.
fn own<'d>(deployments: &'d [Deployment], ci: &CiFacts) -> Option<&'d Deployment> {
    deployments.iter().find(|deployment| deployment.job().is_some() && deployment.job() == ci.job.id)
}

fn refuse_contradiction(ci: &CiFacts, own: &Deployment) -> Result<(), Failure> {
    let told = &own.environment.name;
    match ci.environment.as_ref().map(|environment| &environment.name) {
        Some(said) if said.as_str() != told => Err(contradiction::refused(&format!(
            "CI_ENVIRONMENT_NAME is `{said}`, but GitLab says that this job deploys to `{told}`"
        ))),
        _ => Ok(()),
    }
}

/// A job that deployed, where this one only records it: its user is who pressed Play there, not who started the pipeline.
fn of_another_job(deployment: &Deployment, ci: &CiFacts) -> Option<Found> {
    let job = deployment.deployable.as_ref()?;
    let person = deployment.by()?.person().ok()?;
    // a schedule's owner may also have pressed the button, which nobody can tell
    let is_automated = ci.actor.automated == Some(true) && person.id == ci.actor.id;
    let is_bot = person.bot == Some(true) || person.login.as_ref().is_some_and(Name::is_bot_login);
    let actor = Person { bot: is_bot.then_some(true), automated: (is_automated || is_bot).then_some(true), ..person };
    let job = Job {
        id: Some(job.id),
        name: Line::clean(&job.name),
        url: job.web_url.as_deref().and_then(|url| Link::new(url).ok()),
        runner: None,
        ..ci.job.clone()
    };
    Some(Found { id: deployment.id, environment: deployment.environment.name.clone(), other: Some((job, actor)) })
}
