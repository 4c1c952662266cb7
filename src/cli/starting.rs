//! How a deployment begins: the first half of `run`, and all of `start`.

use super::capture::{Delivery, Progress, Start};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::writer::{LogWriter, hold};
use super::{gate, view};
use crate::core::log::late::Claim;
use crate::core::record::{ClassName, Id, Kind, Record, Status, Time};
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
    delivery.check_signer(writer)?;
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
    let make = &mut |known: &Known| {
        let own = (begin == Begin::Once).then(|| writer.recorder().signer.principal());
        let start = delivery.start(known, at, own, ctx, &writer.settings)?;
        unended = open_starts(known, &start.record)?;
        let record = start.record.clone();
        made = Some(start);
        Ok(Draft(record))
    };
    let appended = match writer.settings.refused() {
        Some(refusal) => Err(refusal),
        None => writer.recorder().append(&id, writer.deadline(), make),
    };
    match (appended, made) {
        (appended, Some(Start { record, decision: Some(decision) })) if !decision.is_allowed() => {
            keep_refusal(ctx, writer, &id, record, appended);
            Err(gate::turned_away(ctx, &writer.settings, delivery, &decision))
        }
        (Ok(Appended::New(receipt)), made) => {
            made.and_then(|start| start.decision).iter().for_each(|decision| gate::say(ctx, decision));
            view::announce(ctx, &receipt, &writer.settings);
            unended.iter().for_each(|open| say_unended(ctx, open));
            Ok(Begun::InLog { seq: receipt.record.seq, record: Box::new(receipt.record) })
        }
        (Ok(Appended::Already(seq)), Some(made)) => {
            let record = in_log(writer, seq).unwrap_or(made.record);
            Ok(Begun::InLog { seq, record: Box::new(record) })
        }
        (Ok(Appended::Already(_)), None) => unreachable!("what is there already was made before it was compared"),
        (Err(because), _) => without_log(ctx, writer, &id, delivery, at, because),
    }
}

/// Shows what would be recorded of a start; makes nothing, not even a key.
///
/// # Errors
/// Where the gate would turn it away, or the log can't be read.
pub fn show(ctx: &Context, settings: &Settings, delivery: &Delivery) -> Result<Exit, Failure> {
    let store = settings.open_log_in_passing(ctx)?;
    let known = Known::fetch(&store, &settings.trust, ctx.deadline())?;
    let start = delivery.start(&known, Time::new(ctx.now()), None, ctx, settings)?;
    ctx.ui.result(&view::draft(&start.record, &ctx.redactor(&settings.config.redact.allow)));
    match start.decision.filter(|decision| !decision.is_allowed()) {
        Some(decision) => Err(gate::turned_away(ctx, settings, delivery, &decision)),
        None => Ok(Exit::Done),
    }
}

/// A refusal that can't be appended waits in the spool: it shows that the gate works. The deployment is turned away all the same.
fn keep_refusal(ctx: &Context, writer: &LogWriter, id: &Id, refusal: Record, appended: Result<Appended, RecordError>) {
    match appended {
        Ok(Appended::New(receipt)) => view::announce(ctx, &receipt, &writer.settings),
        Ok(Appended::Already(seq)) => ctx.ui.say(&format!("this refusal is on record: {seq}")),
        Err(because) => match writer.recorder().spool_only(&writer.spool, id, refusal, because) {
            Ok((spooled, _)) => view::announce_spooled(ctx, spooled),
            Err(error) => ctx.ui.warn(&format!("the refusal is not on record: {error}")),
        },
    }
}

/// The start as it is in the log, where it can be read.
pub fn in_log(writer: &LogWriter, seq: u64) -> Option<Record> {
    let recorder = writer.recorder();
    let known = recorder.known(writer.deadline()).ok()?;
    known.find_start(seq).ok()?.record
}

fn without_log(
    ctx: &Context,
    writer: &LogWriter,
    id: &Id,
    delivery: &Delivery,
    at: Time,
    because: RecordError,
) -> Result<Begun, Failure> {
    let copy = delivery.copied_place(ctx, &writer.settings);
    let start = delivery.start_without_log(at, copy.as_ref(), &because.to_string(), ctx, &writer.settings);
    let (record, decision) = (start.record, start.decision);
    // over a log that refuses, is damaged, or whose policy can't be told goes on only what nothing stops
    let is_stopped = !because.is_unreachable() || writer.settings.refusal.is_some();
    if is_stopped && record.kind != Kind::Rollback && record.break_glass.is_none() {
        return Err(because.into());
    }
    if let Some(decision) = decision.as_ref().filter(|decision| !decision.is_allowed()) {
        let failure = gate::turned_away(ctx, &writer.settings, delivery, decision);
        if decision.is_unreachable() {
            let reasons = Failure::from(because).hints;
            return Err(reasons.into_iter().fold(failure, Failure::hint));
        }
        keep_refusal(ctx, writer, id, record, Err(because));
        return Err(failure);
    }
    // the same id: a push that nobody answered for may still land, and then replaying the claim finds it
    let (spooled, held) = writer.recorder().spool_only(&writer.spool, id, record.clone(), because)?;
    view::announce_spooled(ctx, spooled);
    decision.iter().for_each(|decision| gate::say(ctx, decision));
    let class = record.class.as_ref().map_or(ClassName::Routine, |class| class.name);
    ctx.ui.warn(&match record.kind {
        Kind::Rollback => "the log can't be reached; going on, since this puts back what ran before".to_owned(),
        _ if record.break_glass.is_some() => "the log can't be reached; going on, since the glass was broken".to_owned(),
        _ => {
            format!("the log can't be reached; going on, since this is {} deployment (`log_unreachable`)", with_article(class))
        }
    });
    Ok(Begun::InSpool { held, record: Box::new(record) })
}

/// `an emergency`, `a routine`
fn with_article(class: ClassName) -> String {
    let article = if class == ClassName::Emergency { "an" } else { "a" };
    format!("{article} {class}")
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
        let is_own = claim.record().signer == *writer.recorder().signer.principal();
        let is_it = is_own && claim.record().status == Some(Status::Running) && facts(claim.record()) == facts(start);
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
