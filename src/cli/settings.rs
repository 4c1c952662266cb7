//! Configuration, trust root and log: what decides, and from where it comes.
//!
//! In a CI job whose default branch has a `.deploy-record.yml`, all of it comes from the default branch as the server has it,
//! and from nowhere else. So neither a branch nor a variable of "Run pipeline" can weaken it.

use super::api;
use super::context::Context;
use super::contradiction;
use super::exit::Failure;
use super::location::{DEFAULT_BRANCH, Elsewhere, Location};
use crate::ci::CiFacts;
use crate::config::{self, Config};
use crate::core::escape::shell_quoted;
use crate::core::log::entry::Trust;
use crate::core::record::{CommitId, Digest, Line, Policy};
use crate::core::trust::AllowedSigners;
use crate::gitlab::Gitlab;
use crate::http::RemoteError;
use crate::recorder::RecordError;
use crate::repo::Checkout;
use crate::repo::default_branch::{self, DefaultBranch};
use crate::spool::Spool;
use crate::store::{LogStore, StoreError};
use anyhow::{Context as _, anyhow};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the trust root stands in a repository.
pub const TRUST_ROOT: &str = ".deploy-record/allowed_signers";

/// What decides in this run.
pub struct Settings {
    /// The configuration.
    pub config: Config,
    /// The configuration's digest and origin, for records.
    pub policy: Option<Policy>,
    /// Whom to believe.
    pub trust: Trust,
    /// Where the trust root was read, in words.
    pub trust_origin: Option<String>,
    /// Where the log is.
    pub location: Location,
    /// The log's branch.
    pub branch: String,
    /// GitLab's variables, in a CI job.
    pub ci: Option<CiFacts>,
    /// The repository at hand.
    pub checkout: Option<Checkout>,
    /// Whether the trust root is the one that this repository made for itself.
    pub trusts_only_itself: bool,
    /// Whether the server could not be asked for the default branch's files, so that the job's own commit decides,
    /// as far as it can't weaken anything; nothing may be appended then.
    pub is_stale: bool,
    /// Why the server does not let itself be read, so that it can't be told what decides.
    pub refusal: Option<RemoteError>,
    /// GitLab's API, where there is a token for it (in a job, and elsewhere with an access token), and the server can be asked.
    pub gitlab: Option<Arc<Gitlab>>,
}

impl Settings {
    /// Reads everything that decides.
    ///
    /// # Errors
    /// Where something that was given can't be used, or the default branch can't be read.
    pub fn load(ctx: &Context) -> Result<Settings, Failure> {
        Settings::load_from(ctx, from_server)
    }

