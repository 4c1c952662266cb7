//! `deploy-record record`: one finished deployment in one step.

use super::capture::{Delivery, DeliveryArgs, Progress, SaidArgs, not_recorded};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::follow_up::Owed;
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, follow_up, gate, result_file, starting, view};
use crate::core::record::{Record, Status, Strength, Time};
use crate::recorder::{Appended, Draft, Kept, Known, RecordError, random_id};
use anyhow::anyhow;
use clap::Args;

/// Record a deployment that has ended: a manual one, one that another tool made, or one of an earlier job.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record record --environment production --version 1.4.2 --status success\n  deploy-record record -e production --status failed --happened-at 2026-11-20T14:05:11Z --note 'done by hand on the server'\n  deploy-record record -e staging --status success --check unit=passed --format json"
)]
pub struct RecordArgs {
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    said: SaidArgs,
    /// How it ended: success, failed or canceled; `unknown` where nobody saw it.
    #[arg(long, value_parser = super::word_of::<Status>(ENDS, Status::as_str), value_name = "STATUS")]
    status: Status,
    /// When it happened, in UTC, such as 2026-11-20T14:05:11Z [default: now].
    #[arg(long, value_name = "TIME")]
    happened_at: Option<Time>,
    /// Show what would be recorded; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How a deployment can have ended.
const ENDS: &[Status] = &[Status::Success, Status::Failed, Status::Canceled, Status::Unknown];

/// Records it.
pub fn run(args: &RecordArgs, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load_to_keep(ctx)?;
    if let Some(reason) = not_recorded(&args.delivery, ctx, &settings)? {
        ctx.ui.say(&format!("not recorded: {reason}"));
        return Ok(Exit::Done);
    }
    let delivery = Delivery::gather_afterwards(&args.delivery, &args.said, ctx, &settings)?;
    let at = happened_at(args, ctx)?;
    let make = |known: &Known, settings: &Settings| draft(args, ctx, settings, &delivery, known, at);
    if args.dry_run {
        let store = settings.open_log_in_passing(ctx)?;
        let known = Known::fetch(&store, &settings.trust, ctx.deadline())?;
        let Draft(record) = make(&known, &settings)?;
        ctx.ui.result(&view::draft(&record, &ctx.redactor(&settings.config.redact.allow)));
        return Ok(Exit::Done);
    }
    let writer = LogWriter::open(ctx, settings, Some(delivery.environment()))?;
    delivery.check_signer(&writer)?;
    let id = random_id().map_err(Failure::unable)?;
    let claim = delivery.without_log(progress(args, at), &writer.settings);
    let kept = match writer.settings.refused() {
        Some(refusal) => Kept::InSpool(writer.recorder().spool_only(&writer.spool, &id, claim, refusal)?.0),
        None => writer.recorder().append_or_spool(
            &writer.spool,
            &id,
            claim,
            writer.deadline(),
            &RecordError::can_be_mended,
            &mut |known| make(known, &writer.settings),
        )?,
    };
    result_file::write(ctx, &writer.settings, &kept);
    match kept {
        Kept::InSpool(spooled) => {
            view::announce_spooled(ctx, spooled);
            return Ok(Exit::Unable);
        }
        Kept::InLog(Appended::Already(seq)) => {
            ctx.ui.say(&format!("already recorded by this job: record {seq}"));
            starting::in_log(&writer, seq).iter().for_each(|record| remind(ctx, &writer, record));
            ctx.ui.result(&view::already(seq, args.format));
        }
        Kept::InLog(Appended::New(receipt)) => {
            view::announce(ctx, &receipt, &writer.settings);
            ctx.ui.say(&format!("checkpoint: {}", receipt.checkpoint));
            remind(ctx, &writer, &receipt.record);
            ctx.ui.result(&view::receipt(&receipt, args.format));
        }
    }
    Ok(Exit::Done)
}

/// It is in the log already, so that only the issue can tell of the record, and not the record of the issue.
fn remind(ctx: &Context, writer: &LogWriter, record: &Record) {
    follow_up::remind(ctx, writer, Owed::by(record));
}

fn draft(
    args: &RecordArgs,
    ctx: &Context,
    settings: &Settings,
    delivery: &Delivery,
    known: &Known,
    at: Time,
) -> Result<Draft, RecordError> {
    let (record, decision) = delivery.record(known, progress(args, at), ctx, settings)?;
    if !decision.is_allowed() {
        gate::say_what_refused(ctx, &decision);
    }
    Ok(Draft(record))
}

fn progress(args: &RecordArgs, at: Time) -> Progress {
    let finished_at = (args.status != Status::Unknown).then_some(at);
    Progress { status: args.status, started_at: at, finished_at, strength: Strength::Asserted }
}

fn happened_at(args: &RecordArgs, ctx: &Context) -> Result<Time, Failure> {
    let now = Time::new(ctx.now());
    match args.happened_at {
        Some(at) if at > now => Err(Failure::usage(anyhow!("--happened-at: {at} is in the future; it is {now} now"))),
        at => Ok(at.unwrap_or(now)),
    }
}
