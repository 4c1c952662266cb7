//! How records look to people: one place for the words that several commands share.

use super::Format;
use super::context::Context;
use super::exit::Failure;
use super::settings::Settings;
use crate::core::escape::terminal_lines;
use crate::core::finding::Finding;
use crate::core::log::message;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{
    Approval, Changes, FollowUp, Job, Kind, MergeRequest, Name, Person, Record, Rollback, Status, Strength, Time,
};
use crate::core::redact::Redactor;
use crate::core::time::duration;
use crate::recorder::{Receipt, Spooled};
use crate::ui::Ui;
use crate::ui::json::json_pretty;
use crate::ui::table::Table;
use serde_json::{Value, json};
use std::iter;

/// Tells, on stderr, that a record is in the log.
pub fn announce(ctx: &Context, receipt: &Receipt, settings: &Settings) {
    if receipt.is_new_log {
        ctx.ui.say(&format!("new-log: began a release log, id {}, on the branch `{}`", receipt.record.log, settings.branch));
        if !settings.trusts_only_itself {
            let digest = receipt.checkpoint.sha256;
            ctx.ui.hint(&format!(
                "pin it, so that no other log can take its place: in `.deploy-record.yml` on the default branch, \
                 log: {{ id: \"{}\", first: \"{digest}\" }}",
                receipt.record.log
            ));
        }
    }
    for kind in &receipt.redacted {
        ctx.ui.warn(&format!("took out what looks like a secret ({kind}); see `redact.allow` if it is none"));
    }
    ctx.ui.say(&format!("record {}: {}", receipt.record.seq, message::summary(&receipt.record)));
}

