//! `deploy-record replay`: append what waits in a spool.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::follow_up::{Outcome as Reminder, Owed};
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, follow_up, view};
use crate::core::log::late::Claim;
use crate::core::log::message;
use crate::core::record::{Name, Record, Status, Time};
use crate::recorder::{Appended, Search};
use crate::spool::{self, Held, HoldError, Spool};
use crate::ui::json::json_pretty;
use crate::ui::table::Table;
use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Append the records that wait in a spool, because the log could not be reached when they were made.
///
/// Each is appended once, whoever replays it and however often; what is in the log is taken out of the spool. The record says
/// when it was made and by whom, and who appended it. A table of more than 20 claims tells of those together that the same became of.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record replay\n  deploy-record replay ~/Downloads/artifacts       the spool of a job, from its artifacts\n  deploy-record replay --set-aside 20261120T140511Z-4d9f.json --reason 'its key was lost'"
)]
pub struct Replay {
    /// Spools, folders that hold one as a job's artifacts do, or single claims [default: the spool of this repository].
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A claim that will never be appended, as the list names it, or its path: it is kept, but does not wait any more.
    #[arg(long, requires = "reason", conflicts_with = "paths", value_parser = super::non_empty, value_name = "CLAIM")]
    set_aside: Option<String>,
    /// Why it will never be appended.
    #[arg(long, requires = "set_aside", allow_hyphen_values = true, value_parser = super::non_empty, value_name = "TEXT")]
    reason: Option<String>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Appends them.
pub fn run(args: &Replay, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let spool = settings.spool(ctx);
    if let (Some(claim), Some(reason)) = (&args.set_aside, &args.reason) {
        return set_aside(ctx, &spool, claim, reason);
    }
    say_what_is_aside(ctx, &spool);
    let paths = paths(args, &spool)?;
    spool.clear_leftovers();
    let mut outcomes = Vec::new();
    let mut waiting = Vec::new();
    for path in paths {
        match Waiting::look_at(&path, &settings) {
            Ok(found) => waiting.push(found),
            Err(problem) => {
                let result = if path.exists() { Err(problem) } else { Ok(Landed::Taken) };
                outcomes.push(Outcome { path, what: String::new(), result });
            }
        }
    }
    if waiting.is_empty() && outcomes.is_empty() {
        ctx.ui.say("nothing waits in the spool");
        if args.format == Format::Json {
            ctx.ui.result(&as_json(&outcomes));
        }
        return Ok(Exit::Done);
    }
    waiting.sort_by_key(|waiting| waiting.order);
    outcomes.extend(replay(ctx, settings, waiting)?);
    let is_done = outcomes.iter().all(|outcome| outcome.result.is_ok());
    ctx.ui.result(&match args.format {
        Format::Json => as_json(&outcomes),
        format => view::table(&tell(&outcomes, format), format, &ctx.ui),
    });
    if !is_done {
        let command = ctx.command_line("replay --set-aside CLAIM --reason TEXT");
        ctx.ui
            .say(&format!("what is LEFT waits for the next replay; one that can never be appended: `{command}` sets it aside"));
    }
    Ok(if is_done { Exit::Done } else { Exit::Unable })
}

fn set_aside(ctx: &Context, spool: &Spool, claim: &str, reason: &str) -> Result<Exit, Failure> {
    let in_spool = spool.directory().join(claim);
    let path = if in_spool.is_file() { in_spool } else { PathBuf::from(claim) };
    let problem = |error: &dyn std::fmt::Display| anyhow!("can't set `{}` aside: {error}", path.display());
    if path.extension() != Some(OsStr::new("json")) {
        return Err(Failure::usage(problem(&"it is no claim")).hint("`deploy-record replay` lists the claims that wait"));
    }
    let held = Held::take(&path)
        .map_err(|error| Failure::usage(problem(&error)).hint("`deploy-record replay` lists the claims that wait"))?;
    let aside = held.set_aside(reason).map_err(|error| Failure::unable(problem(&error)))?;
    ctx.ui.warn(&format!("set aside, no record tells of it: `{}`; it and the reason are kept there", aside.display()));
    Ok(Exit::Done)
}

fn say_what_is_aside(ctx: &Context, spool: &Spool) {
    let (directory, claims) = spool.set_aside();
    if claims > 0 {
        let words = if claims == 1 { "1 claim was set aside" } else { &format!("{claims} claims were set aside") };
        ctx.ui.say(&format!("{words}, and not recorded: `{}`", directory.display()));
    }
}

/// The claims that are meant.
fn paths(args: &Replay, own: &Spool) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |path: &Path, error| Failure::unable(anyhow!("can't read `{}`: {error}", path.display()));
    if args.paths.is_empty() {
        return own.waiting().map_err(|error| unreadable(own.directory(), error));
    }
    let mut claims = Vec::new();
    for path in &args.paths {
        let metadata =
            std::fs::metadata(path).map_err(|error| Failure::usage(anyhow!("can't read `{}`: {error}", path.display())))?;
        if metadata.is_file() {
            claims.push(path.clone());
            continue;
        }
        let of_artifacts = path.join(".deploy-record").join("spool");
        let directory = if of_artifacts.is_dir() { of_artifacts } else { path.clone() };
        claims.extend(Spool::at(directory).waiting().map_err(|error| unreadable(path, error))?);
    }
    Ok(claims)
}

