//! `deploy-record verify`: compute everything again, and say what does not fit.

use super::context::Context;
use super::exit::{Exit, Failure, describe};
use super::log::no_log;
use super::settings::Settings;
use super::{Format, view};
use crate::core::checkpoint::Checkpoint;
use crate::core::escape::terminal;
use crate::core::finding::Severity;
use crate::core::time::readable;
use crate::core::verify::Report;
use crate::recorder::Verification;
use crate::store::{Depth, LogStore};
use crate::ui::json::json_pretty;
use crate::ui::table::Table;
use clap::Args;
use serde_json::{Value, json};

/// Check the whole log: format, order, links, signatures, signers, state, pairs of start and outcome.
///
/// Exit code 0: verified (where a repository uses the key that it made for itself, by that key, which the last line says). 1: something is wrong, or the log no longer holds what this machine saw in it. 2: the log has records of a later version: update deploy-record. 3: the chain
/// is intact, but there is no trust root, so nobody vouches for its keys.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  deploy-record verify\n  deploy-record verify --allowed-signers allowed_signers --log https://gitlab.example/grp/app.git\n  deploy-record verify --checkpoint 'deploy-record LOG-ID 124 sha256:…'"
)]
pub struct Verify {
    /// A checkpoint that was kept elsewhere: the log must still hold that record; may be repeated.
    #[arg(long, value_name = "LINE")]
    checkpoint: Vec<Checkpoint>,
    /// Check the signature of every commit, not only of the newest.
    #[arg(long)]
    deep: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Checks it.
pub fn run(args: &Verify, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let store = settings.open_log(ctx)?;
    let report = verify(args, ctx, &settings, &store)?;
    let text = match args.format {
        Format::Json => json_pretty(&as_json(&report, &settings)),
        Format::Table => as_text(&report, &settings, &store),
        format => view::table(&findings(&report), format, &ctx.ui),
    };
    ctx.ui.result(&text);
    Ok(match (report.errors(), report.newer, report.has_trust_root) {
        _ if store.rewound().is_some() => Exit::No,
        (1.., ..) => Exit::No,
        (0, 1.., _) => Exit::Usage,
        (0, 0, false) => Exit::Unable,
        (0, 0, true) => Exit::Done,
    })
}

fn verify(args: &Verify, ctx: &Context, settings: &Settings, store: &LogStore) -> Result<Report, Failure> {
    let progress = ctx.ui.progress();
    progress.show("fetching the log");
    let tip = store.fetch(Depth::All, ctx.deadline())?.ok_or_else(|| no_log(store))?;
    let verification = Verification {
        store,
        trust: &settings.trust,
        checkpoints: &args.checkpoint,
        deep: args.deep,
        now: ctx.now(),
        progress: &|done, all| progress.show(&format!("{done} of {all} commits checked")),
    };
    Ok(verification.run(&tip)?)
}

fn as_json(report: &Report, settings: &Settings) -> Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "code": finding.code.as_str(),
            "severity": finding.code.severity().to_string(),
            "seq": finding.seq,
            "commit": finding.commit.as_ref().map(|commit| commit.as_str()),
            "message": finding.message,
        })
    });
    let signers = report
        .signers
        .iter()
        .map(|((principal, key), records)| json!({ "principal": principal, "key": key, "records": records }));
    json!({
        "commits": report.commits,
        "sound": report.verified,
        "verified": if report.has_trust_root { report.verified } else { 0 },
        "newer": report.newer,
        "since": report.period.map(|(since, _)| since.to_string()),
        "until": report.period.map(|(_, until)| until.to_string()),
        "signers": signers.collect::<Vec<_>>(),
        "trust_root": settings.trust_origin,
        "own_key_only": settings.trusts_only_itself,
        "head": report.head.as_ref().map(ToString::to_string),
        "held": report.held.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "errors": report.errors(),
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn as_text(report: &Report, settings: &Settings, store: &LogStore) -> String {
    let mut lines = Vec::new();
    for severity in [Severity::Error, Severity::Notice] {
        for finding in report.findings.iter().filter(|finding| finding.code.severity() == severity) {
            lines.push(format!("{severity}: {}", terminal(&describe(finding))));
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    let id = report.head.as_ref().map(|head| format!(" {}", head.log)).unwrap_or_default();
    lines.push(format!("log{id}, {}", store.description()));
    for ((principal, key), records) in &report.signers {
        lines.push(format!("signed by `{principal}`, key {key}: {}", count(*records, "record")));
    }
    for held in &report.held {
        lines.push(format!("the checkpoint holds: record {} and all before it are those that it names", held.seq));
    }
    if let Some(head) = report.head.as_ref().filter(|_| report.errors() == 0 && report.newer == 0) {
        lines.push(format!("checkpoint: {head}"));
    }
    lines.push(verdict(report, settings));
    lines.join("\n")
}

fn findings(report: &Report) -> Table {
    let mut table = Table::new(&["severity", "code", "record", "commit", "finding"]);
    for finding in &report.findings {
        table.row([
            finding.code.severity().to_string(),
            finding.code.to_string(),
            finding.seq.map(|seq| seq.to_string()).unwrap_or_default(),
            finding.commit.as_ref().map(ToString::to_string).unwrap_or_default(),
            finding.message.clone(),
        ]);
    }
    table
}

/// The line that a reviewer wants.
fn verdict(report: &Report, settings: &Settings) -> String {
    let period = report
        .period
        .map(|(since, until)| format!(" from {} to {}", readable(since.utc()), readable(until.utc())))
        .unwrap_or_default();
    let head = report.head.as_ref().map(|head| format!(", head {}", head.seq)).unwrap_or_default();
    let errors = report.errors();
    let notices = report.findings.len() - errors;
    let findings = format!("{}, {}", count(errors as u64, "error"), count(notices as u64, "notice"));
    if errors > 0 {
        let commits = count(report.commits, "commit");
        return format!("NOT VERIFIED{period}{head}; {findings}; {} of {commits} without one of their own", report.verified);
    }
    if report.newer > 0 {
        let newer = count(report.newer, "record");
        return format!(
            "NOT VERIFIED: {newer} of a later version, {} verified{period}{head}; update deploy-record",
            report.verified
        );
    }
    let keys: std::collections::BTreeSet<_> = report.signers.keys().map(|(_, key)| key.as_str()).collect();
    let keys = keys.into_iter().collect::<Vec<_>>().join(", ");
    let vouched = match &settings.trust_origin {
        None => {
            let signatures = count(report.commits, "signature");
            return format!("chain intact{period}{head}: {signatures} by key {keys}, vouched for by nobody; {findings}");
        }
        Some(_) if settings.trusts_only_itself => {
            "; signed by this repository's own key; nobody else vouches for it".to_owned()
        }
        Some(origin) => format!("; trust root: {origin}"),
    };
    format!(
        "verified: {}{period}, {}{head}; {findings}{vouched}",
        count(report.verified, "record"),
        count(report.signers.len() as u64, "signer")
    )
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
