//! What the commands that append have in common: signer, log, redaction, and the recorder made of them.

use super::cache;
use super::context::Context;
use super::exit::Failure;
use super::identity;
use super::settings::Settings;
use crate::core::log::late::Claim;
use crate::core::record::Name;
use crate::core::redact::Redactor;
use crate::http::Deadline;
use crate::recorder::Recorder;
use crate::signer::Signer;
use crate::spool::{Held, HoldError, Spool};
use crate::store::LogStore;
use anyhow::anyhow;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// An opened log and who signs in it.
pub struct LogWriter<'a> {
    /// What decides in this run.
    pub settings: Settings,
    /// What takes secrets out of records.
    pub redactor: Redactor,
    /// Where records wait that can't be appended.
    pub spool: Spool,
    /// Number of the newest record that this machine has seen in the log.
    newest_seen: Option<u64>,
    ctx: &'a Context,
    environment: Option<Name>,
    signer: Signer,
    store: LogStore,
}

impl<'a> LogWriter<'a> {
    /// Finds the signer for this environment and opens the log.
    ///
    /// # Errors
    /// Where there is no key that may sign, or the log can't be used.
    pub fn open(ctx: &'a Context, mut settings: Settings, environment: Option<&Name>) -> Result<LogWriter<'a>, Failure> {
        let store = settings.open_log_to_append(ctx)?;
        store.check_writable().map_err(Failure::usage)?;
        refuse_second_log(ctx, &settings)?;
        let signer = identity::signer(ctx, &mut settings, environment)?;
        let is_elsewhere = settings.ci.is_none()
            && settings.checkout.as_ref().is_none_or(|checkout| !settings.location.is_at(checkout.git_dir()));
        let words = format!("log: {}, signed by `{}`", store.description(), signer.principal());
        if is_elsewhere {
            ctx.ui.say(&words)
        } else {
            ctx.ui.verbose(&words)
        }
        let redactor = ctx.redactor(&settings.config.redact.allow);
        let spool = settings.spool(ctx);
        let newest_seen = newest_seen(ctx, &settings);
        Ok(LogWriter { settings, redactor, spool, newest_seen, ctx, environment: environment.cloned(), signer, store })
    }

    /// The same with what decides by now, where the server could not be asked before and can be again.
    pub fn refreshed(&self) -> Option<LogWriter<'a>> {
        let settings = self.settings.is_stale.then(|| Settings::load(self.ctx).ok()).flatten()?;
        LogWriter::open(self.ctx, settings, self.environment.as_ref()).ok()
    }

    /// The moment to give up at. It has passed where the server could not say what decides: nothing is sent to a log that the job's
    /// own commit could have chosen.
    pub fn deadline(&self) -> Deadline {
        let deadline = self.ctx.deadline();
        if self.settings.is_stale { deadline.at_most(Duration::ZERO) } else { deadline }
    }

    /// Whether this signer may append that claim.
    ///
    /// # Errors
    /// As [`identity::refuse_unprotected`].
    pub fn may_sign_for(&self, claim: &Claim) -> Result<(), Failure> {
        let environment = claim.record().environment.as_ref().map(|environment| &environment.name);
        identity::refuse_unprotected(&self.settings, self.signer.principal(), environment)
    }

    /// What appends to this log.
    pub fn recorder(&self) -> Recorder<'_> {
        Recorder {
            store: &self.store,
            trust: &self.settings.trust,
            signer: &self.signer,
            redactor: &self.redactor,
            newest_seen: self.newest_seen,
            now: Box::new(|| self.ctx.now()),
            on_retry: Box::new(|problem| self.ctx.ui.verbose(&format!("trying again: {problem}"))),
        }
    }
}

/// Holds a claim that waits; `None` where it is gone: somebody has replayed it.
///
/// # Errors
/// Where another process works on it.
pub fn hold(claim: &Path) -> Result<Option<Held>, Failure> {
    match Held::take(claim) {
        Ok(held) => Ok(Some(held)),
        Err(HoldError::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::unable(anyhow!("the start waits in `{}`, and {error}", claim.display()))
            .hint("nothing was recorded; try again when that is done")),
    }
}

/// What readers noted of a remote log on this machine: a job's machine has seen nothing.
fn newest_seen(ctx: &Context, settings: &Settings) -> Option<u64> {
    let address = settings.location.address().filter(|_| settings.ci.is_none())?;
    cache::newest_seen(ctx, settings.checkout.as_ref(), &address, &settings.branch)
}

/// A log that others share is not begun anew in a clone that has not fetched its branch.
fn refuse_second_log(ctx: &Context, settings: &Settings) -> Result<(), Failure> {
    let (None, Some(checkout)) = (&settings.ci, &settings.checkout) else { return Ok(()) };
    let is_named = ctx.global.log.is_some() || settings.config.log.url.is_some();
    let begins = settings.location.is_at(checkout.git_dir()) && checkout.branch_commit(&settings.branch).is_none();
    let (false, true, Some(remote)) = (is_named, begins, checkout.first_remote()) else { return Ok(()) };
    if settings.trust.signers.is_some() && !settings.trusts_only_itself {
        return Err(Failure::usage(anyhow!("this clone has no branch `{}`, and `{remote}` may have one", settings.branch))
            .hint(format!(
                "bring it with `git fetch {remote} {0}:refs/remotes/{remote}/{0}`, or name the log with --log",
                settings.branch
            ))
            .hint(format!(
                "where nobody has begun one, begin it there: once with `--log ADDRESS`, that of `{remote}`, then `git fetch`"
            ))
            .hint("`--log local` begins one in this clone alone"));
    }
    ctx.ui.warn(&format!(
        "this begins a log in this clone alone; if `{remote}` has one, fetch its branch `{}` first",
        settings.branch
    ));
    Ok(())
}
