//! What GitLab itself says of the job: whoever starts a pipeline may set the variables that say who runs what.

use super::context::Context;
use super::exit::Failure;
use crate::ci::CiFacts;
use crate::core::record::{CommitId, Line, Name, Person};
use crate::gitlab::{Gitlab, Job};
use crate::http::{Deadline, RemoteError};
use anyhow::anyhow;
use std::time::Duration;

/// How long GitLab is asked for the job at most: what it would tell is worth less than the deployment.
const LONGEST: Duration = Duration::from_secs(10);

/// The job as GitLab knows it.
#[derive(Debug, Clone)]
pub struct Witness {
    /// Who runs it.
    pub actor: Person,
    /// The commit that it is for.
    pub commit: CommitId,
}

/// Asks GitLab for the job; `None` where it does not tell.
///
/// # Errors
/// Where it contradicts a variable, or does not know the token.
pub fn ask(ctx: &Context, ci: &CiFacts, gitlab: &Gitlab) -> Result<Option<Witness>, Failure> {
    let deadline = Deadline::after(LONGEST.min(ctx.global.timeout / 4));
    match gitlab.job(deadline) {
        Ok(Some(job)) => {
            refuse_contradictions(ci, &job)?;
            witness(ci, &job).map(Some).map_err(|problem| Failure::unable(anyhow!("GitLab's answer makes no sense: {problem}")))
        }
        Ok(None) => {
            ctx.ui.verbose("GitLab does not tell about this job (`GET /job`): who runs it is taken from the variables");
            Ok(None)
        }
        Err(RemoteError::Status { code: 401, .. }) => {
            // a job's token is good as long as the job runs
            Err(Failure::usage(anyhow!("ci-contradiction: GitLab does not know CI_JOB_TOKEN as the token of a running job"))
                .hint("a variable of the pipeline, or of whoever started it, has the name of one of GitLab's own: remove it"))
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
    let said = [
        ("CI_JOB_ID", number(ci.job.id), job.id.to_string()),
        ("CI_PROJECT_ID", number(ci.project.id), job.pipeline.project_id.to_string()),
        ("CI_PIPELINE_ID", number(ci.job.pipeline_id), job.pipeline.id.to_string()),
        ("CI_COMMIT_SHA", Some(ci.sha.to_string()), job.commit.id.clone()),
        ("GITLAB_USER_ID", number(ci.actor.id), job.user.id.to_string()),
        ("GITLAB_USER_LOGIN", ci.actor.login.as_ref().map(ToString::to_string), job.user.username.clone()),
        ("CI_COMMIT_BRANCH", ci.branch.as_ref().filter(|_| !job.tag).map(ToString::to_string), job.reference.clone()),
        ("CI_COMMIT_TAG", ci.tag.as_ref().filter(|_| job.tag).map(ToString::to_string), job.reference.clone()),
    ];
    match said.into_iter().find(|(_, variable, told)| variable.as_ref().is_some_and(|variable| variable != told)) {
        None => Ok(()),
        Some((name, variable, told)) => {
            let variable = variable.unwrap_or_default();
            Err(Failure::usage(anyhow!("ci-contradiction: {name} is `{variable}`, but GitLab says that it is `{told}`"))
                .hint("a variable of the pipeline, or of whoever started it, has the name of one of GitLab's own: remove it"))
        }
    }
}

fn witness(ci: &CiFacts, job: &Job) -> Result<Witness, String> {
    let is_bot = job.user.bot == Some(true) || ci.actor.bot == Some(true);
    let source = job.pipeline.source.as_deref().or(ci.job.source.as_ref().map(Line::as_str));
    Ok(Witness {
        actor: Person {
            login: Some(Name::new(job.user.username.as_str())?),
            id: Some(job.user.id),
            name: job.user.name.as_deref().and_then(Line::clean),
            bot: is_bot.then_some(true),
            automated: (is_bot || source == Some("schedule")).then_some(true),
            ..Person::default()
        },
        commit: CommitId::new(job.commit.id.as_str())?,
    })
}
