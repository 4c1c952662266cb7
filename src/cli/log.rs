//! `deploy-record log`: what was deployed, the newest first.

mod filter;
mod history;
mod row;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::newest::Newest;
use super::outcome;
use super::settings::Settings;
use super::{Format, view};
use crate::core::time::readable;
use crate::store::LogStore;
use crate::ui::json::json_line;
use crate::ui::table::Table;
use anyhow::anyhow;
use chrono::{DateTime, Utc};
use clap::Args;
use filter::Filter;
use history::History;
use row::Row;
pub use row::told_at;
use std::fmt::Write as _;

/// How many rows there are where nobody says how many.
const USUAL_ROWS: usize = 20;

/// List deployments and the other records, the newest first.
///
/// A start and its outcome are one row, under the number of the outcome; annotations stand beside what they are about, and in
/// rows of their own. All filters that are given must fit; of one that is given several times, one value. Each record's own signature and signer are checked; one that does not verify is shown as such, and
/// `verify` checks the chain as a whole.
#[derive(Args)]
#[command(after_help = after_help())]
pub struct Log {
    /// So many rows [default: 20, or all of them with --since].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    last: Option<u64>,
    /// All of them.
    #[arg(long, conflicts_with = "last")]
    all: bool,
    /// How the result is written; json is one object a line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    filter: Filter,
}

fn after_help() -> String {
    format!(
        "Time: a deployment goes on from its beginning to its end, as it was told, and fits where that overlaps the time from --since \
         to --until. One that runs has not ended; of one with unknown outcome only the beginning counts. Any other record fits by \
         the time at which it was recorded, or, where it had to wait, first signed. Days are days in UTC.\n\n{}\n\n\
         Examples:\n  deploy-record log --environment production --last 3\n  deploy-record log --since 7d --status failed --status unknown\n  \
         deploy-record log --ticket PAY-7 --person chen\n  deploy-record log --since 2026-10-01 --until 2026-10-31 --format csv > october.csv\n  \
         deploy-record log --kind refusal --kind rollback --all",
        outcome::RULE
    )
}

/// Lists them.
pub fn run(args: &Log, ctx: &Context) -> Result<Exit, Failure> {
    let now = ctx.now();
    args.filter.check(now)?;
    let settings = Settings::load(ctx)?;
    let store = settings.open_log(ctx)?;
    let mut newest = Newest::fetch(ctx, &store)?;
    let mut history = History::new(&settings.trust, now);
    let listing = args.collect(ctx, &mut newest, &mut history, now)?;
    let has_trust_root = settings.trust.signers.is_some();
    ctx.ui.result(&write(args.format, &listing.rows, ctx, has_trust_root, now));
    if listing.rows.is_empty() {
        ctx.ui.say(&format!("nothing fits; {}", searched(&history, listing.is_whole)));
    } else if listing.rows.len() == args.most() && !listing.is_whole {
        ctx.ui.say(&format!("these are the newest {}; `--last N` or `--all` looks further back", listing.rows.len()));
    }
    if !has_trust_root {
        ctx.ui.warn("nobody vouches for this: there is no trust root");
    }
    Ok(match (history.has_damage, history.has_newer, has_trust_root) {
        (true, ..) => Exit::No,
        (false, true, _) => Exit::Usage,
        (false, false, false) => Exit::Unable,
        (false, false, true) => Exit::Done,
    })
}

/// The rows that fit, and whether the log was read to its first record.
struct Listing {
    rows: Vec<Row>,
    is_whole: bool,
}

impl Log {
    fn most(&self) -> usize {
        match self.last {
            Some(last) => usize::try_from(last).unwrap_or(usize::MAX),
            None if self.all || self.filter.since.is_some() => usize::MAX,
            None => USUAL_ROWS,
        }
    }

    /// Reads only as far as it must: until there are enough rows, or until nothing older can fit.
    fn collect(
        &self,
        ctx: &Context,
        newest: &mut Newest,
        history: &mut History,
        now: DateTime<Utc>,
    ) -> Result<Listing, Failure> {
        let is_out = |row: &Row| self.filter.rules_out(row, now);
        let back_to = self.filter.reads_back_to(now);
        let mut rows = Vec::new();
        loop {
            let entry = newest.next()?;
            match &entry {
                Some(entry) => history.take(entry).iter().for_each(|warning| ctx.ui.warn(warning)),
                None => history.end(),
            }
            while let Some(row) = history.next_row(is_out) {
                if rows.len() < self.most() && self.filter.wants(&row, now) {
                    rows.push(row);
                }
            }
            let is_whole = entry.is_none_or(|entry| entry.parents.is_empty() && !history.is_waiting(is_out));
            let is_past = back_to.zip(history.since).is_some_and(|(back_to, since)| since.utc() < back_to);
            if is_whole || rows.len() == self.most() || (is_past && !history.is_waiting(is_out)) {
                return Ok(Listing { rows, is_whole });
            }
        }
    }
}

fn searched(history: &History, is_whole: bool) -> String {
    let mut text = match history.read {
        1 => "1 record was searched".to_owned(),
        number => format!("{number} records were searched"),
    };
    if let Some(since) = history.since {
        let which = if is_whole { "all since the log began" } else { "back to" };
        let _ = write!(text, ", {which} {}{}", if is_whole { "at " } else { "" }, readable(since.utc()));
    }
    text
}

fn write(format: Format, rows: &[Row], ctx: &Context, has_trust_root: bool, now: DateTime<Utc>) -> String {
    if format == Format::Json {
        return rows.iter().map(|row| json_line(&row.as_json(has_trust_root)) + "\n").collect();
    }
    let took = if format == Format::Csv { "took_seconds" } else { "took" };
    let header = [
        "#",
        "start",
        "when",
        "project",
        "environment",
        "service",
        "version",
        "commit",
        "result",
        took,
        "by",
        "class",
        "approved by",
        "signed by",
        "note",
    ];
    let project = 3;
    let mut all: Vec<_> = rows.iter().map(|row| row.cells(format, now)).collect();
    if format != Format::Csv && all.iter().all(|cells| cells[project] == all[0][project]) {
        all.iter_mut().for_each(|cells| cells[project].clear());
    }
    let mut table = Table::new(&header).right_aligned(&[0, 1, 9]).never_cut(&[2, 4, 7, 8]);
    all.into_iter().for_each(|cells| table.row(cells));
    view::table(&table, format, &ctx.ui)
}

/// The error for a log that does not exist.
pub fn no_log(store: &LogStore) -> Failure {
    Failure::unable(anyhow!("there is no log: {} does not exist", store.description()))
        .hint("name the log with --log, its branch with --branch; `git fetch` brings a remote's branches")
}
