//! Who signs here, with which key.

use super::context::Context;
use super::exit::Failure;
use super::settings::Settings;
use crate::command::OWN_SECRETS;
use crate::core::record::Name;
use crate::core::trust::{AllowedSigners, line_to_add};
use crate::keys::{self, Agent, FileMode, Found, KeyError, SigningKey};
use crate::repo::Checkout;
use crate::signer::Signer;
use anyhow::{Context as _, anyhow};
use ssh_key::{PrivateKey, PublicKey};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an SSH agent may take to sign where somebody is there to confirm it, and where nobody is.
const LONGEST_TOUCH: Duration = Duration::from_secs(120);
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// The principal of a key that a repository made for itself.
pub const OWN_PRINCIPAL: &str = "ci:local";

/// Where a repository's own trust root is, below the git directory.
pub fn own_trust_root(checkout: &Checkout) -> PathBuf {
    checkout.git_dir().join("deploy-record").join("allowed_signers")
}

/// The signer of this run, in this environment; makes the repository's own key where nothing is set up and nobody else is
/// concerned.
///
/// # Errors
/// Where there is no key, or it can't be used, or the trust root does not have it.
pub fn signer(ctx: &Context, settings: &mut Settings, environment: Option<&Name>) -> Result<Signer, Failure> {
    let signer = find_signer(ctx, settings)?;
    refuse_unprotected(settings, signer.principal(), environment)?;
    Ok(signer)
}

/// The person outside of a job whose key would sign, as far as that can be told without opening it.
pub fn person_here(ctx: &Context, settings: &Settings) -> Option<Name> {
    let signers = settings.trust.signers.as_ref().filter(|_| settings.ci.is_none() && !settings.trusts_only_itself)?;
    let looked_at = |source: &str| keys::look(&ctx.expand_home(source), FileMode::Any).ok();
    let known = |key: &PublicKey| signers.principals_of(key).map(str::to_owned);
    let of_git = || looked_at(&settings.checkout.as_ref()?.signing_key()?);
    let principal = match (&ctx.global.principal, &ctx.global.key) {
        (Some(principal), _) => Some(principal.clone()),
        (None, Some(source)) => known(looked_at(source)?.key()),
        (None, None) => match of_git() {
            Some(found) => known(found.key()),
            None => known(&only_agent_key(ctx, signers)?.public_key().clone()),
        },
    };
    principal.filter(|principal| !principal.starts_with("ci:")).and_then(|principal| Name::new(principal).ok())
}

/// Whoever can push to an unprotected ref could sign with the pipeline's key there.
///
/// # Errors
/// Where that is so, and the configuration does not allow it for this environment.
pub fn refuse_unprotected(settings: &Settings, principal: &Name, environment: Option<&Name>) -> Result<(), Failure> {
    let is_unprotected = settings.ci.as_ref().is_some_and(|ci| ci.is_protected == Some(false));
    refuse_signing(is_unprotected, settings, principal, environment)
}

/// The same where it was told in another way whether the ref is protected.
///
/// # Errors
/// As [`refuse_unprotected`].
pub fn refuse_signing(
    is_unprotected: bool,
    settings: &Settings,
    principal: &Name,
    environment: Option<&Name>,
) -> Result<(), Failure> {
    let is_allowed = settings.config.signers.unprotected.iter().any(|name| Some(name) == environment);
    if !is_unprotected || is_allowed || !principal.as_str().starts_with("ci:") {
        return Ok(());
    }
    let failure =
        Failure::usage(anyhow!("`{principal}` does not sign here: GitLab says that this branch or tag is not protected"))
            .hint("deploy from a protected branch or tag (Settings > Repository), and make the key's variable protected too");
    Err(match environment {
        None => failure,
        Some(environment) => failure.hint(format!(
            "or allow it for this environment in `.deploy-record.yml`: signers: {{ unprotected: [\"{environment}\"] }}"
        )),
    })
}

