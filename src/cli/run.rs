//! `deploy-record run`: record the start, run the command, record the outcome.

use super::capture::{Delivery, DeliveryArgs, not_recorded};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::view;
use super::writer::LogWriter;
use crate::command::{self, Finished, Signals};
use crate::core::record::{Record, Status, Time};
use crate::recorder::{Appended, Draft, Known, Receipt, Recorder, random_id};
use clap::Args;
use std::ffi::OsString;

/// Run a deployment and record it: who, what, where, when, and how it ended.
///
/// Standard input, output and error, signals and the exit code are the command's own, and so is the environment, but for the
/// signing key and the token. A start that can't be recorded stops the run before the command; once the command has started, its exit code is the outcome, whatever becomes of the record.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record run --environment staging -- ./deploy.sh\n  deploy-record run -e production --version 1.4.2 --ticket PAY-7 -- kubectl rollout restart deployment/api\n  deploy-record run -e staging -- sh -c 'make deploy && make smoke-test'"
)]
pub struct Run {
    #[command(flatten)]
    delivery: DeliveryArgs,
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
    let settings = Settings::load(ctx)?;
    if let Some(reason) = not_recorded(&args.delivery, &settings) {
        ctx.ui.say(&format!("not recorded: {reason}"));
        if args.dry_run {
            return Ok(Exit::Done);
        }
        signals.end_preparation();
        return Ok(Exit::Command(execute(args, &signals).exit_code()));
    }
    let delivery = Delivery::gather(&args.delivery, ctx, &settings)?;
    if args.dry_run {
        return show(args, ctx, &settings, &delivery);
    }
    let writer = LogWriter::open(ctx, settings, delivery.environment())?;
    let run = Recorded { ctx, writer: &writer, delivery: &delivery, recorder: &writer.recorder() };
    let start = run.start()?;
    signals.end_preparation();
    let finished = execute(args, &signals);
    let is_recorded = run.finish(&start, &finished);
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
    recorder: &'a Recorder<'a>,
}

/// A start that is in the log.
struct Started {
    seq: u64,
    record: Record,
}

impl Recorded<'_> {
    fn start(&self) -> Result<Started, Failure> {
        let at = Time::new(self.ctx.now());
        let id = random_id().map_err(Failure::unable)?;
        let mut made = None;
        let appended = self.recorder.append(&id, self.ctx.deadline(), &mut |known| {
            let record = self.delivery.start(known, at, self.ctx, &self.writer.settings)?;
            made = Some(record.clone());
            Ok(Draft(record))
        })?;
        match (appended, made) {
            (Appended::New(receipt), _) => {
                view::announce(self.ctx, &receipt, &self.writer.settings);
                Ok(Started { seq: receipt.record.seq, record: receipt.record })
            }
            (Appended::Already(seq), Some(record)) => Ok(Started { seq, record }),
            (Appended::Already(_), None) => unreachable!("what is there already was made before it was compared"),
        }
    }

    /// Records the outcome; says loudly where that failed. Gives whether it is in the log.
    fn finish(&self, start: &Started, finished: &Finished) -> bool {
        let status = match (finished.success(), finished.canceled) {
            (true, _) => Status::Success,
            (false, true) => Status::Canceled,
            (false, false) => Status::Failed,
        };
        if let Some(problem) = finished.problem() {
            self.ctx.ui.say(&format!("the command did not start: {problem}"));
        }
        match self.append_outcome(start, status) {
            Ok(Appended::New(receipt)) => {
                view::announce(self.ctx, &receipt, &self.writer.settings);
                self.ctx.ui.say(&format!("checkpoint: {}", receipt.checkpoint));
                self.show_how_to_check(&receipt);
                true
            }
            Ok(Appended::Already(seq)) => {
                self.ctx.ui.say(&format!("the outcome was recorded before: record {seq}"));
                true
            }
            Err(failure) => {
                self.ctx.ui.error(&failure.error, &failure.hints);
                let words = format!(
                    "NOT RECORDED: the command ended ({status}), but its outcome is not in the log; record {} stays open",
                    start.seq
                );
                self.ctx.ui.loud(&words);
                false
            }
        }
    }

    /// The outcome says what the start said, and how it ended.
    fn append_outcome(&self, start: &Started, status: Status) -> Result<Appended, Failure> {
        let id = random_id().map_err(Failure::unable)?;
        let mut record = start.record.clone();
        record.status = Some(status);
        record.finished_at = Some(Time::new(self.ctx.now())).max(record.started_at);
        record.finishes = Some(start.seq);
        record.prev_here = None;
        Ok(self.recorder.append(&id, self.ctx.deadline(), &mut |_| Ok(Draft(record.clone())))?)
    }

    fn show_how_to_check(&self, receipt: &Receipt) {
        if self.writer.settings.ci.is_none() {
            let show = self.ctx.command_line(&format!("show {}", receipt.record.seq));
            let verify = self.ctx.command_line("verify");
            self.ctx.ui.say(&format!("see it with `{show}`, check the log with `{verify}`"));
        }
    }
}

/// Shows what would be recorded of the start; makes nothing, not even a key.
fn show(args: &Run, ctx: &Context, settings: &Settings, delivery: &Delivery) -> Result<Exit, Failure> {
    let store = settings.open_log(ctx)?;
    let known = Known::fetch(&store, &settings.trust, ctx.deadline())?;
    let record = delivery.start(&known, Time::new(ctx.now()), ctx, settings)?;
    let program = args.command[0].to_string_lossy();
    ctx.ui.say(&format!("would run `{program}`, and record this start and its outcome:"));
    ctx.ui.result(&view::draft(&record, &ctx.redactor(&settings.config.redact.allow)));
    Ok(Exit::Done)
}