    /// As [`Settings::load`], for a deployment that may go ahead while the server can't be reached: then the files of the job's
    /// own commit decide.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_for_delivery(ctx: &Context) -> Result<Settings, Failure> {
        Settings::load_from(ctx, from_server_or_commit)
    }

    /// As [`Settings::load_for_delivery`], for what has happened and must not be lost even where the server refuses to be read:
    /// then `refusal` says so, and nothing may be appended.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn load_to_keep(ctx: &Context) -> Result<Settings, Failure> {
        Settings::load_from(ctx, from_server_or_commit_to_keep)
    }

    fn load_from(ctx: &Context, in_job: FromServer) -> Result<Settings, Failure> {
        let ci = ctx.ci()?;
        let checkout = ctx.checkout(ci.as_ref())?;
        if let Some(ci) = &ci {
            contradiction::refuse(ctx, ci, checkout.as_ref())?;
        }
        let mut files = match &ci {
            Some(ci) => in_job(ctx, ci, checkout.as_ref())?,
            None => from_disk(ctx, checkout.as_ref())?,
        };
        let (config, policy) = match &files.config {
            Some(file) => (parse(file)?, policy(file)),
            None => (Config::default(), None),
        };
        let config = if files.is_stale { config.without_leniency() } else { config };
        if ci.is_some() && (files.config.is_some() || files.is_stale) {
            refuse_overrides(ctx, &config, files.is_stale)?;
        }
        let branch = ctx.global.branch.clone().or_else(|| config.log.branch.clone());
        let branch = branch.unwrap_or_else(|| DEFAULT_BRANCH.to_owned());
        check_branch(&branch)?;
        let is_vouched_for = ci.is_none() || (files.is_from_server && ctx.global.log.is_none());
        let elsewhere = if is_vouched_for { Elsewhere::Allowed } else { Elsewhere::Refused };
        let location = match ctx.global.log.as_ref().or(config.log.url.as_ref()) {
            Some(text) => Location::named(text, elsewhere, ctx, ci.as_ref(), checkout.as_ref())?,
            None => Location::by_default(ctx, ci.as_ref(), checkout.as_ref(), &branch)?,
        };
        if let Some(checkout) = checkout.as_ref().filter(|_| ci.is_none() && files.trust_root.is_none()) {
            files.trust_root = own_trust_root(checkout, &location)?;
            files.is_own = files.trust_root.is_some();
        }
        let trust = Trust {
            signers: files.trust_root.as_ref().map(parse_trust_root).transpose()?,
            revocations: config.revocations(),
            log: config.log.id.clone(),
            first: config.log.first,
        };
        let trust_origin = files.trust_root.map(|file| file.origin);
        let (trusts_only_itself, is_stale, refusal) = (files.is_own, files.is_stale, files.refusal);
        // a server that could not be asked for the policy a moment ago is not asked anything else
        let gitlab = if is_stale { None } else { api::gitlab(ctx, ci.as_ref(), checkout.as_ref(), &location).map(Arc::new) };
        Ok(Settings {
            config,
            policy,
            trust,
            trust_origin,
            location,
            branch,
            ci,
            checkout,
            trusts_only_itself,
            is_stale,
            refusal,
            gitlab,
        })
    }

    /// Where records wait that could not be appended: in a job, below its checkout, from where artifacts are taken; else below the
    /// git directory, or where there is none, in the user's own state folder.
    pub fn spool(&self, ctx: &Context) -> Spool {
        if let Some(directory) = self.ci.as_ref().and_then(|ci| ci.project_dir.as_deref()) {
            return Spool::at(PathBuf::from(directory).join(".deploy-record").join("spool"));
        }
        if let Some(checkout) = &self.checkout {
            return Spool::at(checkout.git_dir().join("deploy-record").join("spool"));
        }
        let state = ctx.variable("XDG_STATE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
        let home = || Some(PathBuf::from(ctx.variable("HOME")?).join(".local").join("state"));
        match state.or_else(home) {
            Some(state) => Spool::at(state.join("deploy-record").join("spool")),
            None => Spool::nowhere(),
        }
    }

    /// Opens the log for appending to it.
    ///
    /// # Errors
    /// Where it can't be used.
    pub fn open_log_to_append(&self, ctx: &Context) -> Result<LogStore, Failure> {
        self.location.open_to_append(ctx, &self.branch)
    }

    /// Why nothing may be appended: the server does not let itself be read, so that nobody can tell what decides.
    pub fn refused(&self) -> Option<RecordError> {
        let source = self.refusal.clone()?;
        Some(StoreError::Unreachable { log: "the project's default branch".to_owned(), source }.into())
    }

    /// Opens the log for reading.
    ///
    /// # Errors
    /// Where it can't be used.
    pub fn open_log(&self, ctx: &Context) -> Result<LogStore, Failure> {
        self.location.open(ctx, &self.branch, self.ci.is_some(), self.checkout.as_ref())
    }

    /// Opens the log for a look that leaves nothing behind.
    ///
    /// # Errors
    /// Where it can't be used.
    pub fn open_log_in_passing(&self, ctx: &Context) -> Result<LogStore, Failure> {
        self.location.open_in_passing(ctx, &self.branch, self.ci.is_some(), self.checkout.as_ref())
    }
}

