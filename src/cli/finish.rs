//! `deploy-record finish`: record how a deployment ended.

use super::capture::{DeliveryArgs, Target, not_recorded, parse_check};
use super::context::Context;
use super::ending::{self, Started, ended_otherwise};
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::writer::{LogWriter, hold};
use super::{Format, view};
use crate::core::log::late::Claim;
use crate::core::record::{ChangeNote, Check, CommitId, Provenance, Record, Status, Strength, Text, Time};
use crate::core::state::{OpenStart, PlaceKey};
use crate::recorder::{Appended, Found, Kept, Known, RecordError};
use crate::repo::Checkout;
use crate::spool::{self, Held, Spool};
use anyhow::anyhow;
use clap::Args;
use std::path::PathBuf;

/// Record how a deployment ended that `start` recorded.
///
/// It closes the start that --record names, else the one open start of the same job, else that of the same environment, service,
/// pipeline and commit. In after_script, GitLab's CI_JOB_STATUS says how the job ended.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record finish                                      in after_script\n  deploy-record finish --environment production --status success\n  deploy-record finish --record 124 --status failed         from a hook, or for a job that died"
)]
pub struct Finish {
    /// How it ended: success, failed, canceled, timedout (which is failed), or unknown where nobody saw it [default: the job's].
    #[arg(long, value_parser = super::word_of::<End>(End::ALL, End::as_str), value_name = "STATUS")]
    status: Option<End>,
    /// The record of the start.
    #[arg(long, visible_alias = "start", value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    record: Option<u64>,
    /// The environment [default: the job's].
    #[arg(short, long, conflicts_with = "record", value_parser = super::non_empty, value_name = "NAME")]
    environment: Option<String>,
    /// The service, where one repository has several.
    #[arg(long, conflicts_with = "record", value_parser = super::non_empty, value_name = "NAME")]
    service: Option<String>,
    /// The project whose code was delivered, where that is another one: its path.
    #[arg(long, conflicts_with = "record", value_parser = super::non_empty, value_name = "PATH")]
    project: Option<String>,
    /// The commit that was delivered [default: the job's, else HEAD].
    #[arg(long, conflicts_with = "record", value_parser = super::non_empty, value_name = "COMMIT")]
    commit: Option<String>,
    /// Test evidence: NAME=STATUS or NAME=STATUS=URL; may be repeated.
    #[arg(long, value_parser = parse_check, value_name = "NAME=STATUS")]
    check: Vec<Check>,
    /// What changed, for support and customers; in place of the start's.
    #[arg(long, visible_alias = "reason", allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    note: Option<String>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How a deployment can have ended, in GitLab's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct End(&'static str, Status);

impl End {
    const ALL: &'static [End] = &[
        End("success", Status::Success),
        End("failed", Status::Failed),
        End("canceled", Status::Canceled),
        End("timedout", Status::Failed),
        End("unknown", Status::Unknown),
    ];

    fn as_str(self) -> &'static str {
        self.0
    }
}

impl std::str::FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || End::ALL.iter().map(|end| end.0).collect::<Vec<_>>().join(", ");
        End::ALL.iter().find(|end| end.0 == text).copied().ok_or_else(|| format!("expected one of {}", words()))
    }
}