/// A claim that was in order when it was looked at.
struct Waiting {
    path: PathBuf,
    /// When it was made; a start comes before an end of the same second.
    order: (Time, bool),
    environment: Option<Name>,
}

impl Waiting {
    fn look_at(path: &Path, settings: &Settings) -> Result<Waiting, String> {
        let claim = read(spool::look_at(path), settings)?;
        let record = claim.record();
        let environment = record.environment.as_ref().map(|environment| environment.name.clone());
        let order = (record.recorded_at, record.status != Some(Status::Running));
        Ok(Waiting { path: path.to_owned(), order, environment })
    }
}

fn read(content: io::Result<(Vec<u8>, String)>, settings: &Settings) -> Result<Claim, String> {
    let (bytes, signature) = content.map_err(|error| format!("it can't be read: {error}"))?;
    Claim::open(&bytes, &signature, &settings.trust)
}

/// What became of a claim.
struct Outcome {
    path: PathBuf,
    what: String,
    result: Result<Landed, String>,
}

/// Where the record of a claim is that does not wait any more.
enum Landed {
    Now(u64),
    Before(u64),
    /// Somebody else took the claim meanwhile.
    Taken,
}

impl Outcome {
    fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn cells(&self) -> [String; 3] {
        let result = match &self.result {
            Ok(Landed::Now(seq)) => format!("record {seq}"),
            Ok(Landed::Before(seq)) => format!("already record {seq}"),
            Ok(Landed::Taken) => "somebody else replayed it meanwhile".to_owned(),
            Err(problem) => format!("LEFT: {problem}"),
        };
        [self.name(), self.what.clone(), result]
    }

    fn as_json(&self) -> Value {
        let (result, seq, problem) = match &self.result {
            Ok(Landed::Now(seq)) => ("recorded", Some(*seq), None),
            Ok(Landed::Before(seq)) => ("already", Some(*seq), None),
            Ok(Landed::Taken) => ("taken", None, None),
            Err(problem) => ("left", None, Some(problem)),
        };
        let what = Some(&self.what).filter(|what| !what.is_empty());
        let mut value = json!({ "claim": self.name(), "result": result });
        let members = [
            ("record", what.map(|what| json!(what))),
            ("seq", seq.map(Value::from)),
            ("problem", problem.map(|problem| json!(problem))),
        ];
        members.into_iter().for_each(|(name, member)| member.into_iter().for_each(|member| value[name] = member));
        value
    }

    fn is_like(&self, other: &Outcome) -> bool {
        match (&self.result, &other.result) {
            (Ok(own), Ok(other)) => std::mem::discriminant(own) == std::mem::discriminant(other),
            (Err(own), Err(other)) => own == other,
            _ => false,
        }
    }
}

fn as_json(outcomes: &[Outcome]) -> String {
    json_pretty(&Value::Array(outcomes.iter().map(Outcome::as_json).collect()))
}

/// More claims than these are told of together, as far as the same became of them.
const MOST_LINES: usize = 20;

fn tell(outcomes: &[Outcome], format: Format) -> Table {
    let mut table = Table::new(&["claim", "record", "result"]);
    let is_together = outcomes.len() > MOST_LINES && format == Format::Table;
    if !is_together {
        outcomes.iter().for_each(|outcome| table.row(outcome.cells()));
        return table;
    }
    let mut groups: Vec<Vec<&Outcome>> = Vec::new();
    for outcome in outcomes {
        match groups.iter_mut().find(|group| group[0].is_like(outcome)) {
            Some(group) => group.push(outcome),
            None => groups.push(vec![outcome]),
        }
    }
    groups.iter().for_each(|group| table.row(together(group)));
    table
}

