//! What the commands that append have in common: signer, log, redaction, and the recorder made of them.

use super::context::Context;
use super::exit::Failure;
use super::identity;
use super::settings::Settings;
use crate::core::record::Name;
use crate::core::redact::Redactor;
use crate::recorder::Recorder;
use crate::signer::Signer;
use crate::store::LogStore;

/// An opened log and who signs in it.
pub struct LogWriter<'a> {
    /// What decides in this run.
    pub settings: Settings,
    /// What takes secrets out of records.
    pub redactor: Redactor,
    ctx: &'a Context,
    signer: Signer,
    store: LogStore,
}

impl<'a> LogWriter<'a> {
    /// Finds the signer for this environment and opens the log.
    ///
    /// # Errors
    /// Where there is no key that may sign, or the log can't be used.
    pub fn open(ctx: &'a Context, mut settings: Settings, environment: &Name) -> Result<LogWriter<'a>, Failure> {
        settings.location.check_writable()?;
        let store = settings.open_log(ctx)?;
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
        Ok(LogWriter { settings, redactor, ctx, signer, store })
    }

    /// What appends to this log.
    pub fn recorder(&self) -> Recorder<'_> {
        Recorder {
            store: &self.store,
            trust: &self.settings.trust,
            signer: &self.signer,
            redactor: &self.redactor,
            now: Box::new(|| self.ctx.now()),
            checks_clock: self.settings.ci.is_some(),
            on_retry: Box::new(|problem| self.ctx.ui.verbose(&format!("trying again: {problem}"))),
        }
    }
}
