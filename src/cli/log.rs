//! `deploy-record log`: what was deployed, the newest first.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::{Format, view};
use crate::core::finding::Finding;
use crate::core::log::entry::{self, RawEntry, Trust};
use crate::core::log::page;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{Kind, Record, Status, Time};
use crate::core::time::{duration, readable};
use crate::store::{Depth, LogStore};
use crate::ui::Ui;
use crate::ui::json::json_line;
use crate::ui::table::Table;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::Args;
use serde_json::json;
use std::collections::HashSet;

/// List deployments and the other records, the newest first.
///
/// A start and its outcome are one line. Each record's own signature and signer are checked; one that does not verify is
/// shown as such. `verify` checks the chain as a whole.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record log --environment production --last 3\n  deploy-record log --since 7d --status failed\n  deploy-record log --all --format csv > deployments.csv"
)]
pub struct Log {
    /// Only this environment.
    #[arg(short, long, value_parser = super::non_empty, value_name = "NAME")]
    environment: Option<String>,
    /// Only this service.
    #[arg(long, value_parser = super::non_empty, value_name = "NAME")]
    service: Option<String>,
    /// Only records of this kind.
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// Only deployments that ended like this, or are running.
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// Only what was recorded since then: 7d, 12h, 2026-11-20 or 2026-11-20T14:05:11Z.
    #[arg(long, value_parser = moment, value_name = "TIME")]
    since: Option<Moment>,
    /// Only what was recorded before then, likewise.
    #[arg(long, value_parser = moment, value_name = "TIME")]
    until: Option<Moment>,
    /// So many of them.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    last: u64,
    /// All of them.
    #[arg(long, conflicts_with = "last")]
    all: bool,
    /// How the result is written; json is one object a line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Lists them.
pub fn run(args: &Log, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let store = settings.open_log(ctx)?;
    let most = if args.all { usize::MAX } else { usize::try_from(args.last).unwrap_or(usize::MAX) };
    let Some(mut newest) = Newest::fetch(ctx, &store)? else { return Ok(Exit::Done) };
    let mut rows = Vec::new();
    let mut closed = HashSet::new();
    while rows.len() < most
        && let Some(entry) = newest.next()?
    {
        let Some(row) = Row::of(&entry, &settings.trust) else {
            ctx.ui
                .warn(&format!("commit {} holds no readable record; `deploy-record verify` tells more", entry.commit.short()));
            continue;
        };
        closed.extend(row.record.finishes);
        if !closed.contains(&row.record.seq) && args.wants(&row.record, ctx.now()) {
            rows.push(row);
        }
    }
    if rows.is_empty() {
        ctx.ui.say("no record fits");
    }
    print(&ctx.ui, args.format, &rows);
    Ok(Exit::Done)
}

impl Log {
    fn wants(&self, record: &Record, now: DateTime<Utc>) -> bool {
        let fits = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
        let at = record.recorded_at.utc();
        fits(&self.environment, record.environment.as_ref().map(|environment| environment.name.as_str()))
            && fits(&self.service, record.service.as_ref().map(|service| service.as_str()))
            && self.kind.is_none_or(|kind| record.kind == kind)
            && self.status.is_none_or(|status| record.status == Some(status))
            && self.since.is_none_or(|since| at >= since.at(now))
            && self.until.is_none_or(|until| at < until.at(now))
    }
}

/// Walks the log from its tip back, reading only as far as it is asked to.
pub struct Newest<'a> {
    store: &'a LogStore,
    next: Option<crate::core::record::CommitId>,
}

impl<'a> Newest<'a> {
    /// Fetches the log; `None`, and a word on it, where there is none yet.
    pub fn fetch(ctx: &Context, store: &'a LogStore) -> Result<Option<Self>, Failure> {
        let tip = store.fetch(Depth::All, ctx.deadline())?;
        if tip.is_none() {
            ctx.ui.say(&format!("there is no log yet: {} does not exist", store.description()));
        }
        Ok(tip.map(|tip| Newest { store, next: Some(tip) }))
    }

    /// The next older commit.
    pub fn next(&mut self) -> Result<Option<RawEntry>, Failure> {
        let Some(commit) = self.next.take() else { return Ok(None) };
        let entry = self.store.read(&commit)?;
        self.next = entry.parents.first().cloned();
        Ok(Some(entry))
    }
}

struct Row {
    record: Record,
    commit: String,
    errors: Vec<Finding>,
}

impl Row {
    fn of(entry: &RawEntry, trust: &Trust) -> Option<Row> {
        let inspected = entry::inspect(entry, trust, 0);
        let errors = inspected.findings.iter().filter(|finding| finding.is_error()).cloned().collect();
        Some(Row { record: inspected.record?, commit: entry.commit.to_string(), errors })
    }

    fn cells(&self) -> Vec<String> {
        let record = &self.record;
        let time = record.started_at.unwrap_or(record.recorded_at);
        let took = record.started_at.zip(record.finished_at).map(|(start, end)| (end.utc() - start.utc()).num_seconds());
        let result = record.status.map_or_else(|| record.kind.to_string(), |status| status.to_string());
        let result = match (self.errors.first(), record.kind) {
            (Some(error), _) => format!("NOT VERIFIED: {}", error.code),
            (None, Kind::Rollback) => format!("rollback {result}"),
            (None, _) => result,
        };
        vec![
            record.seq.to_string(),
            readable(time.utc()),
            record.environment.as_ref().map(|environment| environment.name.to_string()).unwrap_or_default(),
            record.service.as_ref().map(ToString::to_string).unwrap_or_default(),
            record.version.as_ref().map(ToString::to_string).unwrap_or_default(),
            result,
            took.and_then(|seconds| u64::try_from(seconds).ok()).map(duration).unwrap_or_default(),
            page::person(
                record.actor.as_ref().or(record.by.as_ref()).or(record.approver.as_ref()).or(record.reviewer.as_ref()),
            ),
            record.signer.to_string(),
        ]
    }
}

fn print(ui: &Ui, format: Format, rows: &[Row]) {
    if format == Format::Json {
        for row in rows {
            let errors: Vec<_> = row.errors.iter().map(|error| error.code.as_str()).collect();
            let value = json!({ "commit": row.commit, "verified": errors.is_empty(), "findings": errors, "record": row.record.write() });
            ui.result(&json_line(&value));
        }
        return;
    }
    let mut table = Table::new(&["#", "when", "environment", "service", "version", "result", "took", "by", "signed by"])
        .right_aligned(&[0, 6]);
    rows.iter().for_each(|row| table.row(row.cells()));
    ui.result(&view::table(&table, format, ui));
}

/// A moment on the command line: fixed, or so long ago.
#[derive(Debug, Clone, Copy)]
enum Moment {
    At(DateTime<Utc>),
    Ago(TimeDelta),
}

impl Moment {
    fn at(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::At(at) => at,
            Moment::Ago(ago) => now.checked_sub_signed(ago).unwrap_or(DateTime::<Utc>::MIN_UTC),
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = text.parse::<Time>() {
        return Ok(Moment::At(time.utc()));
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(Moment::At(date.and_time(chrono::NaiveTime::MIN).and_utc()));
    }
    let wrong = || "expected a time like 7d, 12h, 30m, 2026-11-20 or 2026-11-20T14:05:11Z".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        'd' => number.checked_mul(86_400),
        'h' => number.checked_mul(3_600),
        'm' => number.checked_mul(60),
        _ => None,
    };
    seconds.filter(|seconds| *seconds >= 0).and_then(TimeDelta::try_seconds).map(Moment::Ago).ok_or_else(wrong)
}