impl Settings {
    /// The command that brings the trust root to where a check by hand expects it.
    pub fn allowed_signers_by_hand(&self, ctx: &Context) -> String {
        let copy = |path: &str| format!("cp {} allowed_signers", shell_quoted(path));
        match (&ctx.global.allowed_signers, &self.checkout, self.trusts_only_itself) {
            (Some(path), ..) => copy(path),
            (None, Some(checkout), true) => copy(&super::identity::own_trust_root(checkout).display().to_string()),
            _ => match self.trust_origin.as_deref().and_then(|origin| origin.split_once(" at ")) {
                Some((branch, _)) => format!("git show {}:{TRUST_ROOT} > allowed_signers", shell_quoted(branch)),
                None => format!("# put the project's `{TRUST_ROOT}` here as allowed_signers"),
            },
        }
    }
}

/// A file's text and where it was read, in words.
struct Source {
    text: Vec<u8>,
    name: String,
    origin: String,
}

impl Source {
    fn described(&self) -> String {
        let is_path = self.origin == format!("`{}`", self.name);
        if is_path { self.origin.clone() } else { format!("`{}` ({})", self.name, self.origin) }
    }
}

#[derive(Default)]
struct Files {
    config: Option<Source>,
    trust_root: Option<Source>,
    /// The configuration is that of the default branch, as the server has it.
    is_from_server: bool,
    is_own: bool,
    is_stale: bool,
    refusal: Option<RemoteError>,
}

type FromServer = fn(&Context, &CiFacts, Option<&Checkout>) -> Result<Files, Failure>;

fn from_server_or_commit(ctx: &Context, ci: &CiFacts, checkout: Option<&Checkout>) -> Result<Files, Failure> {
    match from_server(ctx, ci, checkout) {
        Err(failure) if failure.is_passing && !is_checked_out(ci, checkout) => {
            let commit = ci.sha.short();
            Err(failure.hint(format!(
                "without the server, a deployment goes ahead only where {commit} (CI_COMMIT_SHA) is checked out"
            )))
        }
        Err(failure) if failure.is_passing => from_commit(ctx, ci, checkout, failure),
        decided => decided,
    }
}

fn from_server_or_commit_to_keep(ctx: &Context, ci: &CiFacts, checkout: Option<&Checkout>) -> Result<Files, Failure> {
    let failure = match from_server(ctx, ci, checkout) {
        Err(failure) => failure,
        decided => return decided,
    };
    let Some(refusal) = failure.error.downcast_ref::<RemoteError>().cloned() else { return Err(failure) };
    // a commit that a variable may have chosen names the signer of a claim, and decides nothing else
    let is_refused = !failure.is_passing || !is_checked_out(ci, checkout);
    Ok(Files { refusal: is_refused.then_some(refusal), ..from_commit(ctx, ci, checkout, failure)? })
}

/// Whether the runner checked out what the job says that it is about: a variable can't choose another commit then.
fn is_checked_out(ci: &CiFacts, checkout: Option<&Checkout>) -> bool {
    checkout.and_then(Checkout::head).as_ref() == Some(&ci.sha)
}

/// The files of the default branch as the runner fetched it, or else of the job's own commit, where GitLab protects its ref: elsewhere the pipeline's key signs nothing, not even a claim,
/// unless the default branch allows it.
fn from_commit(ctx: &Context, ci: &CiFacts, checkout: Option<&Checkout>, failure: Failure) -> Result<Files, Failure> {
    let Some(checkout) = checkout else { return Err(failure) };
    if ci.is_protected == Some(false) {
        return Err(failure
            .hint("without the server, a deployment goes ahead, and its outcome is kept, only on a protected branch or tag"));
    }
    // what the runner fetched of the default branch a moment ago, nobody's branch can weaken
    let fetched = checkout.fetched_default_branch();
    let (whose, commit) = match &fetched {
        Some((name, commit)) => (format!("{name} as the runner fetched it"), commit),
        None => ("this job's own commit".to_owned(), &ci.sha),
    };
    ctx.ui.warn(&format!("{:#}; the files of {whose} decide instead", failure.error));
    let origin = format!("{whose}, {}, since the server could not be reached", commit.short());
    let read = |name: &str| {
        let text = checkout.read_file(commit, name).map_err(Failure::unable)?;
        Ok::<_, Failure>(text.map(|text| Source { text, name: name.to_owned(), origin: origin.clone() }))
    };
    Ok(Files { config: read(config::FILE)?, trust_root: read(TRUST_ROOT)?, is_stale: true, ..Files::default() })
}