fn find_signer(ctx: &Context, settings: &mut Settings) -> Result<Signer, Failure> {
    if let Some(source) = &ctx.global.key {
        let mode = if settings.ci.is_some() { FileMode::Any } else { FileMode::OwnerOnly };
        let key = open(ctx, source, mode, keys::look(source, mode)?)?;
        return named(ctx, settings, key);
    }
    if settings.ci.is_some() {
        return Err(Failure::usage(anyhow!("there is no signing key"))
            .hint("make one with `deploy-record keygen`, and give it to protected jobs as the variable DEPLOY_RECORD_KEY"));
    }
    let trusted = settings.trust.signers.as_ref().filter(|_| !settings.trusts_only_itself);
    if let Some(signers) = trusted {
        let key = match settings.checkout.as_ref().and_then(Checkout::signing_key) {
            Some(source) => git_signing_key(ctx, &source, signers)?,
            None => only_agent_key(ctx, signers),
        };
        if let Some(key) = key {
            return named(ctx, settings, key);
        }
    }
    let Some(checkout) = settings.checkout.as_ref().filter(|checkout| settings.location.is_at(checkout.git_dir())) else {
        return Err(no_key(settings));
    };
    if settings.trust.signers.is_some() && !settings.trusts_only_itself {
        return Err(no_key(settings));
    }
    let (key, line) = own_key(ctx, checkout)?;
    if settings.trust.signers.is_none() {
        settings.trust.signers = Some(AllowedSigners::parse(&line).map_err(Failure::usage)?);
        settings.trusts_only_itself = true;
    }
    let principal = Name::new(OWN_PRINCIPAL).map_err(|problem| Failure::usage(anyhow!(problem)))?;
    Ok(Signer::new(principal, email(settings), key))
}

fn no_key(settings: &Settings) -> Failure {
    let has_own = settings.checkout.as_ref().is_some_and(|checkout| own_trust_root(checkout).exists());
    let is_shared = settings.location.address().is_some();
    let failure = match (&settings.trust.signers, is_shared && has_own) {
        (_, true) => Failure::usage(anyhow!("the log is shared, and this repository's own key signs only in a log of its own"))
            .hint("go on in the log of this repository alone with `--log local`, or set up a key that others trust:"),
        (Some(_), false) => Failure::usage(anyhow!("there is no signing key that the trust root has")),
        (None, false) => Failure::usage(anyhow!("there is no signing key, and no trust root")),
    };
    failure
        .hint("give one with --key, or set git's `gpg.format ssh` and `user.signingkey`")
        .hint("`deploy-record keygen` makes one, and prints the line for `.deploy-record/allowed_signers`")
}

/// Opens a key that was looked at: through the agent where the private half is not here or locked, and the agent has it.
fn open(ctx: &Context, source: &str, mode: FileMode, found: Found) -> Result<SigningKey, Failure> {
    let is_rsa = matches!(found.key().algorithm(), ssh_key::Algorithm::Rsa { .. });
    let is_security_key = found.is_security_key();
    let ui = Arc::clone(&ctx.ui);
    let notice: keys::Notice = Arc::new(move |words| ui.say(words));
    let wants_agent = is_rsa || is_security_key || !matches!(found, Found::Private { is_locked: false, .. });
    if wants_agent && let Some(agent) = agent(ctx).filter(|agent| agent.holds(found.key())) {
        return Ok(SigningKey::of_agent(found.key().clone(), agent, notice));
    }
    match found {
        Found::Public { key, beside } => match beside.filter(|path| path.exists()) {
            Some(path) => {
                let source = path.display().to_string();
                open(ctx, &source, mode, keys::look(&source, mode)?)
            }
            None => Err(KeyError::OnlyPublic(crate::core::seal::fingerprint(&key)).into()),
        },
        Found::Private { key, file: Some(file), .. } if is_security_key => {
            Ok(SigningKey::of_security_key(key, file, &OWN_SECRETS, notice))
        }
        Found::Private { .. } => Ok(load(ctx, source, mode)?.into()),
    }
}

fn agent(ctx: &Context) -> Option<Agent> {
    let socket = ctx.variable("SSH_AUTH_SOCK").filter(|path| !path.is_empty())?;
    // a person may have to confirm, or to touch a security key
    let patience = if ctx.ui.has_person() { LONGEST_TOUCH } else { LONGEST_ANSWER.min(ctx.global.timeout) };
    Some(Agent::new(PathBuf::from(socket), patience))
}

fn load(ctx: &Context, source: &str, mode: FileMode) -> Result<PrivateKey, Failure> {
    let mut passphrase = || match ctx.variable("DEPLOY_RECORD_KEY_PASSPHRASE").filter(|text| !text.is_empty()) {
        Some(text) => Ok(Some(Zeroizing::new(text))),
        None => ctx.ui.ask_passphrase("Passphrase of the signing key: "),
    };
    Ok(keys::load(source, mode, &mut passphrase)?)
}

