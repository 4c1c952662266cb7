//! `deploy-record show`: one record, explained.

use super::context::Context;
use super::exit::{Exit, Failure, describe};
use super::newest::Newest;
use super::settings::Settings;
use super::{Format, follow_up, view};
use crate::core::escape::{shell_quoted, terminal};
use crate::core::finding::{Code, Finding};
use crate::core::gate::is_same_person;
use crate::core::log::entry::{self, Inspected, RawEntry};
use crate::core::log::message;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{Id, Kind, Link, Outcome, Record};
use crate::ui::json::json_pretty;
use anyhow::anyhow;
use clap::Args;
use serde_json::json;

/// Show one record in full, with how strongly each part of it was known, what was added to it later, and how to check it by hand.
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
    let mut shown = find(args.seq, &mut Newest::fetch(ctx, &store)?, &settings)?.ok_or_else(missing)?;
    shown.look_for_issue(ctx, &settings);
    let text = match args.format {
        Format::Json => shown.as_json(),
        Format::Table => shown.explained(ctx, &settings),
        format => view::details(&shown.rows(), format),
    };
    ctx.ui.result(&text);
    let is_sound = !shown.inspected.findings.iter().any(Finding::is_error);
    Ok(match (is_sound, settings.trust.signers.is_some()) {
        (false, _) => Exit::No,
        (true, false) => Exit::Unable,
        (true, true) => Exit::Done,
    })
}

/// The record of this number, with what later ones say about it.
fn find(seq: u64, newest: &mut Newest, settings: &Settings) -> Result<Option<Shown>, Failure> {
    let mut shown: Option<Shown> = None;
    let mut annotations = Vec::new();
    let mut closed_by = None;
    let mut has_issue = false;
    while let Some(entry) = newest.next()? {
        let inspected = entry::inspect(&entry, &settings.trust, 0);
        let is_sound = !inspected.findings.iter().any(Finding::is_error);
        let Some(record) = inspected.record.as_deref().cloned() else {
            if shown.is_none() && message::trailers(&entry.message).is_ok_and(|trailers| trailers.seq == seq) {
                return Err(unreadable(seq, &inspected));
            }
            continue;
        };
        let this = record.seq;
        if this == seq && shown.is_none() {
            let start = (record.seq, record.id.clone());
            let has_issue = has_issue || names_issue(&record);
            shown = Some(Shown { entry, inspected, record, closed_by, annotations: Vec::new(), start, has_issue, issue: None });
        } else if is_sound && matches!(record.kind, Kind::Annotation | Kind::Review | Kind::Resolution) {
            annotations.push(record);
        } else if is_sound && record.finishes == Some(seq) {
            closed_by = Some(this); // the first end counts, and it is met last
            has_issue = names_issue(&record);
        } else if let Some(shown) = shown.as_mut().filter(|shown| is_sound && shown.record.finishes == Some(this)) {
            shown.start = (this, record.id.clone());
        }
        // what is said about the start of a deployment comes after that, and may come before its end
        if shown.as_ref().is_some_and(|shown| shown.record.finishes.is_none_or(|start| this <= start)) {
            break;
        }
    }
    if let Some(shown) = &mut shown {
        let halves = [Some(seq), shown.record.finishes, shown.closed_by];
        annotations.retain(|annotation| annotation.of.is_some() && halves.contains(&annotation.of));
        annotations.reverse();
        shown.annotations = annotations;
    }
    Ok(shown)
}

/// Whether an issue reminds of a review, by what the record says.
fn names_issue(record: &Record) -> bool {
    record.follow_up.as_ref().is_some_and(|follow_up| follow_up.issue_url.is_some())
}

/// A record that stands in the log and can't be shown.
fn unreadable(seq: u64, inspected: &Inspected) -> Failure {
    let is_newer = inspected.findings.iter().any(|finding| finding.code == Code::RecordNewer);
    let words = if is_newer { "is of a later version" } else { "can't be read" };
    let exit = if is_newer { Exit::Usage } else { Exit::No };
    let failure = Failure { exit, ..Failure::no(anyhow!("record {seq} {words}")) };
    inspected.findings.iter().map(describe).fold(failure, Failure::hint)
}

/// How it is called what a later record says about this one.
fn said(kind: Kind) -> &'static str {
    match kind {
        Kind::Review => "reviewed",
        Kind::Resolution => "hold lifted",
        _ => "annotated",
    }
}

impl Issue {
    fn as_json(&self) -> serde_json::Value {
        json!({ "url": self.url.as_ref().map(Link::as_str), "state": if self.is_closed { "closed" } else { "opened" } })
    }

    fn words(&self) -> String {
        let url = self.url.as_ref().map(|url| format!(": {url}")).unwrap_or_default();
        let review = &self.review;
        match self.is_closed {
            true => format!("closed, but the review is still owed; `{review}` closes that{url}"),
            false => format!("open, and the review is owed; `{review}` closes that{url}"),
        }
    }
}

