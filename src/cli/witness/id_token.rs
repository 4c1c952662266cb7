//! The job's ID token: GitLab's own signature on what it says of the job.

use crate::ci::CiFacts;
use crate::cli::api;
use crate::cli::context::Context;
use crate::cli::contradiction::REMOVE_IT;
use crate::cli::exit::Failure;
use crate::core::record::{Line, Name};
use crate::gitlab::{AUDIENCE, Claims, IdTokenError, JobVariables, KeySet, verify_id_token};
use anyhow::anyhow;

/// The variable that `id_tokens` puts the token into.
pub const VARIABLE: &str = "DEPLOY_RECORD_ID_TOKEN";

/// What helps where another token than the job's own is in that variable.
const ONLY_ID_TOKENS: &str = "only `id_tokens` of the job sets this variable: remove the one that the pipeline, the project, or whoever \
                              started it has under that name";

/// What becomes of a token that is right but for having expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExpired {
    /// It is refused: what is about to happen needs to know who does it.
    Refuse,
    /// It counts for nothing, and that is said: what has happened is not lost for it.
    GoOn,
}

/// What GitLab signed of this job; `None` where there is no token, or the keys to check it with can't be had.
///
/// # Errors
/// Where the token is not GitLab's, not for this, not of this job, or contradicts a variable; and where its variable is there and
/// empty, since GitLab leaves none empty: somebody wants it not to be looked at.
pub fn claims(ctx: &Context, ci: &CiFacts, if_expired: IfExpired) -> Result<Option<Claims>, Failure> {
    let Some(token) = ctx.variable(VARIABLE) else { return Ok(None) };
    if token.is_empty() {
        return Err(
            Failure::usage(anyhow!("id-token: {VARIABLE} is empty, and GitLab makes no empty ID token")).hint(ONLY_ID_TOKENS)
        );
    }
    let deadline = api::deadline(ctx);
    let keys = match KeySet::fetch(&ctx.http(), &ci.server_url, deadline) {
        Ok(keys) => keys,
        Err(problem) => {
            ctx.ui.warn(&format!(
                "the keys with which GitLab signs ID tokens can't be had ({problem}); {VARIABLE} counts for nothing"
            ));
            return Ok(None);
        }
    };
    match verify_id_token(&token, &keys, &variables(ci), ctx.now().timestamp()) {
        Ok(claims) => Ok(Some(claims)),
        Err(problem @ IdTokenError::Expired { .. }) if if_expired == IfExpired::GoOn => {
            ctx.ui.warn(&format!("{VARIABLE} counts for nothing any more: {problem}"));
            Ok(None)
        }
        Err(problem @ IdTokenError::SourceProject(_)) => {
            ctx.ui.warn(&format!("{VARIABLE} counts for nothing here: {problem}; GitLab 18.4 or later names both"));
            Ok(None)
        }
        Err(problem) => Err(refused(problem)),
    }
}

fn variables(ci: &CiFacts) -> JobVariables<'_> {
    JobVariables {
        server_url: &ci.server_url,
        project_id: ci.project.id,
        project_path: ci.project.path.as_ref().map(Line::as_str),
        pipeline_id: ci.job.pipeline_id,
        job_id: ci.job.id,
        sha: ci.sha.as_str(),
        branch: ci.branch.as_ref().map(Line::as_str),
        tag: ci.tag.as_ref().map(Line::as_str),
        user_id: ci.actor.id,
        user_login: ci.actor.login.as_ref().map(Name::as_str),
        environment: ci.environment.as_ref().map(|environment| environment.name.as_str()),
    }
}

fn refused(problem: IdTokenError) -> Failure {
    let hint = match &problem {
        IdTokenError::Contradiction { .. } => return Failure::usage(anyhow!("ci-contradiction: {problem}")).hint(REMOVE_IT),
        IdTokenError::Audience(_) => format!("write it in the job as `id_tokens: {{ {VARIABLE}: {{ aud: {AUDIENCE} }} }}`"),
        IdTokenError::Issuer { .. } => {
            "where the server has another `issuer_url` set for its ID tokens, leave `id_tokens` out of this job".to_owned()
        }
        IdTokenError::NotYet { .. } => "set the clock of the runner's machine (NTP)".to_owned(),
        IdTokenError::Expired { .. } => {
            "retry the job: a token lasts as long as the job may run, or 5 minutes where no time limit is set".to_owned()
        }
        _ => ONLY_ID_TOKENS.to_owned(),
    };
    Failure::usage(anyhow!("id-token: {VARIABLE} does not count: {problem}")).hint(hint)
}
