//! What GitLab itself says of the job: whoever starts a pipeline may set the variables that say who runs what.
//!
//! It is asked with the job's token, and where the job has an ID token, its signature is checked, too. Both must agree.

mod id_token;

pub use id_token::IfExpired;

use super::api;
use super::context::Context;
use super::contradiction::REMOVE_IT;
use super::exit::Failure;
use crate::ci::CiFacts;
use crate::core::record::{self, CommitId, Line, Link, Name, Person, Strength};
use crate::gitlab::{Claims, Gitlab, Job};
use crate::http::RemoteError;
use anyhow::anyhow;

/// The job as GitLab knows it.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Who runs it.
    pub actor: Person,
    /// The commit that it is for.
    pub commit: CommitId,
    /// How it is known: fetched, or attested by GitLab's signature.
    pub strength: Strength,
    /// Its name and page, where GitLab was asked.
    name: Option<Line>,
    page: Option<Link>,
    /// What GitLab signed of it.
    claims: Option<Claims>,
}

impl Witness {
    /// Whether GitLab signed that this is the job's environment.
    pub fn attests_environment(&self, name: &Name) -> bool {
        self.claims.as_ref().and_then(|claims| claims.environment.as_deref()) == Some(name.as_str())
    }

    /// Whether GitLab signed that the branch or tag is protected, or is not; `None` where it signed neither.
    pub fn is_protected(&self) -> Option<bool> {
        self.claims.as_ref().and_then(|claims| claims.is_protected)
    }

    /// The job as its variables tell of it, with what GitLab answered and signed.
    pub fn job(&self, job: record::Job) -> record::Job {
        let job = record::Job { name: self.name.clone().or(job.name), url: self.page.clone().or(job.url), ..job };
        let Some(claims) = &self.claims else { return job };
        record::Job {
            id: Some(claims.job_id),
            pipeline_id: Some(claims.pipeline_id),
            source: claims.pipeline_source.as_deref().and_then(Line::clean).or(job.source),
            ci_config_sha: claims.ci_config_sha.as_deref().and_then(|sha| CommitId::new(sha).ok()),
            ..job
        }
    }
}

/// Asks GitLab for the job, and checks the job's ID token; `None` where neither tells anything.
///
/// # Errors
/// Where either contradicts a variable or the other, or is not GitLab's.
pub fn ask(ctx: &Context, ci: &CiFacts, gitlab: Option<&Gitlab>, if_expired: IfExpired) -> Result<Option<Witness>, Failure> {
    let job = gitlab.map(|gitlab| job(ctx, ci, gitlab)).transpose()?.flatten();
    let claims = id_token::claims(ctx, ci, if_expired)?;
    if let (Some(job), Some(claims)) = (&job, &claims) {
        refuse_disagreement(job, claims)?;
    }
    witness(ci, job.as_ref(), claims).map_err(|problem| Failure::unable(anyhow!("GitLab's answer makes no sense: {problem}")))
}

/// The job whose token it is, as GitLab answers; `None` where it does not.
fn job(ctx: &Context, ci: &CiFacts, gitlab: &Gitlab) -> Result<Option<Job>, Failure> {
    let deadline = api::deadline(ctx);
    match gitlab.job(deadline) {
        Ok(Some(job)) => {
            refuse_contradictions(ci, &job)?;
            Ok(Some(job))
        }
        Ok(None) => {
            ctx.ui.verbose("GitLab does not tell about this job (`GET /job`): who runs it is taken from the variables");
            Ok(None)
        }
        Err(RemoteError::Status { code: 401, .. }) => {
            // a job's token is good as long as the job runs
            Err(Failure::usage(anyhow!("ci-contradiction: GitLab does not know CI_JOB_TOKEN as the token of a running job"))
                .hint(REMOVE_IT))
        }
        Err(problem) => {
            ctx.ui.warn(&format!("GitLab can't be asked who runs this job ({problem}); it is taken from the variables"));
            Ok(None)
        }
    }
}

