//! Which log, and with which credentials.

use super::context::Context;
use super::exit::Failure;
use crate::ci::CiFacts;
use crate::core::escape::shell_quoted;
use crate::git::{Credentials, GitRemote};
use crate::repo::Checkout;
use crate::store::LogStore;
use anyhow::anyhow;
use std::path::{Path, PathBuf};

/// The branch, where nothing else is said.
pub const DEFAULT_BRANCH: &str = "deploy-log";

/// Where the log is.
#[derive(Debug, Clone)]
pub enum Location {
    /// In a repository on this machine.
    Local(PathBuf),
    /// Behind HTTP(S).
    Remote {
        /// Its address, without credentials.
        url: String,
        /// What to log in with.
        credentials: Option<Credentials>,
    },
    /// Behind SSH: only what the last `git fetch` brought can be read.
    Tracking {
        /// The repository that fetched it.
        repository: PathBuf,
        /// The remote's name.
        remote: String,
    },
}

impl Location {
    /// Finds the log that a text names: a git address, a path, or `local`.
    ///
    /// # Errors
    /// Where the text names nothing that can be used.
    pub fn named(text: &str, ctx: &Context, ci: Option<&CiFacts>, checkout: Option<&Checkout>) -> Result<Location, Failure> {
        if text == "local" {
            if ci.is_some() {
                ctx.ui.warn("this log lies in the job's own checkout and is lost with it");
            }
            return match checkout {
                Some(checkout) => Ok(Location::Local(checkout.git_dir().to_path_buf())),
                None => Err(Failure::usage(anyhow!("`local` means the repository at hand, and there is none"))
                    .hint("run `git init` first, or name the log with --log")),
            };
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return remote(text, ctx, ci);
        }
        if is_ssh(text) {
            return Err(behind_ssh());
        }
        Ok(Location::Local(PathBuf::from(text.strip_prefix("file://").unwrap_or(text))))
    }

    /// Finds the log where nobody names it: in CI the project's own repository, else the one at hand or its remote.
    ///
    /// # Errors
    /// Where there is no repository at hand.
    pub fn by_default(
        ctx: &Context,
        ci: Option<&CiFacts>,
        checkout: Option<&Checkout>,
        branch: &str,
    ) -> Result<Location, Failure> {
        if let Some(ci) = ci {
            return remote(&ci.repository_url, ctx, Some(ci));
        }
        let Some(checkout) = checkout else {
            return Err(Failure::usage(anyhow!("there is no git repository here"))
                .hint("go into one, run `git init`, or name the log with --log"));
        };
        let Some((name, url)) = checkout.remote_with_branch(branch) else {
            return Ok(Location::Local(checkout.git_dir().to_path_buf()));
        };
        if checkout.branch_commit(branch).is_some_and(|own| !checkout.contains(&format!("{name}/{branch}"), &own)) {
            ctx.ui.warn(&format!(
                "there are two logs: this repository's own branch `{branch}`, and that of `{name}`, which is meant here; \
                 `--log local` names the other"
            ));
        }
        if is_ssh(&url) {
            return Ok(Location::Tracking { repository: checkout.git_dir().to_path_buf(), remote: name });
        }
        Location::named(&url, ctx, None, Some(checkout))
    }

    /// Whether something can be appended there at all.
    ///
    /// # Errors
    /// Where the log can only be read from here.
    pub fn check_writable(&self) -> Result<(), Failure> {
        match self {
            Location::Tracking { .. } => Err(behind_ssh()),
            Location::Local(_) | Location::Remote { .. } => Ok(()),
        }
    }

    /// Opens the log.
    ///
    /// # Errors
    /// Where it can't be used.
    pub fn open(&self, ctx: &Context, branch: &str) -> Result<LogStore, Failure> {
        match self {
            Location::Local(path) => LogStore::local(path, branch).map_err(Failure::usage),
            Location::Tracking { repository, remote } => {
                ctx.ui.warn(&format!("the log is behind SSH; this is what the last `git fetch {remote}` brought"));
                LogStore::tracking(repository, remote, branch).map_err(Failure::usage)
            }
            Location::Remote { url, credentials } => {
                let remote = GitRemote::new(url, ctx.http(), credentials.clone()).map_err(Failure::unable)?;
                Ok(LogStore::remote(remote, branch)?)
            }
        }
    }