/// Records it.
pub fn run(args: &Finish, ctx: &Context) -> Result<Exit, Failure> {
    let status = status(args, ctx)?;
    let settings = Settings::load_to_keep(ctx)?;
    let named = args.named();
    if args.record.is_none()
        && let Some(reason) = not_recorded(&named, ctx, &settings)?
    {
        ctx.ui.say(&format!("not recorded: {reason}"));
        return Ok(Exit::Done);
    }
    let spool = settings.spool(ctx);
    let (started, start) = match find(args, &named, ctx, &settings, &spool, status)? {
        Start::Ended(seq) => {
            ctx.ui.say(&format!("the outcome was recorded before: record {seq}"));
            ctx.ui.result(&view::already(seq, args.format));
            return Ok(Exit::Done);
        }
        Start::Open(started, record) => (started, *record),
    };
    let environment = start.environment.as_ref().map(|environment| &environment.name);
    let writer = LogWriter::open(ctx, settings, environment)?;
    let noted = match &started {
        Started::InLog(seq) => Some(*seq),
        Started::Waiting(_) => None,
    };
    let end = end(args, &start, status, Time::new(ctx.now()));
    let keeps = |error: &RecordError| !matches!(error, RecordError::NotOpen { .. } | RecordError::Record(_));
    let kept = ending::record(ctx, &writer, started, end, &keeps)?;
    noted.into_iter().for_each(|seq| spool.forget_start(seq));
    tell(args, ctx, &writer.settings, kept)
}

fn tell(args: &Finish, ctx: &Context, settings: &Settings, kept: Kept) -> Result<Exit, Failure> {
    let exit = match &kept {
        Kept::InLog(Appended::New(receipt)) => {
            ctx.ui.result(&view::receipt(receipt, args.format));
            Exit::Done
        }
        Kept::InLog(Appended::Already(seq)) => {
            ctx.ui.result(&view::already(*seq, args.format));
            Exit::Done
        }
        Kept::InSpool(_) => Exit::Unable,
    };
    ending::announce(ctx, settings, kept);
    Ok(exit)
}

impl Finish {
    /// The flags that say where.
    fn named(&self) -> DeliveryArgs {
        DeliveryArgs {
            environment: self.environment.clone(),
            service: self.service.clone(),
            project: self.project.clone(),
            commit: self.commit.clone(),
            ..DeliveryArgs::default()
        }
    }
}

fn status(args: &Finish, ctx: &Context) -> Result<Status, Failure> {
    if let Some(End(_, status)) = args.status {
        return Ok(status);
    }
    let of_job = ctx.variable("CI_JOB_STATUS").filter(|status| !status.is_empty());
    let Some(of_job) = of_job else {
        return Err(Failure::usage(anyhow!("how did it end? --status is missing, and no CI_JOB_STATUS says it"))
            .hint("give it, such as `--status success`; GitLab sets CI_JOB_STATUS in after_script only"));
    };
    let end = of_job.parse::<End>().map_err(|problem| {
        Failure::usage(anyhow!("CI_JOB_STATUS is `{}`: {problem}", of_job.escape_debug())).hint("say it with --status")
    })?;
    Ok(end.1)
}

fn end(args: &Finish, start: &Record, status: Status, now: Time) -> Record {
    let mut end = ending::end_of(start, status, now);
    end.provenance = end.provenance.map(|known| Provenance { status: Some(Strength::Asserted), ..known });
    end.checks.extend(args.check.iter().cloned());
    if let Some(summary) = args.note.as_deref().and_then(Text::clean) {
        let note = end.change_note.take().unwrap_or_default();
        end.change_note = Some(ChangeNote { summary: Some(summary), ..note });
    }
    end
}

/// The start that is to be closed.
enum Start {
    /// It is open.
    Open(Started, Box<Record>),
    /// It was closed with the same outcome before, by this record.
    Ended(u64),
}

fn find(
    args: &Finish,
    named: &DeliveryArgs,
    ctx: &Context,
    settings: &Settings,
    spool: &Spool,
    status: Status,
) -> Result<Start, Failure> {
    let wanted = match args.record {
        Some(seq) => Wanted::Number(seq),
        None => Wanted::Mine(Box::new(Mine::gather(named, ctx, settings)?)),
    };
    if let Some((held, record)) = waiting(&wanted, settings, spool)? {
        return Ok(Start::Open(Started::Waiting(held), Box::new(record)));
    }
    if let Some(refusal) = settings.refused() {
        return noted(&wanted, spool, refusal);
    }
    let store = settings.open_log_to_append(ctx)?;
    let known = match Known::fetch(&store, &settings.trust, ctx.deadline()) {
        Ok(known) => known,
        Err(error) => return noted(&wanted, spool, error),
    };
    let log = Log { ctx, known, wanted: &wanted };
    log.find(status)
}

