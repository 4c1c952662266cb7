//! Which rows are wanted.

use super::row::Row;
use crate::cli::exit::Failure;
use crate::cli::moment::Moment;
use crate::cli::outcome::LONGEST_RUN;
use crate::core::record::{ClassName, Kind, Name, Person, Project, Record, Status};
use anyhow::anyhow;
use chrono::{DateTime, Utc};
use clap::Args;

/// What is looked for. All that are given must fit; of one that is given several times, one value.
#[derive(Args)]
#[command(next_help_heading = "Filters")]
pub struct Filter {
    /// Only this environment.
    #[arg(short, long, value_name = "NAME")]
    environment: Vec<Name>,
    /// Only this service.
    #[arg(long, value_name = "NAME")]
    service: Vec<Name>,
    /// Only this project, where the log has several: its path, such as `grp/app`, or GitLab's number for it.
    #[arg(long, value_parser = crate::cli::non_empty, value_name = "PROJECT")]
    project: Vec<String>,
    /// Only this version.
    #[arg(long, value_parser = crate::cli::non_empty, value_name = "VERSION")]
    version: Vec<String>,
    /// Only this commit: its id, or at least the first 4 digits of it.
    #[arg(long, value_parser = commit_prefix, value_name = "COMMIT")]
    commit: Vec<String>,
    /// Only what names this ticket, in upper or lower case.
    #[arg(long, value_parser = crate::cli::non_empty, value_name = "TICKET")]
    ticket: Vec<String>,
    /// Only what this person ran, approved, reviewed, wrote or signed: the login or name in full, in upper or lower case.
    #[arg(long, value_parser = crate::cli::non_empty, value_name = "PERSON")]
    person: Vec<String>,
    /// Only changes of this class.
    #[arg(long, value_parser = crate::cli::word_of::<ClassName>(ClassName::ALL, ClassName::as_str), value_name = "CLASS")]
    class: Vec<ClassName>,
    /// Only deployments that stand like this; `unknown` has those whose end nobody told.
    #[arg(long, value_parser = crate::cli::word_of::<Status>(Status::ALL, Status::as_str), value_name = "STATUS")]
    status: Vec<Status>,
    /// Only records of this kind.
    #[arg(long, value_parser = crate::cli::word_of::<Kind>(Kind::ALL, Kind::as_str), value_name = "KIND")]
    kind: Vec<Kind>,
    /// Only what was still going on then, or came later: 7d, 12h, 30m, 2w, 2026-11-20 or 2026-11-20T14:05:11Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only what began before then, likewise; a day is meant to its end.
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

impl Filter {
    /// Whether anything can fit at all.
    ///
    /// # Errors
    /// Where the times exclude each other.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), Failure> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since.begin(now) >= until.end(now) => {
                Err(Failure::usage(anyhow!("--since is not before --until, so nothing can fit")))
            }
            _ => Ok(()),
        }
    }

    /// Whether the row is wanted.
    pub fn wants(&self, row: &Row, now: DateTime<Utc>) -> bool {
        let has = |fits: &dyn Fn(&Record) -> bool| row.records().any(fits);
        let is_one = |wanted: &[String], fits: &dyn Fn(&str) -> bool| wanted.is_empty() || wanted.iter().any(|text| fits(text));
        !self.rules_out(row, now)
            && is_one(&self.version, &|wanted| {
                has(&|record| record.version.as_ref().is_some_and(|version| version.as_str() == wanted))
            })
            && is_one(&self.commit, &|wanted| {
                has(&|record| record.commit.as_ref().is_some_and(|commit| commit.sha.as_str().starts_with(wanted)))
            })
            && is_one(&self.ticket, &|wanted| has(&|record| names_ticket(record, wanted)))
            && is_one(&self.person, &|wanted| has(&|record| names_person(record, wanted)))
            && (self.class.is_empty()
                || has(&|record| record.class.as_ref().is_some_and(|class| self.class.contains(&class.name))))
    }

    /// Whether the row is not wanted, whatever its start may say: in all this, a start and its end agree.
    pub fn rules_out(&self, row: &Row, now: DateTime<Utc>) -> bool {
        let record = &row.newest.record;
        let (began, ended) = row.period(now);
        let environment = record.environment.as_ref().map(|environment| &environment.name);
        let fits = (self.kind.is_empty() || self.kind.contains(&record.kind))
            && (self.status.is_empty() || row.status().is_some_and(|status| self.status.contains(&status)))
            && (self.environment.is_empty() || environment.is_some_and(|name| self.environment.contains(name)))
            && (self.service.is_empty() || record.service.as_ref().is_some_and(|name| self.service.contains(name)))
            && (self.project.is_empty() || record.project.as_ref().is_some_and(|project| self.names_project(project)))
            && self.since.is_none_or(|since| ended >= since.begin(now))
            && self.until.is_none_or(|until| began < until.end(now));
        !fits
    }

    /// Records that were recorded before this tell of nothing that is wanted: none tells of what came after it, and what still
    /// runs did not begin long ago.
    pub fn reads_back_to(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.since.map(|since| since.begin(now).min(now - LONGEST_RUN))
    }

    fn names_project(&self, project: &Project) -> bool {
        let is_named = |wanted: &String| {
            let is_path = project.path.as_ref().is_some_and(|path| path.as_str().eq_ignore_ascii_case(wanted));
            is_path || project.id.is_some_and(|id| id.to_string() == *wanted)
        };
        self.project.iter().any(is_named)
    }
}

fn names_ticket(record: &Record, wanted: &str) -> bool {
    let tickets = record.changes.iter().flat_map(|changes| &changes.tickets);
    tickets.into_iter().any(|ticket| is_same(ticket.as_str(), wanted))
}

fn names_person(record: &Record, wanted: &str) -> bool {
    let people = [&record.actor, &record.approver, &record.reviewer, &record.by, &record.approved_by];
    let people = people.into_iter().flatten().chain(record.approval.as_ref().map(|approval| &approval.approver));
    let is_meant = |person: &Person| {
        person.login.as_ref().is_some_and(|login| is_same(login.as_str(), wanted))
            || person.name.as_ref().is_some_and(|name| is_same(name.as_str(), wanted))
    };
    people.into_iter().any(is_meant) || is_same(record.signer.as_str(), wanted)
}

fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn commit_prefix(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && (4..=64).contains(&text.len()) { Ok(text) } else { Err("expected 4 to 64 hexadecimal digits".to_owned()) }
}