fn together(group: &[&Outcome]) -> [String; 3] {
    let [first, .., last] = group else { return group[0].cells() };
    let result = match (&first.result, &last.result) {
        (Ok(Landed::Now(first)), Ok(Landed::Now(last))) => format!("records {first} to {last}"),
        (Ok(Landed::Before(_)), _) => "recorded before".to_owned(),
        _ => return [format!("{} and {} more", first.name(), group.len() - 1), String::new(), first.cells()[2].clone()],
    };
    [format!("{} and {} more", first.name(), group.len() - 1), String::new(), result]
}

fn replay(ctx: &Context, settings: Settings, waiting: Vec<Waiting>) -> Result<Vec<Outcome>, Failure> {
    let Some(first) = waiting.first() else { return Ok(Vec::new()) };
    let writer = LogWriter::open(ctx, settings, first.environment.as_ref())?;
    let progress = (waiting.len() > MOST_LINES).then(|| ctx.ui.progress());
    let all = waiting.len();
    let mut replay = Replaying {
        ctx,
        writer: &writer,
        search: Search::default(),
        unreachable: None,
        is_quiet: progress.is_some(),
        can_remind: true,
    };
    let mut outcomes = Vec::new();
    for (done, Waiting { path, .. }) in waiting.into_iter().enumerate() {
        progress.iter().for_each(|progress| progress.show(&format!("{done} of {all} claims replayed")));
        outcomes.push(replay.one(path));
    }
    Ok(outcomes)
}

fn has_issue(record: &Record) -> bool {
    record.follow_up.as_ref().is_some_and(|follow_up| follow_up.issue_url.is_some())
}

/// The replay of one claim after the other.
struct Replaying<'a> {
    ctx: &'a Context,
    writer: &'a LogWriter<'a>,
    search: Search,
    unreachable: Option<String>,
    is_quiet: bool,
    /// Whether it did not fail yet to make an issue that reminds of a review.
    can_remind: bool,
}

impl Replaying<'_> {
    fn one(&mut self, path: PathBuf) -> Outcome {
        let mut outcome = Outcome { path, what: String::new(), result: Ok(Landed::Taken) };
        // one at a time: a process may not hold any number of files
        let held = match Held::take(&outcome.path) {
            Ok(held) => held,
            Err(HoldError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return outcome,
            Err(error) => return Outcome { result: Err(error.to_string()), ..outcome },
        };
        outcome.result = read(held.read(), &self.writer.settings).and_then(|claim| {
            outcome.what = message::summary(claim.record());
            self.append(&claim)
        });
        if outcome.result.is_ok()
            && let Err(error) = held.remove()
        {
            self.ctx.ui.warn(&format!("can't remove `{}`, whose record is in the log: {error}", outcome.path.display()));
        }
        outcome
    }

    fn append(&mut self, claim: &Claim) -> Result<Landed, String> {
        if let Some(problem) = &self.unreachable {
            return Err(problem.clone());
        }
        let recorder = self.writer.recorder();
        let may_sign = self.writer.may_sign_for(claim);
        let appended = may_sign
            .and_then(|()| Ok(recorder.replay_after(&mut self.search, claim, self.ctx.deadline())?))
            .map_err(|failure| {
                let problem = format!("{:#}", failure.error);
                self.unreachable = failure.is_passing.then(|| problem.clone());
                problem
            })?;
        Ok(match appended {
            Appended::New(receipt) => {
                if !self.is_quiet || receipt.is_new_log {
                    view::announce(self.ctx, &receipt, &self.writer.settings);
                }
                self.remind(claim, receipt.record.seq, receipt.record.finishes);
                Landed::Now(receipt.record.seq)
            }
            Appended::Already(seq) => {
                self.remind(claim, seq, None);
                Landed::Before(seq)
            }
        })
    }

    /// The issue that reminds of the review which a deployment owes that waited: nobody could make it before the start had a number.
    fn remind(&mut self, claim: &Claim, seq: u64, start: Option<u64>) {
        let record = claim.record();
        let owed = match (&record.finishes_id, start) {
            (Some(id), Some(start)) if !has_issue(record) => Owed { seq: start, id, record },
            (None, None) if record.finishes.is_none() => Owed { seq, id: &record.id, record },
            _ => return,
        };
        if self.can_remind && matches!(follow_up::remind(self.ctx, self.writer, owed), Reminder::Fails) {
            self.can_remind = false;
        }
    }
}