/// A variable that says otherwise than GitLab was set by somebody.
fn refuse_contradictions(ci: &CiFacts, job: &Job) -> Result<(), Failure> {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let kind = if job.tag { "tag" } else { "branch" };
    let named = |is_it: bool| if is_it { job.reference.clone() } else { format!("{kind} {}", job.reference) };
    let said = [
        ("CI_JOB_ID", number(ci.job.id), job.id.to_string()),
        ("CI_JOB_NAME", ci.job.name.as_ref().map(ToString::to_string), job.name.clone()),
        ("CI_PROJECT_ID", number(ci.project.id), job.pipeline.project_id.to_string()),
        ("CI_PIPELINE_ID", number(ci.job.pipeline_id), job.pipeline.id.to_string()),
        ("CI_COMMIT_SHA", Some(ci.sha.to_string()), job.commit.id.clone()),
        ("GITLAB_USER_ID", number(ci.actor.id), job.user.id.to_string()),
        ("GITLAB_USER_LOGIN", ci.actor.login.as_ref().map(ToString::to_string), job.user.username.clone()),
        ("CI_COMMIT_BRANCH", ci.branch.as_ref().map(ToString::to_string).or(unsaid(ci, job)), named(!job.tag)),
        ("CI_COMMIT_TAG", ci.tag.as_ref().map(ToString::to_string), named(job.tag)),
    ];
    match said.into_iter().find(|(_, variable, told)| variable.as_ref().is_some_and(|variable| variable != told)) {
        None => Ok(()),
        Some((name, variable, told)) => {
            let variable = variable.unwrap_or_default();
            Err(Failure::usage(anyhow!("ci-contradiction: {name} is `{variable}`, but GitLab says that it is `{told}`"))
                .hint(REMOVE_IT))
        }
    }
}

/// An empty text where the variables name neither branch nor tag, although the pipeline is for one: of a merge request's, GitLab
/// sets neither.
fn unsaid(ci: &CiFacts, job: &Job) -> Option<String> {
    let source = job.pipeline.source.as_deref()?;
    let is_for_request = ["merge_request_event", "external_pull_request_event"].contains(&source);
    let is_named = ci.branch.is_some() || ci.tag.is_some();
    (!is_named && !is_for_request && !job.reference.starts_with("refs/")).then(String::new)
}

/// The two tokens are of one job. Project and commit are what the variables say, which no job lacks: they agree already.
fn refuse_disagreement(job: &Job, claims: &Claims) -> Result<(), Failure> {
    let number = |number: u64| number.to_string();
    let reference = |name: &str, is_tag: bool| format!("{} {name}", if is_tag { "tag" } else { "branch" });
    let mut both = vec![
        ("job", number(claims.job_id), number(job.id)),
        ("pipeline", number(claims.pipeline_id), number(job.pipeline.id)),
        ("user", number(claims.user_id), number(job.user.id)),
        ("user's login", claims.user_login.clone(), job.user.username.clone()),
    ];
    // of a merge request, one names the source branch, the other the merge request
    if !claims.is_of_merge_request() {
        both.push(("ref", reference(&claims.reference, claims.is_tag), reference(&job.reference, job.tag)));
    }
    match both.into_iter().find(|(_, signed, told)| signed != told) {
        None => Ok(()),
        Some((what, signed, told)) => Err(Failure::usage(anyhow!(
            "ci-contradiction: by the ID token the {what} is `{signed}`, but by the job's token GitLab says that it is `{told}`"
        ))
        .hint(REMOVE_IT)),
    }
}

fn witness(ci: &CiFacts, job: Option<&Job>, claims: Option<Claims>) -> Result<Option<Witness>, String> {
    let told = job.map(|job| (job.user.id, job.user.username.as_str(), job.commit.id.as_str()));
    let signed = claims.as_ref().map(|claims| (claims.user_id, claims.user_login.as_str(), claims.sha.as_str()));
    let Some((id, login, sha)) = signed.or(told) else { return Ok(None) };
    let login = Name::new(login)?;
    let is_bot = login.is_bot_login() || job.is_some_and(|job| job.user.bot == Some(true)) || ci.actor.bot == Some(true);
    let source = claims.as_ref().and_then(|claims| claims.pipeline_source.as_deref());
    let source = source.or_else(|| job?.pipeline.source.as_deref()).or(ci.job.source.as_ref().map(Line::as_str));
    Ok(Some(Witness {
        actor: Person {
            login: Some(login),
            id: Some(id),
            name: job.and_then(|job| job.user.name.as_deref()).and_then(Line::clean),
            bot: is_bot.then_some(true),
            automated: (is_bot || source == Some("schedule")).then_some(true),
            ..Person::default()
        },
        commit: CommitId::new(sha)?,
        strength: if claims.is_some() { Strength::Attested } else { Strength::Fetched },
        name: job.and_then(|job| Line::clean(&job.name)),
        page: job.and_then(|job| job.web_url.as_deref()).and_then(|url| Link::new(url).ok()),
        claims,
    }))
}