/// Which start is meant.
enum Wanted {
    /// The one with this number.
    Number(u64),
    /// The one of this job, or of this pipeline and commit.
    Mine(Box<Mine>),
}

/// What this job's start has in common with it.
struct Mine {
    target: Target,
    job: Option<u64>,
    pipeline: Option<u64>,
    sha: Option<CommitId>,
}

impl Mine {
    fn gather(named: &DeliveryArgs, ctx: &Context, settings: &Settings) -> Result<Mine, Failure> {
        let (ci, checkout) = (settings.ci.as_ref(), settings.checkout.as_ref());
        let given = named.commit.as_deref().map(|text| super::capture::resolve(text, checkout)).transpose()?;
        let sha = given.or_else(|| ci.map(|ci| ci.sha.clone())).or_else(|| checkout.and_then(Checkout::head));
        Ok(Mine {
            target: Target::gather(named, ctx, settings)?,
            job: ci.and_then(|ci| ci.job.id),
            pipeline: ci.and_then(|ci| ci.job.pipeline_id),
            sha,
        })
    }

    /// Those of this job; where there are none, those of this pipeline and commit.
    fn choose<T>(&self, starts: Vec<T>, facts: impl Fn(&T) -> (Option<u64>, Option<u64>, Option<CommitId>)) -> Vec<T> {
        let is_of_job = |start: &T| self.job.is_some() && facts(start).0 == self.job;
        let is_of_pipeline = |start: &T| {
            let (_, pipeline, sha) = facts(start);
            pipeline == self.pipeline && sha.is_some() && sha == self.sha
        };
        let (of_job, others): (Vec<_>, Vec<_>) = starts.into_iter().partition(is_of_job);
        if of_job.is_empty() { others.into_iter().filter(is_of_pipeline).collect() } else { of_job }
    }
}

fn facts(record: &Record) -> (Option<u64>, Option<u64>, Option<CommitId>) {
    let job = record.job.as_ref();
    let sha = record.commit.as_ref().map(|commit| commit.sha.clone());
    (job.and_then(|job| job.id), job.and_then(|job| job.pipeline_id), sha)
}

/// The start that waits in the spool, if it is there.
fn waiting(wanted: &Wanted, settings: &Settings, spool: &Spool) -> Result<Option<(Held, Record)>, Failure> {
    let Wanted::Mine(mine) = wanted else { return Ok(None) };
    let place = mine.target.key(None);
    let start = |path: PathBuf| {
        let (bytes, signature) = spool::look_at(&path).ok()?;
        let record = Claim::open(&bytes, &signature, &settings.trust).ok()?.record().clone();
        let is_start = record.status == Some(Status::Running) && PlaceKey::of(&record).as_ref() == Some(&place);
        is_start.then_some((path, record))
    };
    let paths = spool.waiting().map_err(Failure::unable)?;
    let starts = mine.choose(paths.into_iter().filter_map(start).collect(), |(_, record)| facts(record));
    let Some((path, record)) = one(starts, |(path, _)| path.display().to_string())? else { return Ok(None) };
    Ok(hold(&path)?.map(|held| (held, record)))
}

/// The start in the log, from the note that `start` left: the log itself can't be asked.
fn noted(wanted: &Wanted, spool: &Spool, error: RecordError) -> Result<Start, Failure> {
    let starts = spool.noted_starts().into_iter().filter_map(|(seq, bytes)| Some((seq, Record::parse(&bytes).ok()?)));
    let starts: Vec<_> = match wanted {
        Wanted::Number(number) => starts.filter(|(seq, _)| seq == number).collect(),
        Wanted::Mine(mine) => {
            let here = starts.filter(|(_, record)| PlaceKey::of(record) == Some(mine.target.key(None))).collect();
            mine.choose(here, |(_, record)| facts(record))
        }
    };
    match one(starts, |(seq, _)| format!("record {seq}"))? {
        Some((seq, record)) => Ok(Start::Open(Started::InLog(seq), Box::new(record))),
        None => Err(Failure::from(error).hint(
            "nothing was recorded: which start it is can't be told without the log; the start stays open, so try again later",
        )),
    }
}