fn named(ctx: &Context, settings: &Settings, key: SigningKey) -> Result<Signer, Failure> {
    let public = key.public_key();
    let listed = settings.trust.signers.as_ref().and_then(|signers| signers.principals_of(public));
    let principal = match (&ctx.global.principal, listed) {
        (Some(given), _) if settings.trust.signers.is_some() => given.clone(),
        (None, Some(listed)) => listed.to_owned(),
        (given, _) => {
            let by_custom = if settings.ci.is_some() { "ci:main" } else { "YOUR-GITLAB-LOGIN" };
            let suggestion = given.as_deref().unwrap_or(by_custom);
            let line = line_to_add(suggestion, public);
            let fingerprint = crate::core::seal::fingerprint(public);
            let error = match settings.trust.signers {
                Some(_) => anyhow!("the trust root does not have the key {fingerprint}"),
                None => anyhow!("there is no trust root that has the key {fingerprint}"),
            };
            return Err(Failure::usage(error)
                .hint(format!("add this line to `{}` on the default branch: {line}", super::settings::TRUST_ROOT)));
        }
    };
    let principal = Name::new(principal).map_err(|problem| Failure::usage(anyhow!("--principal: it {problem}")))?;
    Ok(Signer::new(principal, email(settings), key))
}

/// Git's own signing key, where the trust root has it: one that it does not have is not even opened.
fn git_signing_key(ctx: &Context, source: &str, signers: &AllowedSigners) -> Result<Option<SigningKey>, Failure> {
    let source = ctx.expand_home(source);
    // the public half's file may be missing beside the private one
    let beside = source.strip_suffix(".pub").filter(|private| !Path::new(&source).exists() && Path::new(private).exists());
    let source = beside.unwrap_or(&source);
    let found = match keys::look(source, FileMode::OwnerOnly) {
        Ok(found) => found,
        // `user.signingkey` may name what is on another machine
        Err(KeyError::Missing(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match signers.principals_of(found.key()) {
        Some(_) => open(ctx, source, FileMode::OwnerOnly, found).map(Some),
        None => Ok(None),
    }
}

/// The agent's key that the trust root has, where it is the only one.
fn only_agent_key(ctx: &Context, signers: &AllowedSigners) -> Option<SigningKey> {
    let agent = agent(ctx)?;
    let keys = agent.keys().inspect_err(|error| ctx.ui.verbose(&error.to_string())).ok()?;
    let mut known = keys.into_iter().filter(|key| signers.principals_of(key).is_some());
    let (key, None) = (known.next()?, known.next()) else {
        ctx.ui.verbose("the SSH agent holds several keys that the trust root has; --key names one");
        return None;
    };
    let ui = Arc::clone(&ctx.ui);
    Some(SigningKey::of_agent(key, agent, Arc::new(move |words| ui.say(words))))
}

/// The repository's own key, made on first use; and its line of the trust root.
fn own_key(ctx: &Context, checkout: &Checkout) -> Result<(PrivateKey, String), Failure> {
    let path = checkout.git_dir().join("deploy-record").join("key");
    if !path.exists() {
        make_own_key(&path).map_err(Failure::unable)?;
        ctx.ui.say(&format!("made a signing key for this repository alone: {}", path.display()));
    }
    let key = load(ctx, &path.display().to_string(), FileMode::OwnerOnly)?;
    let line = line_to_add(OWN_PRINCIPAL, key.public_key());
    let root = own_trust_root(checkout);
    if !root.exists() {
        write_once(&root, &format!("{line}\n")).map_err(Failure::unable)?;
    }
    Ok((key, line))
}

fn make_own_key(path: &Path) -> anyhow::Result<()> {
    let key = keys::generate(OWN_PRINCIPAL)?;
    write_once(path, &key.to_openssh(ssh_key::LineEnding::LF)?)
}

/// Writes a file that only its owner can read, beside its place, and moves it there unless there is one by then: two first runs at
/// once agree, and nobody sees half of it.
fn write_once(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path.parent().context("the path has no folder")?;
    std::fs::create_dir_all(directory).with_context(|| format!("can't make `{}`", directory.display()))?;
    let mut file =
        tempfile::NamedTempFile::new_in(directory).with_context(|| format!("can't write in `{}`", directory.display()))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error).with_context(|| format!("can't write `{}`", path.display())),
    }
}

fn email(settings: &Settings) -> String {
    let host = settings.ci.as_ref().map(|ci| ci.server_host.clone()).or_else(|| settings.location.host());
    let host = host.unwrap_or_else(|| "localhost".to_owned());
    settings.config.log.committer_email.clone().unwrap_or_else(|| format!("noreply@{host}"))
}
