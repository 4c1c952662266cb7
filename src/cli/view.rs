//! How records look to people: one place for the words that several commands share.

use super::Format;
use super::context::Context;
use super::settings::Settings;
use crate::core::escape::terminal_lines;
use crate::core::log::message;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{Kind, Person, Record, Status};
use crate::core::redact::Redactor;
use crate::core::time::{duration, readable};
use crate::recorder::Receipt;
use crate::ui::Ui;
use crate::ui::json::json_pretty;
use crate::ui::table::Table;
use serde_json::{Value, json};

/// Tells, on stderr, that a record is in the log.
pub fn announce(ctx: &Context, receipt: &Receipt, settings: &Settings) {
    if receipt.is_new_log {
        ctx.ui.say(&format!("new-log: began a release log, id {}, on the branch `{}`", receipt.record.log, settings.branch));
    }
    for kind in &receipt.redacted {
        ctx.ui.warn(&format!("took out what looks like a secret ({kind}); see `redact.allow` if it is none"));
    }
    ctx.ui.say(&format!("record {}: {}", receipt.record.seq, message::summary(&receipt.record)));
    ctx.ui.say(&format!("checkpoint: {}", receipt.checkpoint));
}

/// A receipt as a result.
pub fn receipt(receipt: &Receipt, format: Format) -> String {
    match format {
        Format::Json => json_pretty(&json!({
            "seq": receipt.record.seq,
            "checkpoint": receipt.checkpoint.to_string(),
            "redacted": receipt.redacted,
            "record": receipt.record.write(),
        })),
        Format::Table | Format::Csv | Format::Markdown => details(&receipt.record),
    }
}

/// The answer to what was recorded before, in this record.
pub fn already(seq: u64, format: Format) -> String {
    match format {
        Format::Json => json_pretty(&json!({ "seq": seq, "already": true })),
        Format::Table | Format::Csv | Format::Markdown => String::new(),
    }
}

/// A table in one of the forms that tables have.
pub fn table(table: &Table, format: Format, ui: &Ui) -> String {
    match format {
        Format::Csv => table.render_csv(),
        Format::Markdown => table.render_markdown(),
        Format::Table | Format::Json => table.render(ui.width()),
    }
}

/// A record that was not written, without the fields that only the log gives.
pub fn draft(record: &Record, redactor: &Redactor) -> String {
    let mut record = record.clone();
    record.visit_texts(&mut |text| {
        let clean = redactor.redact(text).text.into_owned();
        *text = clean;
    });
    let mut value = record.write();
    if let Value::Object(object) = &mut value {
        for field in ["log", "seq", "prev", "id", "recorded_at", "signer", "tool"] {
            object.shift_remove(field);
        }
    }
    json_pretty(&value)
}

