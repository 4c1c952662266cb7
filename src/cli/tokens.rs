//! What the configuration asks of GitLab takes tokens; a deployment does not begin where one is missing.

use super::context::Context;
use super::exit::Failure;
use super::settings::Settings;
use crate::gitlab::scopes;
use anyhow::anyhow;

/// Refuses to go on where a rule goes by what only another token than those at hand is told, or may do.
///
/// # Errors
/// Where that is so: which key needs which token, with which scope.
pub fn refuse_missing(ctx: &Context, settings: &Settings) -> Result<(), Failure> {
    let rules = &settings.config.rules;
    let is_job = settings.ci.is_some();
    // reviews are owed outside of jobs, too; but nobody's laptop has to have a token for reminding of them
    let needs = [
        ("emergency.follow_up.issue", "api", rules.follow_up.issue && is_job),
        ("approval.groups", "read_api", !rules.approval.groups.is_empty()),
        ("approval.minimum_access", "read_api", rules.approval.minimum_access.is_some()),
        // in a job, its own token reads merge requests
        ("labels` and `emergency.direct_push", "read_api", rules.needs_merge_requests() && !is_job),
    ];
    let has_access = settings.gitlab.as_ref().is_some_and(|gitlab| gitlab.has_access_token());
    match needs.iter().find(|(.., is_needed)| *is_needed && !has_access) {
        Some((key, scope, _)) => Err(missing(ctx, settings, key, scope)),
        None => Ok(()),
    }
}

fn missing(ctx: &Context, settings: &Settings, key: &str, scope: &str) -> Failure {
    let policy = settings.policy.as_ref().map(|policy| format!(" ({})", policy.reference)).unwrap_or_default();
    let failure = |why: &str| Failure::usage(anyhow!("`{key}` in the configuration{policy} takes an access token, and {why}"));
    let elsewhere = "with a log on another server (--log, `log.url`), it is that one's";
    let scopes = scopes(scope);
    match (ctx.global.token.is_some(), settings.ci.is_some()) {
        (false, true) => failure("DEPLOY_RECORD_TOKEN is not set")
            .hint(format!("set DEPLOY_RECORD_TOKEN, masked and protected, to an access token with {scopes}")),
        (false, false) => failure("DEPLOY_RECORD_TOKEN is not set")
            .hint(format!("give yours, with {scopes}, by the variable DEPLOY_RECORD_TOKEN or --token")),
        (true, true) => failure("DEPLOY_RECORD_TOKEN can't be used for it")
            .hint(format!("it must be an access token with {scopes}, and not the job's own; {elsewhere}")),
        (true, false) => failure("DEPLOY_RECORD_TOKEN can't be used for it")
            .hint(format!("the GitLab that it is for is that of `origin`; {elsewhere}")),
    }
}
