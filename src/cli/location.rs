//! Which log, and with which credentials.

use super::cache;
use super::context::Context;
use super::exit::Failure;
use crate::ci::CiFacts;
use crate::command::OWN_SECRETS;
use crate::core::escape::shell_quoted;
use crate::git::{CredentialHelper, Credentials, GitRemote, Login, Ssh, SshAddress, SshProgram, is_ssh, percent_decoded};
use crate::repo::{Checkout, ssh_command};
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
    /// On a server.
    Remote {
        /// Where it is read.
        read: Box<Address>,
        /// Where it is appended to: another address only where git's configuration has one for pushing.
        write: Box<Address>,
        /// The name of the remote whose it is, where git has fetched the branch.
        fetched: Option<String>,
    },
}

/// Whether a job's log may be on another server than the job's: its token is sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    /// The default branch, as the server has it, names it.
    Allowed,
    /// Something else does, which whoever starts a pipeline can set.
    Refused,
}

/// How a repository on a server is reached.
#[derive(Debug, Clone)]
pub enum Address {
    /// By HTTP(S).
    Http {
        /// Without credentials.
        url: String,
        /// How to log in.
        login: Login,
        /// The folder whose git configuration counts; none does in a job.
        directory: Option<PathBuf>,
    },
    /// By the person's own ssh.
    Ssh {
        /// User, host and path.
        address: SshAddress,
        /// The program.
        ssh: Ssh,
    },
}

impl Address {
    /// The remote there; nothing is asked yet.
    ///
    /// # Errors
    /// Where libgit2 refuses it.
    pub fn remote(&self, ctx: &Context) -> Result<GitRemote, Failure> {
        let remote = match self {
            Address::Http { url, login, directory } => {
                let http = directory.as_ref().map_or_else(|| ctx.http(), |directory| ctx.http_as_git(directory, url));
                GitRemote::http(url, http, login.clone())
            }
            Address::Ssh { address, ssh } => GitRemote::ssh(address, ssh.clone()),
        };
        remote.map_err(Failure::unable)
    }

    fn host(&self) -> Option<String> {
        match self {
            Address::Http { url, .. } => url::Url::parse(url).ok()?.host_str().map(str::to_owned),
            Address::Ssh { address, .. } => Some(address.host().to_owned()),
        }
    }

    fn git_address(&self) -> String {
        match self {
            Address::Http { url, .. } => url.clone(),
            Address::Ssh { address, .. } => address.to_string(),
        }
    }
}

impl Location {
    /// Finds the log that a text names: a git address, a path, or `local`.
    ///
    /// # Errors
    /// Where the text names nothing that can be used.
    pub fn named(
        text: &str,
        elsewhere: Elsewhere,
        ctx: &Context,
        ci: Option<&CiFacts>,
        checkout: Option<&Checkout>,
    ) -> Result<Location, Failure> {
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
        Ok(match address(text, elsewhere, ctx, ci, checkout)? {
            Some(address) => Location::Remote { read: Box::new(address.clone()), write: Box::new(address), fetched: None },
            None => Location::Local(PathBuf::from(text.strip_prefix("file://").unwrap_or(text))),
        })
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
            return Location::named(&ci.repository_url, Elsewhere::Refused, ctx, Some(ci), checkout);
        }
        let Some(checkout) = checkout else {
            return Err(Failure::usage(anyhow!("there is no git repository here"))
                .hint("go into one, run `git init`, or name the log with --log"));
        };
        let Some(remote) = checkout.remote_with_branch(branch) else {
            return Ok(Location::Local(checkout.git_dir().to_path_buf()));
        };
        if checkout.branch_commit(branch).is_some_and(|own| !checkout.contains(&format!("{}/{branch}", remote.name), &own)) {
            ctx.ui.warn(&format!(
                "there are two logs: this repository's own branch `{branch}`, and that of `{}`, which is meant here; \
                 `--log local` names the other",
                remote.name
            ));
        }
        let named = Location::named(&remote.url, Elsewhere::Allowed, ctx, None, Some(checkout))?;
        let push =
            remote.push_url.map(|url| address(&url, Elsewhere::Allowed, ctx, None, Some(checkout))).transpose()?.flatten();
        Ok(match named {
            Location::Remote { read, write, .. } => {
                Location::Remote { read, write: push.map_or(write, Box::new), fetched: Some(remote.name) }
            }
            local @ Location::Local(_) => local,
        })
    }

    /// Opens the log for reading: outside of jobs through a copy on this machine.
    ///
    /// # Errors
    /// Where it can't be used.
    pub fn open(&self, ctx: &Context, branch: &str, is_job: bool, checkout: Option<&Checkout>) -> Result<LogStore, Failure> {
        match self {
            Location::Local(path) => LogStore::local(path, branch).map_err(Failure::usage),
            Location::Remote { read, .. } if is_job => Ok(LogStore::remote(read.remote(ctx)?, branch)?),
            Location::Remote { read, fetched, .. } => {
                let cache = cache::open(ctx, checkout, &read.git_address(), branch);
                let fetched = checkout.map(|checkout| checkout.git_dir().to_path_buf()).zip(fetched.clone());
                Ok(LogStore::cached(read.remote(ctx)?, branch, cache, fetched, cache::on_notice(ctx))?)
            }
        }
    }

    /// Opens the log for a look that leaves nothing behind: through a copy only where there is one.
    ///
    /// # Errors
    /// Where it can't be used.
    pub fn open_in_passing(
        &self,
        ctx: &Context,
        branch: &str,
        is_job: bool,
        checkout: Option<&Checkout>,
    ) -> Result<LogStore, Failure> {
        match self {
            Location::Remote { read, .. } if !cache::is_there(ctx, checkout, &read.git_address(), branch) => {
                Ok(LogStore::remote(read.remote(ctx)?, branch)?)
            }
            _ => self.open(ctx, branch, is_job, checkout),
        }
    }

    /// Opens the log for appending to it.
    ///
    /// # Errors
    /// Where it can't be used.
    pub fn open_to_append(&self, ctx: &Context, branch: &str) -> Result<LogStore, Failure> {
        match self {
            Location::Local(path) => LogStore::local(path, branch).map_err(Failure::usage),
            Location::Remote { write, .. } => Ok(LogStore::remote(write.remote(ctx)?, branch)?),
        }
    }

    /// Whether it is the repository at hand, and nobody else's.
    pub fn is_at(&self, directory: &Path) -> bool {
        matches!(self, Location::Local(path) if same(path, directory) || same(&path.join(".git"), directory))
    }

    /// The address that git fetches from; `None` for a repository on this machine.
    pub fn address(&self) -> Option<String> {
        match self {
            Location::Remote { read, .. } => Some(read.git_address()),
            Location::Local(_) => None,
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
            Location::Remote { read, .. } => read.host(),
            Location::Local(_) => None,
        }
    }
}

