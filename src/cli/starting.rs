//! How a deployment begins: the first half of `run`, and all of `start`.

use super::capture::{Delivery, Progress};
use super::context::Context;
use super::exit::Failure;
use super::view;
use super::writer::{LogWriter, hold};
use crate::core::log::late::Claim;
use crate::core::policy::Unreachable;
use crate::core::record::{ClassName, Id, Record, Status, Time};
use crate::core::state::{OpenStart, PlaceKey};
use crate::core::time::ago;
use crate::recorder::{Appended, Draft, Known, RecordError, Spooled, random_id};
use crate::spool::{self, Held};
use std::path::PathBuf;

/// What a start is that the same job recorded before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// A second deployment.
    Again,
    /// The same one, as long as it is open: the step was retried.
    Once,
}

/// A start that was recorded.
pub enum Begun {
    /// In the log.
    InLog {
        /// Its number.
        seq: u64,
        /// The record; without its place in the log where it was there already and can't be read.
        record: Box<Record>,
    },
    /// In the spool: the log could not be reached.
    InSpool {
        /// The claim.
        held: Held,
        /// The record.
        record: Box<Record>,
    },
}

/// Records a start. Where the log can't be reached, the configuration decides whether it goes ahead in the spool.
///
/// # Errors
/// Where the deployment must not go ahead: its start is neither in the log nor in the spool.
pub fn begin(ctx: &Context, writer: &LogWriter, delivery: &Delivery, begin: Begin) -> Result<Begun, Failure> {
    if begin == Begin::Once
        && let Some(waiting) =
            waiting_start(writer, &delivery.without_log(Progress::begun(Time::new(ctx.now())), &writer.settings))?
        && let Some(begun) = begun_before(ctx, writer, waiting)?
    {
        return Ok(begun);
    }
    let at = Time::new(ctx.now());
    let id = random_id().map_err(Failure::unable)?;
    let mut made = None;
    let mut unended = Vec::new();
    let appended = writer.recorder().append(&id, writer.deadline(), &mut |known| {
        let record = delivery.start(known, at, begin == Begin::Once, ctx, &writer.settings)?;
        unended = open_starts(known, &record)?;
        made = Some(record.clone());
        Ok(Draft(record))
    });
    match (appended, made) {
        (Ok(Appended::New(receipt)), _) => {
            view::announce(ctx, &receipt, &writer.settings);
            unended.iter().for_each(|open| say_unended(ctx, open));
            Ok(Begun::InLog { seq: receipt.record.seq, record: Box::new(receipt.record) })
        }
        (Ok(Appended::Already(seq)), Some(made)) => {
            let record = in_log(writer, seq).unwrap_or(made);
            Ok(Begun::InLog { seq, record: Box::new(record) })
        }
        (Ok(Appended::Already(_)), None) => unreachable!("what is there already was made before it was compared"),
        (Err(because), _) => {
            without_log(ctx, writer, &id, delivery.without_log(Progress::begun(at), &writer.settings), because)
        }
    }
}

/// The start as it is in the log, where it can be read.
fn in_log(writer: &LogWriter, seq: u64) -> Option<Record> {
    let recorder = writer.recorder();
    let known = recorder.known(writer.deadline()).ok()?;
    known.find_start(seq).ok()?.record
}

fn without_log(ctx: &Context, writer: &LogWriter, id: &Id, start: Record, because: RecordError) -> Result<Begun, Failure> {
    // as long as no policy says otherwise, every deployment is a routine one
    let class = start.class.as_ref().map_or(ClassName::Routine, |class| class.name);
    if !because.is_unreachable() {
        return Err(because.into());
    }
    if writer.settings.config.rules.unreachable.of(class) == Unreachable::Stop {
        return Err(Failure::from(because).hint(format!(
            "`log_unreachable` in the configuration stops a {class} deployment while the log can't be reached; try again later"
        )));
    }
    // the same id: a push that nobody answered for may still land, and then replaying the claim finds it
    let (spooled, held) = writer.recorder().spool_only(&writer.spool, id, start.clone(), because)?;
    view::announce_spooled(ctx, spooled);
    ctx.ui.warn(&format!("the log can't be reached; going on, since this is a {class} deployment (`log_unreachable`)"));
    Ok(Begun::InSpool { held, record: Box::new(start) })
}

/// The start that this job put into the spool before, where the step is tried again.
fn waiting_start(writer: &LogWriter, start: &Record) -> Result<Option<(Held, Claim)>, Failure> {
    let job = |record: &Record| record.job.as_ref().and_then(|job| job.id);
    let sha = |record: &Record| record.commit.as_ref().map(|commit| commit.sha.clone());
    let facts = |record: &Record| (job(record), PlaceKey::of(record), record.version.clone(), sha(record));
    if job(start).is_none() {
        return Ok(None);
    }
    let open = |path: PathBuf| {
        let (bytes, signature) = spool::look_at(&path).ok()?;
        let claim = Claim::open(&bytes, &signature, &writer.settings.trust).ok()?;
        let is_it = claim.record().status == Some(Status::Running) && facts(claim.record()) == facts(start);
        is_it.then_some((path, claim))
    };
    let found = writer.spool.waiting().map_err(Failure::unable)?.into_iter().find_map(open);
    let Some((path, claim)) = found else { return Ok(None) };
    Ok(hold(&path)?.map(|held| (held, claim)))
}

/// Appends the start that waited, or leaves it where it is; `None` where somebody replayed it before, and the log tells the rest.
fn begun_before(ctx: &Context, writer: &LogWriter, (held, claim): (Held, Claim)) -> Result<Option<Begun>, Failure> {
    let begun = match writer.recorder().replay(&claim, writer.deadline()) {
        Ok(Appended::New(receipt)) => {
            view::announce(ctx, &receipt, &writer.settings);
            Some(Begun::InLog { seq: receipt.record.seq, record: Box::new(receipt.record) })
        }
        Ok(Appended::Already(_)) => None,
        Err(because) if because.is_unreachable() => {
            view::announce_spooled(ctx, Spooled { path: held.path().to_owned(), because });
            return Ok(Some(Begun::InSpool { held, record: Box::new(claim.record().clone()) }));
        }
        Err(because) => return Err(because.into()),
    };
    // one that can't be removed is found to be in the log when it is replayed
    let _ = held.remove();
    Ok(begun)
}

/// The deployments that began in the same place and have no end.
fn open_starts(known: &Known, record: &Record) -> Result<Vec<OpenStart>, RecordError> {
    let Some(key) = PlaceKey::of(record) else { return Ok(Vec::new()) };
    Ok(known.place(&key)?.map(|place| place.open).unwrap_or_default())
}

fn say_unended(ctx: &Context, open: &OpenStart) {
    let finish = ctx.command_line(&format!("finish --record {} --status STATUS", open.seq));
    ctx.ui.warn(&format!(
        "record {}: {} began here {} and has no end; if it does not run any more, its outcome is unknown: `{finish}` records it",
        open.seq,
        open.version,
        ago(open.started_at.utc(), ctx.now()),
    ));
}
