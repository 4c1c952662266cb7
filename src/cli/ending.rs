//! How a deployment ended: the second half of `run`, and all of `finish`.

use super::context::Context;
use super::exit::Failure;
use super::settings::Settings;
use super::writer::LogWriter;
use super::{result_file, view};
use crate::core::log::late::Claim;
use crate::core::record::{Record, Status, Time};
use crate::recorder::{Appended, Draft, Kept, RecordError, random_id};
use crate::spool::Held;
use anyhow::anyhow;

/// A start, wherever it is.
pub enum Started {
    /// In the log, under this number.
    InLog(u64),
    /// In the spool.
    Waiting(Held),
}

/// The record of an end: it says what the start said, and how that ended.
pub fn end_of(start: &Record, status: Status, now: Time) -> Record {
    let mut record = start.clone();
    record.status = Some(status);
    record.finished_at =
        (status != Status::Unknown).then_some(now).max(record.started_at.filter(|_| status != Status::Unknown));
    (record.prev_here, record.late) = (None, None);
    record
}

/// Records an end: in the log, after its start, or in the spool. Says what became of it.
///
/// # Errors
/// Where it is neither in the log nor in the spool.
pub fn record(ctx: &Context, writer: &LogWriter, started: Started, end: Record, keeps: Keeps) -> Result<Kept, Failure> {
    let refreshed = writer.refreshed();
    let writer = refreshed.as_ref().unwrap_or(writer);
    let kept = match started {
        Started::InLog(seq) => append(writer, Record { finishes: Some(seq), ..end }, keeps),
        Started::Waiting(held) => after_its_start(ctx, writer, held, end, keeps),
    };
    match &kept {
        Ok(kept) => result_file::write(ctx, &writer.settings, kept),
        Err(_) => result_file::write_lost(ctx, &writer.settings),
    }
    kept
}

/// Whether a record that can't be appended for this reason is kept in the spool.
pub type Keeps<'a> = &'a dyn Fn(&RecordError) -> bool;

fn append(writer: &LogWriter, end: Record, keeps: Keeps) -> Result<Kept, Failure> {
    let id = random_id().map_err(Failure::unable)?;
    let recorder = writer.recorder();
    Ok(recorder.append_or_spool(&writer.spool, &id, end.clone(), writer.deadline(), keeps, &mut |_| Ok(Draft(end.clone())))?)
}

/// First the start that waits, then the end; both wait where the log still can't be reached.
fn after_its_start(ctx: &Context, writer: &LogWriter, held: Held, end: Record, keeps: Keeps) -> Result<Kept, Failure> {
    let recorder = writer.recorder();
    let (bytes, signature) = held.read().map_err(|error| lost_claim(&held, &error))?;
    let claim = Claim::open(&bytes, &signature, &writer.settings.trust).map_err(|problem| lost_claim(&held, &problem))?;
    match recorder.replay(&claim, writer.deadline()) {
        Ok(appended) => {
            let seq = match appended {
                Appended::New(receipt) => {
                    view::announce(ctx, &receipt, &writer.settings);
                    receipt.record.seq
                }
                Appended::Already(seq) => seq,
            };
            // one that can't be removed is found to be in the log when it is replayed
            let _ = held.remove();
            append(writer, Record { finishes: Some(seq), ..end }, keeps)
        }
        Err(because) => {
            let id = random_id().map_err(Failure::unable)?;
            let end = Record { finishes_id: Some(claim.record().id.clone()), ..end };
            let (spooled, _) = recorder.spool_only(&writer.spool, &id, end, because)?;
            Ok(Kept::InSpool(spooled))
        }
    }
}

fn lost_claim(held: &Held, problem: &dyn std::fmt::Display) -> Failure {
    Failure::unable(anyhow!("the claim of the start can't be used any more: {}: {problem}", held.path().display()))
}

/// Says on stderr what became of an end.
pub fn announce(ctx: &Context, settings: &Settings, kept: Kept) {
    match kept {
        Kept::InLog(Appended::New(receipt)) => {
            view::announce(ctx, &receipt, settings);
            ctx.ui.say(&format!("checkpoint: {}", receipt.checkpoint));
            if settings.ci.is_none() {
                let show = ctx.command_line(&format!("show {}", receipt.record.seq));
                let verify = ctx.command_line("verify");
                ctx.ui.say(&format!("see it with `{show}`, check the log with `{verify}`"));
            }
        }
        Kept::InLog(Appended::Already(seq)) => ctx.ui.say(&format!("the outcome was recorded before: record {seq}")),
        Kept::InSpool(spooled) => view::announce_spooled(ctx, spooled),
    }
}
