//! How a deployment ended: the second half of `run`, and all of `finish`.

use super::capture::refuse_lacking;
use super::context::Context;
use super::exit::Failure;
use super::recheck::recheck;
use super::settings::Settings;
use super::writer::LogWriter;
use super::{follow_up, result_file, view};
use crate::core::log::late::Claim;
use crate::core::record::{Id, Record, Status, Time};
use crate::core::state::PlaceKey;
use crate::recorder::{Appended, Draft, Kept, Known, RecordError, random_id};
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
    let end = recheck(end, ctx, &writer.settings);
    let kept = match started {
        Started::InLog(seq) => {
            // an end has its start's id until it is appended
            let end = follow_up::with_issue(ctx, writer, seq, &end.id.clone(), end);
            append(writer, Record { finishes: Some(seq), ..end }, keeps)
        }
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
    if let Some(refusal) = writer.settings.refused() {
        return Ok(Kept::InSpool(recorder.spool_only(&writer.spool, &id, claim_of(&end), refusal)?.0));
    }
    Ok(recorder.append_or_spool(&writer.spool, &id, claim_of(&end), writer.deadline(), keeps, &mut |known| {
        Ok(Draft(as_it_stands(end.clone(), known)?))
    })?)
}

/// What waits in the spool of an end names its start by the id, too: a number is another record's once a recovery gave it up.
fn claim_of(end: &Record) -> Record {
    // an end says what its start said, and so has its id, unless that could not be read
    let start = end.finishes.map(|_| end.id.clone()).filter(|id| *id != Id::from_bits([0; 16]));
    Record { finishes_id: start.or(end.finishes_id.clone()), ..end.clone() }
}

/// A start is closed once. What comes out after it was closed with an unknown outcome is a record of its own, which names the
/// start by its id.
fn as_it_stands(end: Record, known: &Known) -> Result<Record, RecordError> {
    let (Some(start), Some(key)) = (end.finishes, PlaceKey::of(&end)) else { return Ok(end) };
    let place = known.state().and_then(|state| state.place(&key));
    if place.is_some_and(|place| place.open.iter().any(|open| open.seq == start)) {
        return Ok(end);
    }
    let found = known.find_start(start)?;
    let is_unknown = matches!(found.closed_by, Some((_, Some(Status::Unknown)))) && end.status != Some(Status::Unknown);
    match found.record.filter(|_| is_unknown) {
        Some(record) => Ok(Record { finishes: None, finishes_id: Some(record.id), ..end }),
        None => Ok(end),
    }
}

/// First the start that waits, then the end; both wait where the log still can't be reached.
fn after_its_start(ctx: &Context, writer: &LogWriter, held: Held, end: Record, keeps: Keeps) -> Result<Kept, Failure> {
    let recorder = writer.recorder();
    let claim = match read(&held, writer) {
        Ok(claim) => claim,
        Err(problem) => {
            // such as by a deployment that cleans its checkout: the end tells what the start said, too
            ctx.ui.warn(&format!("the claim of the start can't be used any more: {}: {problem}", held.path().display()));
            return append(writer, end, keeps);
        }
    };
    match append_start(ctx, writer, &claim) {
        Ok(Standing::Open(start)) => {
            // one that can't be removed is found to be in the log when it is replayed
            let _ = held.remove();
            // the log may have known more of the place than the claim
            let end = Record { finishes: Some(start.seq), project: start.project, ..end };
            append(writer, follow_up::with_issue(ctx, writer, start.seq, &start.id, end), keeps)
        }
        Ok(Standing::Ended { status: Some(Status::Unknown), .. }) if end.status != Some(Status::Unknown) => {
            let _ = held.remove();
            append(writer, Record { finishes_id: Some(claim.record().id.clone()), ..end }, keeps)
        }
        Ok(Standing::Ended { start, end: seq, status }) => {
            let _ = held.remove();
            if status == end.status {
                Ok(Kept::InLog(Appended::Already(seq)))
            } else {
                Err(ended_otherwise(start, seq, status))
            }
        }
        Err(because) => {
            let id = random_id().map_err(Failure::unable)?;
            let end = Record { finishes_id: Some(claim.record().id.clone()), ..end };
            let (spooled, _) = recorder.spool_only(&writer.spool, &id, end, because)?;
            Ok(Kept::InSpool(spooled))
        }
    }
}

/// How a start that waited stands in the log.
enum Standing {
    /// It is there, and has no end.
    Open(Box<Record>),
    /// Somebody replayed it and its end before. An end whose start was not there is both.
    Ended {
        /// The record of the start.
        start: u64,
        /// The record of the end.
        end: u64,
        /// How it ended.
        status: Option<Status>,
    },
}

/// Appends the start that waits, where it is not in the log.
fn append_start(ctx: &Context, writer: &LogWriter, claim: &Claim) -> Result<Standing, RecordError> {
    if let Some(refusal) = writer.settings.refused() {
        return Err(refusal);
    }
    let recorder = writer.recorder();
    // what a rewound log refused a moment ago does not come in by the back door
    refuse_lacking(claim.record(), &recorder.known(writer.deadline())?, ctx, &writer.settings)?;
    let seq = match recorder.replay(claim, writer.deadline())? {
        Appended::New(receipt) => {
            view::announce(ctx, &receipt, &writer.settings);
            return Ok(Standing::Open(Box::new(receipt.record)));
        }
        Appended::Already(seq) => seq,
    };
    let found = recorder.known(writer.deadline())?.find_start(seq)?;
    let is_start = |record: &Record| record.status == Some(Status::Running);
    match (found.record, found.closed_by) {
        (Some(record), None) if is_start(&record) => Ok(Standing::Open(Box::new(record))),
        (Some(record), None) => Ok(Standing::Ended { start: seq, end: seq, status: record.status }),
        (Some(_), Some((end, status))) => Ok(Standing::Ended { start: seq, end, status }),
        (None, _) => Err(RecordError::Other(anyhow!("record {seq} was in the log a moment ago, and is not any more"))),
    }
}

/// A deployment that ended in another way before.
pub fn ended_otherwise(start: u64, end: u64, status: Option<Status>) -> Failure {
    let words = status.map_or_else(|| "ended".to_owned(), |status| format!("ended as {status}"));
    Failure::usage(anyhow!("record {start} {words} in record {end}, and a deployment ends once"))
        .hint(format!("`deploy-record annotate {end} --note TEXT` adds a correction"))
}

fn read(held: &Held, writer: &LogWriter) -> Result<Claim, String> {
    let (bytes, signature) = held.read().map_err(|error| error.to_string())?;
    Claim::open(&bytes, &signature, &writer.settings.trust)
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
