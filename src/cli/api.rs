//! GitLab's API, with the tokens of this run.

use super::context::Context;
use super::location::Location;
use super::settings::Settings;
use crate::ci::CiFacts;
use crate::gitlab::{Gitlab, Tokens};
use crate::http::Deadline;
use crate::repo::Checkout;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// How long GitLab is asked in one run at most, all requests together.
const LONGEST: Duration = Duration::from_secs(40);

/// How long GitLab is asked for one thing at most: what it would tell is worth less than the deployment.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// The moment at which one thing is not asked for any more: after 10 seconds, or a quarter of `--timeout`.
pub fn deadline(ctx: &Context) -> Deadline {
    Deadline::after(LONGEST_ANSWER.min(ctx.global.timeout / 4))
}

/// The API of the job's GitLab; outside of a job, that of `origin`, where there is an access token for it. An access token that is
/// meant for a log on another server is not sent here.
pub fn gitlab(ctx: &Context, ci: Option<&CiFacts>, checkout: Option<&Checkout>, log: &Location) -> Option<Gitlab> {
    let (server, project) = match ci {
        Some(ci) => (ci.server_url.clone(), ci.project.id?.to_string()),
        None => origin(checkout?)?,
    };
    let host = Url::parse(&server).ok()?.host_str()?.to_owned();
    let is_for_here = log.host().is_none_or(|log| log == host);
    let access = ctx.global.token.clone().filter(|_| is_for_here).map(Zeroizing::new);
    let job = ci.and_then(|_| ctx.variable("CI_JOB_TOKEN")).filter(|token| !token.is_empty()).map(Zeroizing::new);
    if job.is_none() && access.is_none() {
        return None;
    }
    let ui = Arc::clone(&ctx.ui);
    let budget = LONGEST.min(ctx.global.timeout / 2);
    let tell = Box::new(move |line: &str| ui.verbose(line));
    Some(Gitlab::new(ctx.http(), &server, &project, Tokens { job, access }, budget, tell))
}

/// How many requests GitLab was sent so far.
pub fn requests(settings: &Settings) -> u32 {
    settings.gitlab.as_ref().map_or(0, |gitlab| gitlab.requests())
}

/// Says how many requests the decision took, to those who want to know.
pub fn say_requests(ctx: &Context, settings: &Settings) {
    match requests(settings) {
        0 => {}
        1 => ctx.ui.verbose("GitLab was asked once"),
        many => ctx.ui.verbose(&format!("GitLab was asked {many} times")),
    }
}

/// Server and project path of `origin`. By SSH, the server is taken to be at the same host by HTTPS.
fn origin(checkout: &Checkout) -> Option<(String, String)> {
    let project = checkout.project_path()?;
    let url = checkout.remote_url("origin")?;
    let server = match Url::parse(&url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url.origin().ascii_serialization(),
        Ok(url) => format!("https://{}", url.host_str()?),
        Err(_) => {
            let (user_and_host, _) = url.split_once(':')?;
            format!("https://{}", user_and_host.rsplit('@').next()?)
        }
    };
    Some((server, project))
}
