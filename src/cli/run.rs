//! `deploy-record run`: record the start, run the command, record the outcome.

use super::capture::{Delivery, DeliveryArgs, Progress, not_recorded};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::view;
use super::writer::LogWriter;
use crate::command::{self, Finished, Signals};
use crate::core::record::{Changes, Delivered, Status, Strength, Time};
use crate::core::state::State;
use crate::recorder::{Appended, Draft, Receipt, Recorder, random_id};
use clap::Args;
use std::ffi::OsString;

/// Run a deployment and record it: who, what, where, when, and how it ended.
///
/// Standard input, output and error, signals and the exit code are the command's own. A start that can't be recorded stops
/// the run before the command; once the command has started, its exit code is the outcome, whatever becomes of the record.
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
        return Ok(Exit::Command(execute(args, &signals).exit_code()));
    }
    let delivery = Delivery::gather(&args.delivery, ctx, &settings)?;
    let writer = LogWriter::open(ctx, settings)?;
    let run = Recorded { args, ctx, writer: &writer, delivery: &delivery, recorder: &writer.recorder() };
    if args.dry_run {
        return run.show();
    }
    let start = run.start()?;
    if let Some(signal) = signals.received() {
        ctx.ui.say(&format!("told to stop by signal {signal} before the command began"));
        run.finish(&start, &Finished::not_started(signal));
        return Ok(Exit::Command(128 + signal));
    }
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
    args: &'a Run,
    ctx: &'a Context,
    writer: &'a LogWriter<'a>,
    delivery: &'a Delivery,
    recorder: &'a Recorder<'a>,
}

/// What the start said, and the outcome says again.
struct Started {
    seq: u64,
    at: Time,
    attempt: Option<u64>,
    previous: Option<Delivered>,
    changes: Option<Changes>,
}

impl Recorded<'_> {
    fn start(&self) -> Result<Started, Failure> {
        let at = Time::new(self.ctx.now());
        let id = random_id().map_err(Failure::unable)?;
        let mut known: Option<(Option<Delivered>, Option<Changes>)> = None;
        let mut attempt = None;
        let appended = self.recorder.append(&id, self.ctx.deadline(), &mut |state| {
            let previous = self.delivery.previous(state);
            let changes = match known.take() {
                Some((same, changes)) if same == previous => changes,
                _ => self.delivery.changes(previous.as_ref(), self.ctx, &self.writer.settings),
            };
            known = Some((previous.clone(), changes.clone()));
            let draft = self.draft(state, at, previous, changes);
            attempt = draft.0.job.as_ref().and_then(|job| job.attempt);
            Ok(draft)
        })?;
        let seq = match &appended {
            Appended::Already(seq) => *seq,
            Appended::New(receipt) => {
                view::announce(self.ctx, receipt, &self.writer.settings);
                receipt.record.seq
            }
        };
        let (previous, changes) = known.unwrap_or_default();
        Ok(Started { seq, at, attempt, previous, changes })
    }

    /// The start's record. A job that deployed the same before gets the next attempt, so that a second run in one job is a
    /// second deployment and not taken for a repetition of the first.
    fn draft(&self, state: Option<&State>, at: Time, previous: Option<Delivered>, changes: Option<Changes>) -> Draft {
        let progress = Progress {
            status: Status::Running,
            started_at: at,
            finished_at: None,
            finishes: None,
            strength: Strength::Observed,
        };
        let mut record = self.delivery.record(state, progress, changes, previous);
        record.policy = self.writer.settings.policy.clone();
        if let Some(state) = state {
            let mut attempt = 1;
            while state.recorded_by_job(&record).is_some() {
                attempt += 1;
                if let Some(job) = &mut record.job {
                    job.attempt = Some(attempt);
                }
            }
        }
        Draft(record)
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
        let progress = Progress {
            status,
            started_at: start.at,
            finished_at: Some(Time::new(self.ctx.now()).max(start.at)),
            finishes: Some(start.seq),
            strength: Strength::Observed,
        };
        match self.append_outcome(start, progress) {
            Ok(Appended::New(receipt)) => {
                view::announce(self.ctx, &receipt, &self.writer.settings);
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

    fn append_outcome(&self, start: &Started, progress: Progress) -> Result<Appended, Failure> {
        let id = random_id().map_err(Failure::unable)?;
        let mut make = |state: Option<&State>| {
            let mut record = self.delivery.record(state, progress, start.changes.clone(), start.previous.clone());
            record.policy = self.writer.settings.policy.clone();
            if let Some(job) = &mut record.job {
                job.attempt = start.attempt;
            }
            Ok(Draft(record))
        };
        Ok(self.recorder.append(&id, self.ctx.deadline(), &mut make)?)
    }

    fn show_how_to_check(&self, receipt: &Receipt) {
        if self.writer.settings.ci.is_none() {
            let seq = receipt.record.seq;
            self.ctx.ui.say(&format!("see it with `deploy-record show {seq}`, check the log with `deploy-record verify`"));
        }
    }

    fn show(&self) -> Result<Exit, Failure> {
        let tip = self.recorder.tip(self.ctx.deadline())?;
        let state = tip.as_ref().map(|tip| &tip.state);
        let previous = self.delivery.previous(state);
        let changes = self.delivery.changes(previous.as_ref(), self.ctx, &self.writer.settings);
        let Draft(record) = self.draft(state, Time::new(self.ctx.now()), previous, changes);
        self.ctx
            .ui
            .say(&format!("would run `{}`, and record this start and its outcome:", self.args.command[0].to_string_lossy()));
        self.ctx.ui.result(&view::draft(&record, &self.writer.redactor));
        Ok(Exit::Done)
    }
}
