//! `deploy-record recover`: go on over a damaged log, visibly.

use super::context::Context;
use super::exit::{Exit, Failure, describe};
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, view};
use crate::core::record::{Kind, Lost, Person, Record, Text};
use crate::recorder::{Appended, Draft, Known, Passed, RecordError, random_id};
use crate::store::Depth;
use anyhow::anyhow;
use clap::Args;

/// Go on over a damaged log: foreign commits on its branch, a tip that does not verify, records that are gone.
///
/// Nothing is taken away: a recovery is appended to the branch as it is, follows the newest record that verifies, and names what it
/// passes over. A record that verifies is never passed over. `verify` shows the recovery ever after.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record recover --reason 'a script pushed to the wrong branch' --dry-run\n  deploy-record recover --reason 'a script pushed to the wrong branch'\n  deploy-record recover --reason 'the branch was reset, INC-7' --accept-loss 120..124"
)]
pub struct Recover {
    /// What happened, for those who read the log later.
    #[arg(long, visible_alias = "note", allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    reason: Option<String>,
    /// Numbers of the records that the log had, as a checkpoint or a copy shows, and can't be brought back.
    #[arg(long, value_parser = lost, value_name = "FROM..TO")]
    accept_loss: Option<Lost>,
    /// Show what would be passed over; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Appends the recovery.
pub fn run(args: &Recover, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let store = settings.open_log_to_append(ctx)?;
    let known = Known::over_damage(&store, &settings.trust, ctx.deadline()).map_err(explain)?;
    if known.passed.is_empty() && args.accept_loss.is_none() {
        ctx.ui.say("nothing is damaged: the newest record verifies. `--accept-loss` notes records that are gone");
        return Ok(Exit::Done);
    }
    check_loss(args, &known)?;
    known.passed.iter().for_each(|passed| ctx.ui.say(&words(passed)));
    if args.dry_run {
        ctx.ui.say("nothing was written");
        return Ok(Exit::Done);
    }
    let reason = reason(args, ctx)?;
    let writer = LogWriter::open(ctx, settings, None)?;
    let recorder = writer.recorder();
    let by = match &writer.settings.ci {
        Some(ci) => ci.actor.clone(),
        None => Person { login: Some(recorder.signer.principal().clone()), ..Person::default() },
    };
    let id = random_id().map_err(Failure::unable)?;
    let appended = recorder.recover(&id, ctx.deadline(), &|known| {
        check_loss(args, known).map_err(|failure| RecordError::Record(format!("{:#}", failure.error)))?;
        Ok(Draft(record(args, &reason, &by, &known.passed)))
    })?;
    if let Appended::New(receipt) = appended {
        view::announce(ctx, &receipt, &writer.settings);
        ctx.ui.say(&format!("checkpoint: {}", receipt.checkpoint));
        ctx.ui.result(&view::receipt(&receipt, args.format));
        // whoever accepts a loss here need not be told of it again; what can't be noted now is noted by the next reader
        let _ = writer.settings.open_log_in_passing(ctx).map(|store| store.fetch(Depth::Commits(1), ctx.deadline()));
    }
    Ok(Exit::Done)
}

fn record(args: &Recover, reason: &Text, by: &Person, passed: &[Passed]) -> Record {
    let mut record = Record::draft(Kind::Recovery);
    record.reason = Some(reason.clone());
    record.by = Some(by.clone());
    record.skipped = passed.iter().map(|passed| passed.commit.clone()).collect();
    record.lost = args.accept_loss.clone();
    record
}

fn reason(args: &Recover, ctx: &Context) -> Result<Text, Failure> {
    let given = match &args.reason {
        Some(reason) => Some(reason.clone()),
        None => ctx.ui.ask("What happened? ").map_err(Failure::unable)?,
    };
    given.as_deref().and_then(Text::clean).ok_or_else(|| Failure::usage(anyhow!("what happened? --reason is missing")))
}

/// Records can only be lost after the newest that is there.
fn check_loss(args: &Recover, known: &Known) -> Result<(), Failure> {
    let newest = known.state().map_or(0, |state| state.newest.seq);
    match &args.accept_loss {
        Some(lost) if lost.from != newest + 1 => Err(Failure::usage(anyhow!(
            "--accept-loss: the newest record that verifies is {newest}, so what is lost begins with {}",
            newest + 1
        ))),
        _ => Ok(()),
    }
}

fn words(passed: &Passed) -> String {
    let what = passed.findings.iter().map(describe).collect::<Vec<_>>().join("; ");
    match passed.kept {
        Some(seq) => format!("commit {}: {what}; record {seq} counts", passed.commit.short()),
        None => format!("commit {} is passed over: {what}", passed.commit.short()),
    }
}

fn explain(error: RecordError) -> Failure {
    let is_missing = matches!(error, RecordError::Missing { .. });
    let failure = Failure::from(error);
    if !is_missing {
        return failure;
    }
    failure
        .hint(
            "a clone that has the branch can bring it back: `git push REMOTE COMMIT:refs/heads/BRANCH`, with its newest commit",
        )
        .hint("`git reflog` and the log's checkpoints in job logs and release notes tell which that was")
}

fn lost(text: &str) -> Result<Lost, String> {
    let wrong = || "expected numbers of records such as 120..124".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (from.parse::<u64>().map_err(|_| wrong())?, to.parse::<u64>().map_err(|_| wrong())?);
    if from == 0 || to < from {
        return Err(wrong());
    }
    Ok(Lost { from, to, newer: Default::default() })
}