/// Tells, on stderr, that a record is in the spool, and why it is not in the log.
pub fn announce_spooled(ctx: &Context, spooled: Spooled) {
    let failure = Failure::from(spooled.because);
    ctx.ui.error(&failure.error, &failure.hints);
    let replay = ctx.command_line("replay");
    ctx.ui.loud(&format!(
        "SPOOLED: the record is not in the log yet; it waits in {}. `{replay}` appends it",
        spooled.path.display()
    ));
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
        format => details(&rows(&receipt.record), format),
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

/// What is known of something, in the order in which it is told: a name and a text each.
pub type Rows = Vec<(&'static str, String)>;

/// Rows for people: one line each; or as a table of two columns.
pub fn details(rows: &Rows, format: Format) -> String {
    if matches!(format, Format::Csv | Format::Markdown) {
        let mut table = Table::new(&["field", "value"]);
        rows.iter().for_each(|(name, text)| table.row([*name, text.as_str()]));
        return if format == Format::Csv { table.render_csv() } else { table.render_markdown() };
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |(name, text): &(&str, String)| {
        let indent = format!("\n{:width$}  ", "");
        format!("{name:width$}  {}", terminal_lines(text).replace('\n', &indent))
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A record in full, with how strongly each group of facts was known.
pub fn rows(record: &Record) -> Rows {
    let mut rows = vec![("record", format!("{}, {}", record.seq, record.kind))];
    let mut add =
        |name: &'static str, text: Option<String>| rows.extend(text.filter(|text| !text.is_empty()).map(|text| (name, text)));
    let known = |strength: Option<Strength>| strength.map(|strength| format!(" ({strength})")).unwrap_or_default();
    let provenance = record.provenance.clone().unwrap_or_default();
    let changes = record.changes.as_ref();
    add("environment", record.environment.as_ref().map(|place| environment(place, &known(provenance.environment))));
    add("service", record.service.as_ref().map(ToString::to_string));
    add("project", record.project.as_ref().map(project));
    add("version", record.version.as_ref().map(ToString::to_string));
    add("result", record.status.map(|status| format!("{}{}", outcome(record, status), known(provenance.status))));
    add("commit", commit(record, &known(provenance.commit)));
    add("previous", record.previous.as_ref().map(|previous| format!("{} (record {})", previous.version, previous.seq)));
    add("changes", changes.map(change_words));
    add("merge requests", changes.map(|changes| merge_requests(&changes.merge_requests)));
    add("tickets", changes.map(|changes| list(changes.tickets.iter())));
    add("artifacts", Some(lines(record.artifacts.iter().map(|artifact| format!("{} {}", artifact.name, artifact.digest)))));
    add("checks", Some(lines(record.checks.iter().map(check))));
    add("run by", record.actor.as_ref().map(|actor| format!("{}{}", person(actor), known(provenance.actor))));
    add("job", record.job.as_ref().map(|job| format!("{}{}", job_words(job), known(provenance.job))));
    add("approved by", record.approval.as_ref().map(|found| approval(found, &known(provenance.approval))));
    add("approver", record.approver.as_ref().map(person));
    add("reviewer", record.reviewer.as_ref().map(person));
    add("by", record.by.as_ref().map(person));
    add("about", record.of.map(|seq| format!("record {seq}")));
    add(
        "class",
        record
            .class
            .as_ref()
            .map(|class| lines(iter::once(class.name.to_string()).chain(class.because.iter().map(ToString::to_string)))),
    );
    add("break-glass", record.break_glass.as_ref().map(|glass| format!("no prior approval: {}", glass.reason)));
    add("overridden", Some(lines(record.overrides.iter().map(|over| format!("{}: {}", over.rule, over.reason)))));
    add("reason", record.reason.as_ref().map(ToString::to_string));
    add("withdrawn", record.withdrawn.filter(|withdrawn| *withdrawn).map(|_| "takes back what was approved before".to_owned()));
    add("counts until", record.expires_at.map(to_the_second));
    if record.rollback.as_ref().is_some_and(|rollback| rollback.reason.is_none()) {
        add("rolled back because", rollback_reason(record));
    }
    record.rollback.iter().flat_map(rollback_texts).for_each(|(name, text)| add(name, Some(text)));
    add("note", record.note.as_ref().map(ToString::to_string));
    add("change note", record.change_note.as_ref().and_then(|note| note.summary.as_ref()).map(ToString::to_string));
    add("outcome", record.outcome.map(|outcome| outcome.to_string()));
    let is_due = record.follow_up.as_ref().is_some_and(|follow_up| follow_up.due.is_some());
    add(if is_due { "review due" } else { "follow-up" }, record.follow_up.as_ref().map(follow_up));
    let found = |finding: &crate::core::record::Finding| format!("{}: {}", finding.code, finding.message);
    let is_refusal = record.kind == Kind::Refusal;
    add(if is_refusal { "refused because" } else { "findings" }, Some(lines(record.findings.iter().map(found))));
    add("began", record.started_at.map(|time| format!("{}{}", to_the_second(time), known(provenance.times))));
    add("ended", record.finished_at.map(to_the_second));
    add("closes", record.finishes.map(|seq| format!("the start, record {seq}")));
    add("policy", record.policy.as_ref().map(|policy| format!("{}, {}", policy.reference, policy.sha256)));
    add("recorded", Some(format!("{} by {}, {}", to_the_second(record.recorded_at), record.signer, record.tool)));
    add("log", Some(record.log.to_string()));
    add("follows", Some(record.prev.to_string()));
    rows
}

/// `!120, !121`; with who wrote, merged and approved each, one a line, where that is known.
fn merge_requests(requests: &[MergeRequest]) -> String {
    let who = |role: &str, login: Option<&Name>| login.map(|login| format!("{role} {login}"));
    let words = |request: &MergeRequest| {
        let author = request.author.as_ref().and_then(|author| author.login.as_ref());
        let merger = request.merged_by.as_ref().and_then(|merger| merger.login.as_ref());
        let approver = request.approved_by.first().map(|approved| &approved.login);
        let people = [who("by", author), who("merged by", merger), who("approved by", approver)];
        let people: Vec<_> = people.into_iter().flatten().collect();
        let iid = request.iid;
        if people.is_empty() { format!("!{iid}") } else { format!("!{iid} {}", people.join(", ")) }
    };
    match requests.iter().any(|request| request.author.is_some()) {
        true => lines(requests.iter().map(words)),
        false => list(requests.iter().map(words)),
    }
}

/// Who approved, in which way, how strongly that is known, when, what, and with which words.
pub fn approval(approval: &Approval, strength: &str) -> String {
    let source = Some(format!("{} ({}){strength}", person(&approval.approver), approval.source));
    let at = approval.at.map(to_the_second);
    let record = approval.seq.map(|seq| format!("record {seq}"));
    let covers: Vec<_> = approval.covers.iter().map(|iid| format!("!{iid}")).collect();
    let covers = Some(covers.join(" ")).filter(|covers| !covers.is_empty());
    let facts = list([source, at, record, covers].into_iter().flatten());
    let url = approval.url.as_ref().map(ToString::to_string);
    lines(iter::once(facts).chain(url).chain(approval.note.as_ref().map(ToString::to_string)))
}

/// By when, by whom, and what the approver said about it.
fn follow_up(follow_up: &FollowUp) -> String {
    let due = follow_up.due.map(to_the_second);
    let by = follow_up.assignee.as_ref().map(|login| format!("by {login}"));
    let facts = list([due, by].into_iter().flatten());
    let issue = follow_up.issue_url.as_ref().map(ToString::to_string);
    let note = follow_up.note.as_ref().map(ToString::to_string);
    lines(iter::once(facts).chain(note).chain(issue).filter(|line| !line.is_empty()))
}

fn to_the_second(time: Time) -> String {
    time.utc().format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn environment(environment: &crate::core::record::Environment, strength: &str) -> String {
    let url = environment.url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
    format!("{}, tier {}{url}{strength}", environment.name, environment.tier)
}

fn project(project: &crate::core::record::Project) -> String {
    let id = project.id.map(|id| format!("project {id}"));
    list([project.path.as_ref().map(ToString::to_string), id].into_iter().flatten())
}

fn check(check: &crate::core::record::Check) -> String {
    let status = check.status.as_ref().map(|status| format!(" {status}")).unwrap_or_default();
    let url = check.url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
    format!("{}{status}{url}", check.name)
}

fn outcome(record: &Record, status: Status) -> String {
    let took = record.started_at.zip(record.finished_at).map(|(start, end)| (end.utc() - start.utc()).num_seconds());
    match took.and_then(|seconds| u64::try_from(seconds).ok()) {
        Some(seconds) if seconds > 0 => format!("{status} after {}", duration(seconds)),
        _ => status.to_string(),
    }
}

/// Why a rollback was made, or that nobody has said so.
pub fn rollback_reason(record: &Record) -> Option<String> {
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

fn change_words(changes: &Changes) -> String {
    let count =
        |number: Option<u64>, noun: &str| number.map(|number| format!("{number} {noun}{}", if number == 1 { "" } else { "s" }));
    let mut parts: Vec<_> = [count(changes.commits, "commit"), count(changes.files, "file")].into_iter().flatten().collect();
    if !changes.authors.is_empty() {
        parts.push(format!("by {}", list(changes.authors.iter())));
    }
    if changes.incomplete == Some(true) {
        parts.push("incomplete: history was too short".to_owned());
    }
    parts.join(", ")
}

fn job_words(job: &Job) -> String {
    let name = job.name.as_ref().map(ToString::to_string);
    let id = job.id.map(|id| format!("number {id}"));
    let attempt = job.attempt.map(|attempt| format!("attempt {attempt}"));
    let pipeline = job.pipeline_id.map(|id| format!("pipeline {id}"));
    let source = job.source.as_ref().map(|source| format!("started by {source}"));
    let runner = job.runner.as_ref().map(|runner| format!("on {runner}"));
    let url = job.url.as_ref().map(ToString::to_string);
    list([name, id, attempt, pipeline, source, runner, url].into_iter().flatten())
}

/// An annotation, as it stands beside the record that it is about.
pub fn annotation(record: &Record) -> String {
    format!("annotated {}", annotation_by(record))
}

/// Who annotated, in which record, and what it says.
pub fn annotation_by(record: &Record) -> String {
    let by = record.by.as_ref().or(record.reviewer.as_ref()).map(person).unwrap_or_default();
    let outcome = record.outcome.map(|outcome| format!("{outcome}: ")).unwrap_or_default();
    format!("by {by} in record {}: {outcome}{}", record.seq, annotation_texts(record))
}

/// What an annotation adds.
pub fn annotation_texts(record: &Record) -> String {
    let note = record.note.as_ref().map(ToString::to_string);
    let rollback = record.rollback.iter().flat_map(rollback_texts).map(|(name, text)| format!("{name}: {text}"));
    lines(note.into_iter().chain(rollback))
}

/// The texts of a rollback, each with its name.
fn rollback_texts(rollback: &Rollback) -> impl Iterator<Item = (&'static str, String)> {
    let texts = [
        ("rolled back because", &rollback.reason),
        ("told to customers", &rollback.public_reason),
        ("impact", &rollback.impact),
        ("fixed by", &rollback.resolution),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?.to_string())));
    texts.chain(rollback.incident.as_ref().map(|incident| ("incident", incident.to_string())))
}

/// A finding, for programs.
pub fn finding(finding: &Finding) -> Value {
    json!({ "code": finding.code.as_str(), "record": finding.seq, "message": finding.message })
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

fn lines(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join("\n")
}

fn list(items: impl Iterator<Item = impl ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