struct Shown {
    entry: RawEntry,
    inspected: Inspected,
    record: Record,
    closed_by: Option<u64>,
    /// Verified annotations, reviews and resolutions of it, or of the other half of its deployment, the oldest first.
    annotations: Vec<Record>,
    /// The start: this record, or the one that it closes.
    start: (u64, Id),
    /// Whether an issue reminds of the review, by the outcome's record.
    has_issue: bool,
    issue: Option<Issue>,
}

/// The issue that reminds of a review which is still owed.
struct Issue {
    url: Option<Link>,
    is_closed: bool,
    /// What closes the review.
    review: String,
}

impl Shown {
    /// Asks GitLab how the issue stands that reminds of the review, as long as that is owed.
    fn look_for_issue(&mut self, ctx: &Context, settings: &Settings) {
        let is_due = self.record.follow_up.as_ref().is_some_and(|follow_up| follow_up.due.is_some());
        let is_wanted = self.has_issue || settings.config.rules.follow_up.issue;
        if !(self.record.is_delivery() && is_due && is_wanted)
            || self.annotations.iter().any(|review| self.is_closed_by(review))
        {
            return;
        }
        let review = ctx.command_line(&format!("review {}", self.start.0));
        let found = follow_up::look(ctx, settings, &self.start.1);
        self.issue = found.map(|(url, is_closed)| Issue { url, is_closed, review });
    }

    /// Whether somebody else than who ran it has reviewed it, and found it right.
    fn is_closed_by(&self, review: &Record) -> bool {
        let reviewer = review.reviewer.as_ref().filter(|_| review.outcome == Some(Outcome::Approved));
        let by_actor = |reviewer| self.record.actor.as_ref().and_then(|actor| is_same_person(actor, reviewer)) == Some(true);
        reviewer.is_some_and(|reviewer| !by_actor(reviewer))
    }

    fn as_json(&self) -> String {
        json_pretty(&json!({
            "commit": self.entry.commit.as_str(),
            "sha256": self.inspected.digest.to_string(),
            "key": self.inspected.fingerprint,
            "closed_by": self.closed_by,
            "issue": self.issue.as_ref().map(Issue::as_json),
            "findings": self.inspected.findings.iter().map(view::finding).collect::<Vec<_>>(),
            "annotations": self.annotations.iter().map(|annotation| annotation.write()).collect::<Vec<_>>(),
            "record": self.record.write(),
        }))
    }

    fn rows(&self) -> view::Rows {
        let mut rows = view::rows(&self.record);
        if let Some(seq) = self.closed_by {
            rows.push(("closed by", format!("the outcome, record {seq}")));
        }
        rows.extend(self.annotations.iter().map(|record| (said(record.kind), view::annotation_by(record))));
        rows.extend(self.issue.iter().map(|issue| ("issue", issue.words())));
        rows.push(("digest", self.inspected.digest.to_string()));
        rows
    }

    fn explained(&self, ctx: &Context, settings: &Settings) -> String {
        let mut text = view::details(&self.rows(), Format::Table);
        text.push_str(&format!("\n\n{}\n", self.verdict(settings)));
        for finding in &self.inspected.findings {
            text.push_str(&format!("  {}\n", terminal(&describe(finding))));
        }
        text.push_str(&format!("\nBy hand, with stock tools:\n  {}", self.by_hand(ctx, settings).join("\n  ")));
        text
    }

    fn verdict(&self, settings: &Settings) -> String {
        let key = self.inspected.fingerprint.as_deref().unwrap_or("none");
        match (&settings.trust_origin, self.inspected.findings.iter().any(Finding::is_error)) {
            (_, true) => "DOES NOT VERIFY".to_owned(),
            (None, false) => format!("signed by key {key}, for which nobody vouches: there is no trust root"),
            (Some(_), false) if settings.trusts_only_itself => {
                format!("signed by this repository's own key {key}; nobody else vouches for it")
            }
            (Some(origin), false) => format!("signed by `{}`, key {key}, trusted by {origin}", self.record.signer),
        }
    }

    fn by_hand(&self, ctx: &Context, settings: &Settings) -> Vec<String> {
        let commit = self.entry.commit.short();
        let time = self.record.recorded_at.utc().format("%Y%m%d%H%M%SZ");
        let fetch = settings
            .location
            .address()
            .map(|url| format!("git fetch {} {}", shell_quoted(&url), shell_quoted(&settings.branch)));
        let signers = settings.allowed_signers_by_hand(ctx);
        let git = settings.location.git_words(settings.checkout.as_ref());
        let own = [
            format!("{git} cat-file blob {commit}:record.json > record.json"),
            format!("{git} cat-file blob {commit}:record.json.sig > record.json.sig"),
            format!(
                "ssh-keygen -Y verify -O verify-time={time} -f allowed_signers -I '{}' -n deploy-record -s record.json.sig < record.json",
                self.record.signer
            ),
            format!("sha256sum record.json    # its digest; record {} has it as `prev`", self.record.seq + 1),
        ];
        fetch.into_iter().chain([signers]).chain(own).collect()
    }
}