fn one<T>(mut starts: Vec<T>, words: impl Fn(&T) -> String) -> Result<Option<T>, Failure> {
    if starts.len() > 1 {
        let list = starts.iter().map(words).collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(anyhow!("several starts are open that it could be: {list}"))
            .hint("name one with --record, or with --environment, --service and --commit"));
    }
    Ok(starts.pop())
}

/// The log, and which of its starts is meant.
struct Log<'a> {
    ctx: &'a Context,
    known: Known<'a>,
    wanted: &'a Wanted,
}

impl Log<'_> {
    fn find(&self, status: Status) -> Result<Start, Failure> {
        let seq = match self.wanted {
            Wanted::Number(seq) => *seq,
            Wanted::Mine(mine) => match self.open_start(mine)? {
                Some(open) => open.seq,
                None => return self.ended(mine, status),
            },
        };
        self.standing(seq, status)
    }

    fn standing(&self, seq: u64, status: Status) -> Result<Start, Failure> {
        let Found { record, closed_by } = self.known.find_start(seq)?;
        match (record, closed_by) {
            (Some(record), None) if record.status == Some(Status::Running) => {
                Ok(Start::Open(Started::InLog(seq), Box::new(record)))
            }
            (Some(_), Some((end, Some(same)))) if same == status => Ok(Start::Ended(end)),
            // what is known after all is recorded beside it
            (Some(record), Some((_, Some(Status::Unknown)))) => Ok(Start::Open(Started::InLog(seq), Box::new(record))),
            (Some(_), Some((end, other))) => Err(ended_otherwise(seq, end, other)),
            (Some(record), None) => {
                let words =
                    record.status.map_or_else(|| record.kind.to_string(), |status| format!("{} ({status})", record.kind));
                Err(Failure::usage(anyhow!("record {seq} is no start: it is a {words}"))
                    .hint("`deploy-record status` shows what is open"))
            }
            (None, _) => {
                Err(Failure::usage(anyhow!("the log holds no record {seq}")).hint("`deploy-record status` shows what is open"))
            }
        }
    }

    fn open_start(&self, mine: &Mine) -> Result<Option<OpenStart>, Failure> {
        let place = self.known.place(&mine.target.key(self.known.state()))?;
        let open = place.map(|place| place.open).unwrap_or_default();
        let starts = mine.choose(open, |open| (open.job, open.pipeline, open.sha.clone()));
        one(starts, |open| format!("record {} ({})", open.seq, open.version))
    }

    /// Nothing is open: a step that is tried again finds what it recorded before.
    fn ended(&self, mine: &Mine, status: Status) -> Result<Start, Failure> {
        let place = mine.target.key(self.known.state());
        let is_mine = |record: &Record| {
            let (job, ..) = facts(record);
            let is_end = record.finishes.is_some() || record.finishes_id.is_some();
            is_end && PlaceKey::of(record).as_ref() == Some(&place) && job.is_some() && job == mine.job
        };
        match self.known.newest_that(&is_mine, self.ctx.now())? {
            Some(end) if end.status == Some(status) => Ok(Start::Ended(end.seq)),
            Some(end) => match end.finishes.filter(|_| end.status == Some(Status::Unknown)) {
                Some(start) => self.standing(start, status),
                None => Err(ended_otherwise(end.finishes.unwrap_or(end.seq), end.seq, end.status)),
            },
            None => Err(Failure::usage(anyhow!("no start is open in {} that this could be the end of", mine.target.words()))
                .hint("`deploy-record status` shows what is open, and --record names it")
                .hint("a deployment that was not started on record is recorded with `deploy-record record`")),
        }
    }
}
