//! `deploy-record replay`: append what waits in a spool.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::writer::LogWriter;
use super::{Format, view};
use crate::core::log::late::Claim;
use crate::core::log::message;
use crate::core::record::Status;
use crate::recorder::Appended;
use crate::spool::{Held, Spool};
use crate::ui::table::Table;
use anyhow::anyhow;
use clap::Args;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Append the records that wait in a spool, because the log could not be reached when they were made.
///
/// Each is appended once, whoever replays it and however often; what is in the log is taken out of the spool. The record says
/// when it was made and by whom, and who appended it.
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
        match open(&path, &settings) {
            Ok(found) => waiting.push(found),
            Err(problem) => outcomes.push(Outcome { path, what: String::new(), result: Err(problem) }),
        }
    }
    waiting.sort_by_key(|waiting| (waiting.claim.record().recorded_at, waiting.claim.record().status != Some(Status::Running)));
    if waiting.is_empty() && outcomes.is_empty() {
        ctx.ui.say("nothing waits in the spool");
        return Ok(Exit::Done);
    }
    outcomes.extend(replay(ctx, settings, waiting)?);
    let is_done = outcomes.iter().all(|outcome| outcome.result.is_ok());
    let mut table = Table::new(&["claim", "record", "result"]);
    outcomes.iter().for_each(|outcome| table.row(outcome.cells()));
    ctx.ui.result(&view::table(&table, args.format, &ctx.ui));
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

/// A claim that is held and in order.
struct Waiting {
    held: Held,
    claim: Claim,
}

fn open(path: &Path, settings: &Settings) -> Result<Waiting, String> {
    let held = Held::take(path).map_err(|error| error.to_string())?;
    let (bytes, signature) = held.read().map_err(|error| format!("it can't be read: {error}"))?;
    let claim = Claim::open(&bytes, &signature, &settings.trust)?;
    Ok(Waiting { held, claim })
}

/// What became of a claim.
struct Outcome {
    path: PathBuf,
    what: String,
    result: Result<String, String>,
}

impl Outcome {
    fn cells(&self) -> [String; 3] {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let result = match &self.result {
            Ok(words) => words.clone(),
            Err(problem) => format!("LEFT: {problem}"),
        };
        [name, self.what.clone(), result]
    }
}

fn replay(ctx: &Context, settings: Settings, waiting: Vec<Waiting>) -> Result<Vec<Outcome>, Failure> {
    let Some(first) = waiting.first() else { return Ok(Vec::new()) };
    let environment = first.claim.record().environment.as_ref().map(|environment| &environment.name);
    let writer = LogWriter::open(ctx, settings, environment)?;
    let recorder = writer.recorder();
    let mut unreachable: Option<String> = None;
    let mut outcomes = Vec::new();
    for Waiting { held, claim } in waiting {
        let (path, what) = (held.path().to_owned(), message::summary(claim.record()));
        let result = match &unreachable {
            Some(problem) => Err(problem.clone()),
            None => {
                writer.may_sign_for(&claim).and_then(|()| Ok(recorder.replay(&claim, ctx.deadline())?)).map_err(|failure| {
                    let problem = format!("{:#}", failure.error);
                    unreachable = failure.is_passing.then(|| problem.clone());
                    problem
                })
            }
        };
        let result = result.map(|appended| {
            if let Err(error) = held.remove() {
                ctx.ui.warn(&format!("can't remove `{}`, whose record is in the log: {error}", path.display()));
            }
            match appended {
                Appended::New(receipt) => {
                    view::announce(ctx, &receipt, &writer.settings);
                    format!("record {}", receipt.record.seq)
                }
                Appended::Already(seq) => format!("already record {seq}"),
            }
        });
        outcomes.push(Outcome { path, what, result });
    }
    Ok(outcomes)
}