    /// Whether it is the repository at hand, and nobody else's.
    pub fn is_at(&self, directory: &Path) -> bool {
        matches!(self, Location::Local(path) if same(path, directory) || same(&path.join(".git"), directory))
    }

    /// The address that git fetches from; `None` for a repository on this machine.
    pub fn address(&self) -> Option<&str> {
        match self {
            Location::Remote { url, .. } => Some(url),
            Location::Local(_) | Location::Tracking { .. } => None,
        }
    }

    /// `git`, as it is called to reach the log's objects: in the log's own repository where that is another one than at hand.
    pub fn git_words(&self, checkout: Option<&Checkout>) -> String {
        match self {
            Location::Local(path) if checkout.is_none_or(|checkout| !self.is_at(checkout.git_dir())) => {
                format!("git -C {}", shell_quoted(&path.display().to_string()))
            }
            _ => "git".to_owned(),
        }
    }

    /// The host, for the committer's address.
    pub fn host(&self) -> Option<String> {
        match self {
            Location::Remote { url, .. } => url::Url::parse(url).ok()?.host_str().map(str::to_owned),
            Location::Local(_) | Location::Tracking { .. } => None,
        }
    }
}

fn behind_ssh() -> Failure {
    Failure::usage(anyhow!("the log is behind SSH, where it can't be reached from here"))
        .hint("give its HTTPS address with --log, and a token with --token or DEPLOY_RECORD_TOKEN")
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn is_ssh(text: &str) -> bool {
    let scp_like = text.split_once(':').is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    text.starts_with("ssh://") || text.starts_with("git+ssh://") || scp_like
}

fn remote(text: &str, ctx: &Context, ci: Option<&CiFacts>) -> Result<Location, Failure> {
    let mut url =
        url::Url::parse(text).map_err(|error| Failure::usage(anyhow!("the log's address makes no sense: {error}")))?;
    let user = url.username().to_owned();
    let password = url.password().map(str::to_owned);
    let unusable = |()| Failure::usage(anyhow!("the log's address has no host"));
    url.set_username("").map_err(unusable)?;
    url.set_password(None).map_err(unusable)?;
    let is_own = ci.and_then(|ci| url::Url::parse(&ci.server_url).ok()).is_none_or(|server| server.origin() == url.origin());
    if !is_own && ctx.global.log.is_some() {
        // whoever starts a pipeline can set a variable, and would be sent the token
        return Err(Failure::usage(anyhow!(
            "in a job, a log on another server than the job's is named by no flag or variable"
        ))
        .hint("name it in `.deploy-record.yml` on the default branch: log: { url: … }"));
    }
    let credentials = match (&ctx.global.token, password) {
        (Some(token), _) => Some(Credentials::new(user_for(token, ctx), token)),
        (None, Some(password)) => Some(Credentials::new(&user, &password)),
        (None, None) if !user.is_empty() => Some(Credentials::new(&user, "")),
        (None, None) => job_token(&url, ctx, ci),
    };
    Ok(Location::Remote { url: url.as_str().trim_end_matches('/').to_owned(), credentials })
}

fn user_for(token: &str, ctx: &Context) -> &'static str {
    if ctx.variable("CI_JOB_TOKEN").as_deref() == Some(token) { "gitlab-ci-token" } else { "oauth2" }
}

/// The job's token, and only for the job's own server.
fn job_token(url: &url::Url, ctx: &Context, ci: Option<&CiFacts>) -> Option<Credentials> {
    let server = url::Url::parse(&ci?.server_url).ok()?;
    let token = ctx.variable("CI_JOB_TOKEN").filter(|token| !token.is_empty())?;
    (server.origin() == url.origin()).then(|| Credentials::new("gitlab-ci-token", &token))
}
