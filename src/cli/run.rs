//! `deploy-record run`: record the start, run the command, record the outcome.

use super::capture::{Delivery, DeliveryArgs, SaidArgs, not_recorded};
use super::context::Context;
use super::ending::{self, Started};
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::starting::{self, Begin, Begun};
use super::writer::LogWriter;
use super::{follow_up, tokens};
use crate::command::{self, Finished, Signals};
use crate::core::record::{Record, Status, Time};
use crate::recorder::Kept;
use clap::Args;
use std::ffi::OsString;

/// Run a deployment and record it: who, what, where, when, and how it ended.
///
/// Standard input, output and error, signals and the exit code are the command's own, and so is the environment, but for the
/// signing key and the tokens for deploy-record. Where the log can't be reached, `log_unreachable` in the configuration decides whether the run stops before the command or goes ahead with its records in the spool; once the command has started, its exit code is the outcome, whatever becomes of the record.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record run --environment staging -- ./deploy.sh\n  deploy-record run -e production --version 1.4.2 --ticket PAY-7 -- kubectl rollout restart deployment/api\n  deploy-record run -e staging -- sh -c 'make deploy && make smoke-test'"
)]
pub struct Run {
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    said: SaidArgs,
    /// Exit with 3 where the command went well but its outcome could not be recorded.
    #[arg(long)]
    strict: bool,
    /// Show what would be recorded; run nothing, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the command, recorded.
pub fn run(args: &Run, ctx: &Context) -> Result<Exit, Failure> {
    let signals = Signals::install().map_err(Failure::unable)?;
    let settings = Settings::load_to_keep(ctx)?;
    if let Some(reason) = not_recorded(&args.delivery, ctx, &settings)? {
        ctx.ui.warn(&format!("not recorded, and not asked of the gate: {reason}"));
        if args.dry_run {
            return Ok(Exit::Done);
        }
        signals.end_preparation();
        return Ok(Exit::Command(execute(args, &signals).exit_code()));
    }
    tokens::refuse_missing(ctx, &settings)?;
    let delivery = Delivery::gather(&args.delivery, &args.said, ctx, &settings)?;
    if args.dry_run {
        let program = args.command[0].to_string_lossy();
        ctx.ui.say(&format!("would run `{program}`, and record this start and its outcome:"));
        return starting::show(ctx, &settings, &delivery);
    }
    let writer = LogWriter::open(ctx, settings, Some(delivery.environment()))?;
    let run = Recorded { ctx, writer: &writer, delivery: &delivery };
    let (started, start) = run.start()?;
    signals.end_preparation();
    let finished = execute(args, &signals);
    let is_recorded = run.finish(started, &start, &finished);
    let code = finished.exit_code();
    Ok(if code == 0 && args.strict && !is_recorded { Exit::Unable } else { Exit::Command(code) })
}

fn execute(args: &Run, signals: &Signals) -> Finished {
    match args.command.split_first() {
        Some((program, arguments)) => command::run(program, arguments, signals),
        None => unreachable!("clap requires a command"),
    }
}

struct Recorded<'a> {
    ctx: &'a Context,
    writer: &'a LogWriter<'a>,
    delivery: &'a Delivery,
}

impl Recorded<'_> {
    /// Records the start, and gives it as it was recorded.
    fn start(&self) -> Result<(Started, Record), Failure> {
        let begun = starting::begin(self.ctx, self.writer, self.delivery, Begin::Again)?;
        Ok(match begun {
            Begun::InLog { seq, record } => {
                let start = follow_up::with_issue(self.ctx, self.writer, seq, &record.id.clone(), *record);
                (Started::InLog(seq), start)
            }
            Begun::InSpool { held, record } => (Started::Waiting(held), *record),
        })
    }

    /// Records the outcome; says loudly where that failed. Gives whether it is in the log.
    fn finish(&self, started: Started, start: &Record, finished: &Finished) -> bool {
        let status = match (finished.success(), finished.canceled) {
            (true, _) => Status::Success,
            (false, true) => Status::Canceled,
            (false, false) => Status::Failed,
        };
        if let Some(problem) = finished.problem() {
            self.ctx.ui.say(&format!("the command did not start: {problem}"));
        }
        let place = match &started {
            Started::InLog(seq) => format!("record {seq} stays open"),
            Started::Waiting(held) => format!("its start waits in {}", held.path().display()),
        };
        let end = ending::end_of(start, status, Time::new(self.ctx.now()));
        // the command has run: whatever is wrong with the log or the key, this must not be lost
        match ending::record(self.ctx, self.writer, started, end, &|_| true) {
            Ok(kept) => {
                let is_recorded = matches!(kept, Kept::InLog(_));
                ending::announce(self.ctx, &self.writer.settings, kept);
                is_recorded
            }
            Err(failure) => {
                self.ctx.ui.error(&failure.error, &failure.hints);
                self.ctx.ui.loud(&format!(
                    "NOT RECORDED: the command ended ({status}), but its outcome is neither in the log nor in the spool; {place}"
                ));
                false
            }
        }
    }
}
