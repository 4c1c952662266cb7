//! Whether what says where a job's project is agrees with itself.
//!
//! Whoever starts a pipeline may set any variable, GitLab's own too, and could so have tokens and records sent to a server of
//! their own. Variables alone can't change the address that the runner wrote into the checkout. So three things must agree before
//! anything is sent:
//!
//! - `CI_PROJECT_URL` is `CI_PROJECT_PATH` below `CI_SERVER_URL` (whose path is GitLab's relative URL root, if it has one).
//! - The checkout's remote `origin`, over HTTP(S): the same scheme, host, port and path.
//! - Over SSH, which only the job's own script sets: the same host and project; its port and user are SSH's own affair.
//!
//! A runner may clone from another address than GitLab's own (`clone_url`, a custom clone address). Nothing tells that from a
//! redirection, so it is refused too; the job's script can say that it is meant, with `git remote set-url`. No `origin`, or a
//! folder as `origin`, says nothing.

use super::context::Context;
use super::exit::Failure;
use crate::ci::CiFacts;
use crate::core::escape::shell_quoted;
use crate::git::{SshAddress, is_ssh};
use crate::repo::Checkout;
use anyhow::anyhow;
use url::Url;

/// Refuses a job whose variables contradict one another or the checkout.
///
/// # Errors
/// Names both values.
pub fn refuse(ctx: &Context, ci: &CiFacts, checkout: Option<&Checkout>) -> Result<(), Failure> {
    let origin = match checkout.and_then(Checkout::origin) {
        Some(origin) => Some(origin),
        // CI_PROJECT_DIR is a variable, too: what it names may be no checkout at all
        None => ctx.checkout_here()?.as_ref().and_then(Checkout::origin),
    };
    check(ci, origin.as_deref()).map_err(|Contradiction { one, other, hint }| {
        Failure::usage(anyhow!("ci-contradiction: {one}, but {other}")).hint(hint)
    })
}

/// What helps where a variable is not GitLab's.
pub const REMOVE_IT: &str =
    "a variable of the pipeline, or of whoever started it, has the name of one of GitLab's own: remove it";

/// The refusal of a variable that says otherwise than GitLab; the words name both values.
pub fn refused(words: &str) -> Failure {
    Failure::usage(anyhow!("ci-contradiction: {words}")).hint(REMOVE_IT)
}

/// Refuses a variable that names another default branch than the server: nothing here goes by it, but it was set by somebody.
///
/// # Errors
/// Names both values.
pub fn refuse_default_branch(ctx: &Context, told: &str) -> Result<(), Failure> {
    match ctx.variable("CI_DEFAULT_BRANCH").filter(|said| !said.is_empty() && said != told) {
        None => Ok(()),
        Some(said) => Err(refused(&format!(
            "CI_DEFAULT_BRANCH is `{}`, but the server's default branch is `{told}`",
            said.escape_debug()
        ))),
    }
}

/// Two statements that can't both be true.
#[derive(Debug)]
struct Contradiction {
    one: String,
    other: String,
    hint: String,
}

fn check(ci: &CiFacts, origin: Option<&str>) -> Result<(), Contradiction> {
    let project = project(ci)?;
    let Some(origin) = origin.filter(|origin| !is_folder(origin)) else { return Ok(()) };
    if is_at(origin, ci, &project) {
        return Ok(());
    }
    Err(Contradiction {
        one: format!("the variables say that the project is at `{project}`"),
        other: format!("the checkout's remote `origin` is `{}`", shown(origin)),
        hint: format!(
            "if a variable of the pipeline names another server or project, remove it; if the runner clones from another address on \
             purpose, say so in the job's script: `git remote set-url origin {}`",
            shell_quoted(project.as_str())
        ),
    })
}

/// Whether the checkout's remote is this project.
fn is_at(origin: &str, ci: &CiFacts, project: &Url) -> bool {
    if let Ok(url) = Url::parse(origin)
        && ["http", "https"].contains(&url.scheme())
    {
        return url.origin() == project.origin() && is_same_path(url.path(), project.path());
    }
    let Some(address) = is_ssh(origin).then(|| SshAddress::parse(origin).ok()).flatten() else { return false };
    // over SSH there is no relative URL root
    let root = Url::parse(&ci.server_url).map(|server| server.path().trim_end_matches('/').to_owned()).unwrap_or_default();
    let path = project.path().strip_prefix(&root);
    address.host().eq_ignore_ascii_case(&ci.server_host) && path.is_some_and(|path| is_same_path(address.path(), path))
}

/// The project's address, as all variables say.
fn project(ci: &CiFacts) -> Result<Url, Contradiction> {
    let path = ci.project.path.as_ref().map(|path| path.as_str()).unwrap_or_default();
    let expected = format!("{}/{path}.git", ci.server_url.trim_end_matches('/'));
    match (Url::parse(&expected), Url::parse(&ci.repository_url)) {
        (Ok(expected), Ok(url)) if expected == url && is_bare(&url) => Ok(url),
        _ => Err(Contradiction {
            one: format!("CI_PROJECT_URL is `{}`", shown(ci.repository_url.trim_end_matches(".git"))),
            other: format!("CI_SERVER_URL and CI_PROJECT_PATH make `{}`", shown(expected.trim_end_matches(".git"))),
            hint: REMOVE_IT.to_owned(),
        }),
    }
}

/// Whether it is scheme, host, port and path alone, of HTTP(S).
fn is_bare(url: &Url) -> bool {
    let has_more = url.query().is_some() || url.fragment().is_some();
    let has_user = !url.username().is_empty() || url.password().is_some();
    ["http", "https"].contains(&url.scheme()) && !has_more && !has_user
}

fn is_folder(origin: &str) -> bool {
    origin.starts_with("file://") || !(origin.contains("://") || is_ssh(origin))
}

/// GitLab's paths are the same whatever their case.
fn is_same_path(one: &str, other: &str) -> bool {
    let bare = |path: &str| {
        let path = path.trim_matches('/');
        path.strip_suffix(".git").unwrap_or(path).to_lowercase()
    };
    bare(one) == bare(other)
}

/// An address as it may be shown: a user name or a query may hold a token.
fn shown(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (&text[..scheme.len() + 3], rest));
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}{}", place.split(['?', '#']).next().unwrap_or_default())
}
