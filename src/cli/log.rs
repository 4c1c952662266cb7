//! `deploy-record log`: what was deployed, the newest first.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::newest::Newest;
use super::settings::Settings;
use super::{Format, view};
use crate::core::finding::{Code, Finding};
use crate::core::log::entry::{self, Inspected, RawEntry, Trust};
use crate::core::log::page;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{Digest, Kind, Record, Status, Time};
use crate::core::time::{duration, readable};
use crate::store::LogStore;
use crate::ui::Ui;
use crate::ui::json::json_line;
use crate::ui::table::Table;
use anyhow::anyhow;
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
    #[arg(long, value_parser = super::word_of::<Kind>(Kind::ALL, Kind::as_str), value_name = "KIND")]
    kind: Option<Kind>,
    /// Only deployments that ended like this, or are running.
    #[arg(long, value_parser = super::word_of::<Status>(Status::ALL, Status::as_str), value_name = "STATUS")]
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
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since.at(ctx.now()) >= until.at(ctx.now())
    {
        return Err(Failure::usage(anyhow!("--since is not before --until, so nothing can fit")));
    }
    let settings = Settings::load(ctx)?;
    let store = settings.open_log(ctx)?;
    let most = if args.all { usize::MAX } else { usize::try_from(args.last).unwrap_or(usize::MAX) };
    let mut newest = Newest::fetch(ctx, &store)?;
    let mut listing = Listing::default();
    while let Some(entry) = newest.next()? {
        if !listing.take(args, ctx, &settings.trust, &entry, most) {
            ctx.ui.say(&format!("these are the newest {most}; `--last N` or `--all` shows more"));
            break;
        }
    }
    if listing.rows.is_empty() {
        ctx.ui.say("no record fits");
    }
    print(&ctx.ui, args.format, &listing.rows, settings.trust.signers.is_some());
    if settings.trust.signers.is_none() {
        ctx.ui.warn("nobody vouches for this: there is no trust root");
    }
    Ok(match (listing.is_sound(), listing.has_newer, settings.trust.signers.is_some()) {
        (false, ..) => Exit::No,
        (true, true, _) => Exit::Usage,
        (true, false, false) => Exit::Unable,
        (true, false, true) => Exit::Done,
    })
}

/// The rows that fit, and what was met on the way.
#[derive(Default)]
struct Listing {
    rows: Vec<Row>,
    closed: HashSet<u64>,
    has_newer: bool,
    has_damage: bool,
    /// The record before: what the next older one must be, by its number and digest.
    expected: Option<(u64, Digest)>,
}

impl Listing {
    /// Takes the next older commit; false once there are enough rows and this would be one more.
    fn take(&mut self, args: &Log, ctx: &Context, trust: &Trust, entry: &RawEntry, most: usize) -> bool {
        let inspected = entry::inspect(entry, trust, 0);
        let is_newer = inspected.findings.iter().any(|finding| finding.code == Code::RecordNewer);
        let link = inspected.record.as_ref().and_then(|record| Some((record.seq.checked_sub(1)?, record.prev)));
        let digest = inspected.digest;
        let expected = std::mem::replace(&mut self.expected, link);
        let Some(row) = Row::of(entry, inspected) else {
            (self.has_newer, self.has_damage) = (self.has_newer || is_newer, self.has_damage || !is_newer);
            let words = if is_newer { "is of a later version: update deploy-record" } else { "holds no readable record" };
            ctx.ui.warn(&format!("commit {} {words}; `deploy-record verify` tells more", entry.commit.short()));
            return true;
        };
        if expected.is_some_and(|expected| expected != (row.record.seq, digest)) {
            self.has_damage = true;
            ctx.ui.warn(&format!("record {} is not the one that the next names; see `deploy-record verify`", row.record.seq));
        }
        if row.errors.is_empty() {
            self.closed.extend(row.record.finishes);
        } else {
            self.has_damage = true;
            ctx.ui.warn(&format!("record {} does not verify: {}", row.record.seq, row.errors[0].code));
        }
        if self.closed.contains(&row.record.seq) || !args.wants(&row.record, ctx.now()) {
            return true;
        }
        if self.rows.len() == most {
            return false;
        }
        self.rows.push(row);
        true
    }

    fn is_sound(&self) -> bool {
        !self.has_damage
    }
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

/// The error for a log that does not exist.
pub fn no_log(store: &LogStore) -> Failure {
    Failure::unable(anyhow!("there is no log: {} does not exist", store.description()))
        .hint("name the log with --log, its branch with --branch; `git fetch` brings a remote's branches")
}

struct Row {
    record: Record,
    commit: String,
    errors: Vec<Finding>,
}

impl Row {
    fn of(entry: &RawEntry, inspected: Inspected) -> Option<Row> {
        let errors = inspected.findings.iter().filter(|finding| finding.is_error()).cloned().collect();
        Some(Row { record: *inspected.record?, commit: entry.commit.to_string(), errors })
    }

    /// Its cells; for spreadsheets with times and lengths as programs read them.
    fn cells(&self, format: Format) -> Vec<String> {
        let record = &self.record;
        let for_programs = format == Format::Csv;
        let time = record.started_at.unwrap_or(record.recorded_at);
        let took = record.started_at.zip(record.finished_at).map(|(start, end)| (end.utc() - start.utc()).num_seconds());
        let took = took.and_then(|seconds| u64::try_from(seconds).ok());
        vec![
            record.seq.to_string(),
            if for_programs { time.to_string() } else { readable(time.utc()) },
            record.environment.as_ref().map(|environment| environment.name.to_string()).unwrap_or_default(),
            record.service.as_ref().map(ToString::to_string).unwrap_or_default(),
            record.version.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.result(),
            took.map(|seconds| if for_programs { seconds.to_string() } else { duration(seconds) }).unwrap_or_default(),
            page::person(
                record.actor.as_ref().or(record.by.as_ref()).or(record.approver.as_ref()).or(record.reviewer.as_ref()),
            ),
            record.signer.to_string(),
        ]
    }

    fn result(&self) -> String {
        let result = self.record.status.map_or_else(|| self.record.kind.to_string(), |status| status.to_string());
        let result = if self.record.kind == Kind::Rollback { format!("rollback {result}") } else { result };
        match self.errors.first() {
            Some(error) => format!("{result}, NOT VERIFIED: {}", error.code),
            None => result,
        }
    }
}

fn print(ui: &Ui, format: Format, rows: &[Row], has_trust_root: bool) {
    if format == Format::Json {
        for row in rows {
            let errors: Vec<_> = row.errors.iter().map(|error| error.code.as_str()).collect();
            let value = json!({ "commit": row.commit, "verified": has_trust_root && errors.is_empty(), "findings": errors, "record": row.record.write() });
            ui.result(&json_line(&value));
        }
        return;
    }
    let took = if format == Format::Csv { "took_seconds" } else { "took" };
    let mut table = Table::new(&["#", "when", "environment", "service", "version", "result", took, "by", "signed by"])
        .right_aligned(&[0, 6])
        .never_cut(&[1, 2, 5]);
    rows.iter().for_each(|row| table.row(row.cells(format)));
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
