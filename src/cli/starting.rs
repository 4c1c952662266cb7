//! How a deployment begins: the first half of `run`, and all of `start`.

use super::capture::{Delivery, Progress};
use super::context::Context;
use super::exit::Failure;
use super::view;
use super::writer::LogWriter;
use crate::config::Unreachable;
use crate::core::record::{ClassName, Record, Time};
use crate::core::state::{OpenStart, PlaceKey};
use crate::core::time::ago;
use crate::recorder::{Appended, Draft, Known, RecordError, random_id};
use crate::spool::Held;

/// What a start is that the same job recorded before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// A second deployment.
    Again,
    /// The same one, as long as it is open: the step was retried.
    Once,
}

/// A start that was recorded, and the record as it was made.
pub enum Begun {
    /// In the log.
    InLog {
        /// Its number.
        seq: u64,
        /// The record.
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
        (Ok(Appended::Already(seq)), Some(record)) => Ok(Begun::InLog { seq, record: Box::new(record) }),
        (Ok(Appended::Already(_)), None) => unreachable!("what is there already was made before it was compared"),
        (Err(because), _) => without_log(ctx, writer, delivery.without_log(Progress::begun(at), &writer.settings), because),
    }
}

fn without_log(ctx: &Context, writer: &LogWriter, start: Record, because: RecordError) -> Result<Begun, Failure> {
    // as long as no policy says otherwise, every deployment is a routine one
    let class = start.class.as_ref().map_or(ClassName::Routine, |class| class.name);
    if !because.is_unreachable() {
        return Err(because.into());
    }
    if writer.settings.config.log_unreachable.of(class) == Unreachable::Stop {
        return Err(Failure::from(because).hint(format!(
            "`log_unreachable` in the configuration stops a {class} deployment while the log can't be reached; try again later"
        )));
    }
    let id = random_id().map_err(Failure::unable)?;
    let (spooled, held) = writer.recorder().spool_only(&writer.spool, &id, start.clone(), because)?;
    view::announce_spooled(ctx, spooled);
    ctx.ui.warn(&format!("the log can't be reached; going on, since this is a {class} deployment (`log_unreachable`)"));
    Ok(Begun::InSpool { held, record: Box::new(start) })
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