/// The address on a server that a text is; `None` for anything else.
fn address(
    text: &str,
    elsewhere: Elsewhere,
    ctx: &Context,
    ci: Option<&CiFacts>,
    checkout: Option<&Checkout>,
) -> Result<Option<Address>, Failure> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return http_address(text, elsewhere, ctx, ci, checkout).map(Some);
    }
    if !is_ssh(text) {
        return Ok(None);
    }
    let address = SshAddress::parse(text).map_err(Failure::usage)?;
    Ok(Some(Address::Ssh { address, ssh: Ssh::new(ssh_program(ctx, checkout), &OWN_SECRETS) }))
}

/// As git finds it.
fn ssh_program(ctx: &Context, checkout: Option<&Checkout>) -> SshProgram {
    let variable = |name: &str| ctx.variable(name).filter(|value| !value.is_empty());
    let line = variable("GIT_SSH_COMMAND").or_else(|| ssh_command(checkout));
    line.map(SshProgram::Shell).unwrap_or_else(|| SshProgram::Program(variable("GIT_SSH").unwrap_or_else(|| "ssh".to_owned())))
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn http_address(
    text: &str,
    elsewhere: Elsewhere,
    ctx: &Context,
    ci: Option<&CiFacts>,
    checkout: Option<&Checkout>,
) -> Result<Address, Failure> {
    let mut url =
        url::Url::parse(text).map_err(|error| Failure::usage(anyhow!("the log's address makes no sense: {error}")))?;
    let unusable = |()| Failure::usage(anyhow!("the log's address has no host"));
    let unreadable = || Failure::usage(anyhow!("the user name or password in the log's address makes no sense"));
    let user = percent_decoded(url.username()).ok_or_else(unreadable)?;
    let password = url.password().map(|text| percent_decoded(text).ok_or_else(unreadable)).transpose()?;
    url.set_username("").map_err(unusable)?;
    url.set_password(None).map_err(unusable)?;
    let is_own = ci.and_then(|ci| url::Url::parse(&ci.server_url).ok()).is_none_or(|server| server.origin() == url.origin());
    if !is_own && elsewhere == Elsewhere::Refused {
        return Err(Failure::usage(anyhow!(
            "in a job, a log on another server than the job's is named by no flag or variable"
        ))
        .hint("name it in `.deploy-record.yml` on the default branch: log: { url: … }"));
    }
    let directory = if ci.is_none() { Some(directory(checkout)?) } else { None };
    let login = match (&ctx.global.token, password, &directory) {
        (Some(token), ..) => Login::As(Credentials::new(user_for(token, ctx), token)),
        (None, Some(password), _) => Login::As(Credentials::new(&user, &password)),
        (None, None, Some(directory)) => {
            let user = Some(user).filter(|user| !user.is_empty());
            Login::Ask(CredentialHelper::new(directory.clone(), user, ctx.ui.has_person(), &OWN_SECRETS))
        }
        (None, None, None) if !user.is_empty() => Login::As(Credentials::new(&user, "")),
        (None, None, None) => job_token(&url, ctx, ci).map_or(Login::Nobody, Login::As),
    };
    Ok(Address::Http { url: url.as_str().trim_end_matches('/').to_owned(), login, directory })
}

/// Where git is asked for its configuration.
fn directory(checkout: Option<&Checkout>) -> Result<PathBuf, Failure> {
    match checkout {
        Some(checkout) => Ok(checkout.work_dir().unwrap_or(checkout.git_dir()).to_path_buf()),
        None => std::env::current_dir().map_err(Failure::unable),
    }
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
