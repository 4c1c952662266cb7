//! `deploy-record show`: one record, explained.

use super::context::Context;
use super::exit::{Exit, Failure, describe};
use super::log::Newest;
use super::settings::Settings;
use super::{Format, view};
use crate::core::log::entry::{self, Inspected, RawEntry};
use crate::core::record::Record;
use crate::core::record::shape::FieldType as _;
use crate::ui::json::json_pretty;
use anyhow::anyhow;
use clap::Args;
use serde_json::json;

/// Show one record in full, with how strongly each part of it was known, and how to check it by hand.
#[derive(Args)]
#[command(after_help = "Examples:\n  deploy-record show 124\n  deploy-record show 124 --format json")]
pub struct Show {
    /// The record's number.
    #[arg(value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    seq: u64,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Shows it.
pub fn run(args: &Show, ctx: &Context) -> Result<Exit, Failure> {
    let settings = Settings::load(ctx)?;
    let store = settings.open_log(ctx)?;
    let missing = || {
        Failure::usage(anyhow!("{} holds no record {}", store.description(), args.seq)).hint("`deploy-record log` lists them")
    };
    let mut newest = Newest::fetch(ctx, &store)?.ok_or_else(missing)?;
    let (entry, inspected, record) = loop {
        let entry = newest.next()?.ok_or_else(missing)?;
        let inspected = entry::inspect(&entry, &settings.trust, 0);
        match inspected.record.clone() {
            Some(record) if record.seq == args.seq => break (entry, inspected, record),
            _ => {}
        }
    };
    let text = match args.format {
        Format::Json => as_json(&entry, &inspected, &record),
        Format::Table | Format::Csv | Format::Markdown => explained(&entry, &inspected, &record, &settings),
    };
    ctx.ui.result(&text);
    let is_sound = !inspected.findings.iter().any(crate::core::finding::Finding::is_error);
    Ok(match (is_sound, settings.trust.signers.is_some()) {
        (false, _) => Exit::No,
        (true, false) => Exit::Unable,
        (true, true) => Exit::Done,
    })
}

fn as_json(entry: &RawEntry, inspected: &Inspected, record: &Record) -> String {
    let findings: Vec<_> =
        inspected.findings.iter().map(|finding| json!({ "code": finding.code.as_str(), "message": finding.message })).collect();
    json_pretty(&json!({
        "commit": entry.commit.as_str(),
        "sha256": inspected.digest.to_string(),
        "key": inspected.fingerprint,
        "findings": findings,
        "record": record.write(),
    }))
}

fn explained(entry: &RawEntry, inspected: &Inspected, record: &Record, settings: &Settings) -> String {
    let mut text = view::details(record);
    let key = inspected.fingerprint.as_deref().unwrap_or("none");
    let verdict = match (&settings.trust_origin, inspected.findings.iter().any(crate::core::finding::Finding::is_error)) {
        (_, true) => "DOES NOT VERIFY".to_owned(),
        (None, false) => format!("signed by key {key}, for which nobody vouches: there is no trust root"),
        (Some(_), false) if settings.trusts_only_itself => {
            format!("signed by this repository's own key {key}; nobody else vouches for it")
        }
        (Some(origin), false) => format!("signed by `{}`, key {key}, trusted by {origin}", record.signer),
    };
    text.push_str(&format!("\n\n{verdict}\n"));
    for finding in &inspected.findings {
        text.push_str(&format!("  {}\n", crate::core::escape::terminal(&describe(finding))));
    }
    let commit = entry.commit.short();
    let time = record.recorded_at.utc().format("%Y%m%d%H%M%SZ");
    text.push_str(&format!(
        "\nBy hand:\n  git cat-file blob {commit}:record.json > record.json\n  git cat-file blob {commit}:record.json.sig > record.json.sig\n  \
         ssh-keygen -Y verify -O verify-time={time} -f allowed_signers -I '{}' -n deploy-record -s record.json.sig < record.json",
        record.signer
    ));
    text
}