fn from_server(ctx: &Context, ci: &CiFacts, checkout: Option<&Checkout>) -> Result<Files, Failure> {
    let Location::Remote { read, .. } = Location::by_default(ctx, Some(ci), checkout, DEFAULT_BRANCH)? else {
        return Err(Failure::unable(anyhow!("`{}` is no HTTP address", ci.repository_url)));
    };
    let remote = read.remote(ctx)?;
    let read = default_branch::read(&remote, checkout, &[config::FILE, TRUST_ROOT], ctx.deadline());
    let branch = read.map_err(|error| {
        let hint = super::exit::remote_hint(&error);
        let is_transient = error.is_transient();
        let words = anyhow::Error::new(error).context(format!("can't read the default branch of {}", remote.url()));
        let failure = if is_transient { Failure::passing(words) } else { Failure::unable(words) };
        hint.into_iter().fold(failure, Failure::hint)
    })?;
    let DefaultBranch { name, commit, mut files } = branch;
    contradiction::refuse_default_branch(ctx, &name)?;
    let origin = format!("{name} at {}", commit.short());
    let mut source = |name: &str| files.remove(name).map(|text| Source { text, name: name.to_owned(), origin: origin.clone() });
    let (config, trust_root) = (source(config::FILE), source(TRUST_ROOT));
    if config.is_some() {
        return Ok(Files { config, trust_root, is_from_server: true, ..Files::default() });
    }
    Ok(Files {
        config: given(ctx.global.config.as_ref())?,
        trust_root: given(ctx.global.allowed_signers.as_ref())?.or(trust_root),
        ..Files::default()
    })
}

fn from_disk(ctx: &Context, checkout: Option<&Checkout>) -> Result<Files, Failure> {
    let mut files = Files {
        config: given(ctx.global.config.as_ref())?,
        trust_root: given(ctx.global.allowed_signers.as_ref())?,
        ..Files::default()
    };
    let Some(checkout) = checkout else { return Ok(files) };
    if files.config.is_none()
        && let Some(path) = checkout.work_dir().map(|directory| directory.join(config::FILE))
        && path.symlink_metadata().is_ok()
    {
        files.config = Some(tracked(ctx, checkout, read(&path)?));
    }
    if files.trust_root.is_none()
        && let Some((name, commit)) = checkout.default_branch_commit()
    {
        let text = checkout.read_file(&commit, TRUST_ROOT).map_err(Failure::unable)?;
        if text.is_none() && checkout.work_dir().is_some_and(|directory| directory.join(TRUST_ROOT).exists()) {
            ctx.ui.warn(&format!("`{TRUST_ROOT}` is not on the default branch, {name}, so nobody is trusted by it yet"));
        }
        let origin = format!("{name} at {}", commit.short());
        files.trust_root = text.map(|text| Source { text, name: TRUST_ROOT.to_owned(), origin });
    }
    Ok(files)
}