/// A record in full, for people: one line a field, with how strongly it was known.
pub fn details(record: &Record) -> String {
    let rows = rows(record);
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, text): &(&str, String)| {
        let indent = format!("\n{:width$}  ", "");
        format!("{name:width$}  {}", terminal_lines(text).replace('\n', &indent))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn rows(record: &Record) -> Vec<(&'static str, String)> {
    let mut rows = vec![("record", format!("{}, {}", record.seq, record.kind))];
    let mut add =
        |name: &'static str, text: Option<String>| rows.extend(text.filter(|text| !text.is_empty()).map(|text| (name, text)));
    let known =
        |strength: Option<crate::core::record::Strength>| strength.map(|strength| format!(" ({strength})")).unwrap_or_default();
    let provenance = record.provenance.clone().unwrap_or_default();
    add(
        "environment",
        record
            .environment
            .as_ref()
            .map(|environment| format!("{}, {}{}", environment.name, environment.tier, known(provenance.environment))),
    );
    add("service", record.service.as_ref().map(ToString::to_string));
    add("project", record.project.as_ref().and_then(|project| project.path.as_ref()).map(ToString::to_string));
    add("version", record.version.as_ref().map(ToString::to_string));
    add("result", record.status.map(|status| format!("{}{}", outcome(record, status), known(provenance.status))));
    add("commit", commit(record, &known(provenance.commit)));
    add("previous", record.previous.as_ref().map(|previous| format!("{} (record {})", previous.version, previous.seq)));
    add("changes", changes(record));
    add(
        "merge requests",
        record.changes.as_ref().map(|changes| list(changes.merge_requests.iter().map(|request| format!("!{}", request.iid)))),
    );
    add("tickets", record.changes.as_ref().map(|changes| list(changes.tickets.iter())));
    add("artifacts", Some(list(record.artifacts.iter().map(|artifact| format!("{} {}", artifact.name, artifact.digest)))));
    add(
        "checks",
        Some(list(
            record
                .checks
                .iter()
                .map(|check| format!("{} {}", check.name, check.status.as_ref().map_or("", |status| status.as_str()))),
        )),
    );
    add("run by", record.actor.as_ref().map(|actor| format!("{}{}", person(actor), known(provenance.actor))));
    add("job", record.job.as_ref().map(|job| format!("{}{}", job_words(job), known(provenance.job))));
    add("approved by", record.approval.as_ref().map(|approval| person(&approval.approver)));
    add("approver", record.approver.as_ref().map(person));
    add("reviewer", record.reviewer.as_ref().map(person));
    add("by", record.by.as_ref().map(person));
    add("about", record.of.map(|seq| format!("record {seq}")));
    add("class", record.class.as_ref().map(|class| class.name.to_string()));
    add("break-glass", record.break_glass.as_ref().map(|glass| format!("no prior approval: {}", glass.reason)));
    add("reason", record.reason.as_ref().map(ToString::to_string));
    add("rolled back because", rollback_reason(record));
    add("impact", record.rollback.as_ref().and_then(|rollback| rollback.impact.as_ref()).map(ToString::to_string));
    add("note", record.note.as_ref().map(ToString::to_string));
    add("change note", record.change_note.as_ref().and_then(|note| note.summary.as_ref()).map(ToString::to_string));
    add("review due", record.follow_up.as_ref().and_then(|follow_up| follow_up.due).map(|due| readable(due.utc())));
    add(
        "refused because",
        Some(
            record
                .findings
                .iter()
                .map(|finding| format!("{}: {}", finding.code, finding.message))
                .collect::<Vec<_>>()
                .join("\n"),
        ),
    );
    add("began", record.started_at.map(|time| format!("{}{}", readable(time.utc()), known(provenance.times))));
    add("ended", record.finished_at.map(|time| readable(time.utc())));
    add("closes", record.finishes.map(|seq| format!("the start, record {seq}")));
    add("policy", record.policy.as_ref().map(|policy| format!("{}, {}", policy.reference, policy.sha256)));
    add("recorded", Some(format!("{} by {}, {}", readable(record.recorded_at.utc()), record.signer, record.tool)));
    rows
}

fn outcome(record: &Record, status: Status) -> String {
    let took = record.started_at.zip(record.finished_at).map(|(start, end)| (end.utc() - start.utc()).num_seconds());
    match took.and_then(|seconds| u64::try_from(seconds).ok()) {
        Some(seconds) if seconds > 0 => format!("{status} after {}", duration(seconds)),
        _ => status.to_string(),
    }
}

fn rollback_reason(record: &Record) -> Option<String> {
    if record.kind != Kind::Rollback {
        return None;
    }
    let reason = record.rollback.as_ref()?.reason.as_ref();
    Some(reason.map_or_else(|| "reason missing".to_owned(), ToString::to_string))
}

fn commit(record: &Record, strength: &str) -> Option<String> {
    let commit = record.commit.as_ref()?;
    let title = commit.title.as_ref().map(|title| format!(" {title}")).unwrap_or_default();
    let author = commit.author.as_ref().map(|author| format!(", by {author}")).unwrap_or_default();
    Some(format!("{}{title}{author}{strength}", commit.sha.short()))
}

fn changes(record: &Record) -> Option<String> {
    let changes = record.changes.as_ref()?;
    let count =
        |number: Option<u64>, noun: &str| number.map(|number| format!("{number} {noun}{}", if number == 1 { "" } else { "s" }));
    let mut parts: Vec<_> = [count(changes.commits, "commit"), count(changes.files, "file")].into_iter().flatten().collect();
    if !changes.authors.is_empty() {
        parts.push(format!("by {}", list(changes.authors.iter())));
    }
    if changes.incomplete == Some(true) {
        parts.push("incomplete: history was too short".to_owned());
    }
    Some(parts.join(", "))
}

fn job_words(job: &crate::core::record::Job) -> String {
    let name = job.name.as_ref().map(ToString::to_string).unwrap_or_default();
    let id = job.id.map(|id| format!(" #{id}")).unwrap_or_default();
    let attempt = job.attempt.map(|attempt| format!(", attempt {attempt}")).unwrap_or_default();
    let url = job.url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
    format!("{name}{id}{attempt}{url}")
}

/// A person, with login and name where both are known.
pub fn person(person: &Person) -> String {
    let name = match (&person.login, &person.name) {
        (Some(login), Some(name)) if login.as_str() != name.as_str() => format!("{name} ({login})"),
        (Some(login), _) => login.to_string(),
        (None, Some(name)) => name.to_string(),
        (None, None) => "unknown".to_owned(),
    };
    match (person.automated, person.bot) {
        (Some(true), _) => format!("{name}, automated"),
        (_, Some(true)) => format!("{name}, bot"),
        _ => name,
    }
}

fn list(items: impl Iterator<Item = impl ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