/// A configuration of the work tree, with the branch and commit that have it; said where the default branch has another one.
fn tracked(ctx: &Context, checkout: &Checkout, file: Source) -> Source {
    let default = checkout.default_branch_commit();
    let head =
        checkout.head().map(|commit| (checkout.branch().map_or_else(|| "HEAD".to_owned(), |name| name.to_string()), commit));
    let has_it = |commit: &CommitId| checkout.read_file(commit, config::FILE).ok().flatten().as_ref() == Some(&file.text);
    if let Some((name, commit)) = default.as_ref().filter(|(_, commit)| has_it(commit)) {
        return Source { origin: format!("{name} at {}", commit.short()), ..file };
    }
    if let Some((name, _)) = &default {
        ctx.ui.warn(&format!("`{}` here is not that of {name}; in a job, that one decides", config::FILE));
    }
    let origin = match head.filter(|(_, commit)| has_it(commit)) {
        Some((name, commit)) => format!("{name} at {}", commit.short()),
        None => format!("`{}` as it is in the work tree, not committed", config::FILE),
    };
    Source { origin, ..file }
}

/// The trust root that this repository made for itself: it says nothing about a log elsewhere.
fn own_trust_root(checkout: &Checkout, location: &Location) -> Result<Option<Source>, Failure> {
    let path = super::identity::own_trust_root(checkout);
    if !location.is_at(checkout.git_dir()) || !path.exists() {
        return Ok(None);
    }
    read(&path).map(Some)
}

fn given(path: Option<&String>) -> Result<Option<Source>, Failure> {
    path.map(|path| read(&PathBuf::from(path))).transpose()
}

/// The most that a configuration or a trust root on disk may hold, in bytes.
const LARGEST_FILE: u64 = 1024 * 1024;

fn read(path: &std::path::Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| Failure::usage(anyhow!("can't read `{name}`: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    // a pipe would never end, and a device could be endless
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return Err(Failure::usage(anyhow!("`{name}` is no file of at most 1 MiB")));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    Ok(Source { text, origin: format!("`{name}`"), name })
}

fn parse(file: &Source) -> Result<Config, Failure> {
    Config::parse(utf8(file)?).with_context(|| file.described()).map_err(Failure::usage)
}

fn parse_trust_root(file: &Source) -> Result<AllowedSigners, Failure> {
    AllowedSigners::parse(utf8(file)?).with_context(|| file.described()).map_err(Failure::usage)
}

fn utf8(file: &Source) -> Result<&str, Failure> {
    std::str::from_utf8(&file.text).map_err(|error| Failure::usage(anyhow!("{} is not UTF-8: {error}", file.described())))
}

fn policy(file: &Source) -> Option<Policy> {
    Some(Policy { sha256: Digest::of(&file.text), reference: Line::clean(&file.origin)?, newer: Default::default() })
}

/// A flag or variable that contradicts the default branch's files is refused, not weighed.
fn refuse_overrides(ctx: &Context, config: &Config, is_stale: bool) -> Result<(), Failure> {
    let global = &ctx.global;
    let overrides = [
        ("--config or DEPLOY_RECORD_CONFIG", global.config.is_some()),
        ("--allowed-signers or DEPLOY_RECORD_ALLOWED_SIGNERS", global.allowed_signers.is_some()),
        ("--log or DEPLOY_RECORD_LOG", global.log.is_some() && global.log != config.log.url),
        ("--branch or DEPLOY_RECORD_BRANCH", global.branch.is_some() && global.branch != config.log.branch),
    ];
    match overrides.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => Err(Failure::usage(anyhow!(
            "policy-override: {name} is given, but {}",
            if is_stale {
                "only the default branch could allow that, and its server could not be reached".to_owned()
            } else {
                format!("the default branch's `{}` decides here", config::FILE)
            }
        ))
        .hint("remove the flag or variable, or change the file on the default branch")),
        None => Ok(()),
    }
}

fn check_branch(branch: &str) -> Result<(), Failure> {
    if git2::Reference::is_valid_name(&format!("refs/heads/{branch}")) && !branch.starts_with('-') {
        return Ok(());
    }
    Err(Failure::usage(anyhow!("`{}` can't be the name of a branch", branch.escape_debug())))
}
