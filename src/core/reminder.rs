//! The issue that reminds of a review: what it says, and the mark by which it is found again.
//!
//! The mark is made from the id of the start's record. No two starts have the same, and a record keeps it through retries, spool and
//! replay; so whoever looks for it finds the one issue that there is. Texts of people stand in the issue as what they are: text.

use super::escape::{markdown_code, markdown_inline, plain_title};
use super::policy::Calendar;
use super::record::{Class, ClassName, Id, Kind, Name, Person, Record, Text};
use chrono::NaiveDate;

/// An issue that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    /// Its title; GitLab takes at most 255 characters.
    pub title: String,
    /// Its text, Markdown, with the mark.
    pub description: String,
    /// The day by which the review is due, where the team is.
    pub due: Option<NaiveDate>,
    /// Who should do it.
    pub assignee: Option<Name>,
}

/// How many digits of the id are in a mark.
const DIGITS: usize = 16;
/// The most characters of a name in the title.
const LONGEST_NAME: usize = 60;
/// The most characters of a text in the description.
const LONGEST_TEXT: usize = 2000;

/// The mark of the review that this start owes. It is one word of letters and digits: GitLab's search takes others apart, and does
/// not know words of 50 characters or more. `None` where the id is not known.
pub fn mark(start: &Id) -> Option<String> {
    let digits = &start.as_str()[..DIGITS];
    digits.bytes().any(|digit| digit != b'0').then(|| format!("deployrecordreview{digits}"))
}

/// Whether a text has this very mark, not only a word with it in it.
pub fn has_mark(text: &str, mark: &str) -> bool {
    text.split(|character: char| !character.is_alphanumeric()).any(|word| word == mark)
}

/// The issue that reminds of the review of a deployment. `seq` is the number of its start, `command` the line that closes the review.
pub fn compose(record: &Record, seq: u64, mark: &str, command: &str, calendar: &Calendar) -> Reminder {
    let due = record.follow_up.as_ref().and_then(|follow_up| follow_up.due);
    Reminder {
        title: title(record, seq),
        description: description(record, seq, mark, command, calendar),
        due: due.map(|due| calendar.zone.local(due.utc()).date()),
        assignee: record.follow_up.as_ref().and_then(|follow_up| follow_up.assignee.clone()),
    }
}

/// `Review the emergency deployment of api 1.4.2 to production (record 12)`
fn title(record: &Record, seq: u64) -> String {
    let is_emergency = record.class.as_ref().is_some_and(|class| class.name == ClassName::Emergency);
    let what = match (record.kind, is_emergency) {
        (Kind::Rollback, _) => "rollback",
        (_, true) => "emergency deployment",
        (_, false) => "deployment",
    };
    let to = if record.kind == Kind::Rollback { ["to", "in"] } else { ["of", "to"] };
    let name = |text: &str| plain_title(text, LONGEST_NAME);
    let service = record.service.as_ref().map(|service| format!("{} ", name(service.as_str()))).unwrap_or_default();
    let version = record.version.as_ref().map(|version| name(version.as_str())).unwrap_or_default();
    let environment = record.environment.as_ref().map(|environment| name(environment.name.as_str())).unwrap_or_default();
    format!("Review the {what} {} {service}{version} {} {environment} (record {seq})", to[0], to[1])
}

fn description(record: &Record, seq: u64, mark: &str, command: &str, calendar: &Calendar) -> String {
    let facts: String = facts(record, calendar).into_iter().map(|(name, text)| format!("- **{name}**: {text}\n")).collect();
    format!(
        "Record {seq} of the release log owes a review: somebody else than those who ran and wrote it looks at it afterwards, and \
         says what they found with\n\n{}\n\nThat closes the review; closing this issue does not.\n\n{facts}\n\
         deploy-record finds this issue again by {}.\n",
        markdown_code(command),
        markdown_code(mark),
    )
}

/// What happened, each as Markdown on one line that begins with a word of ours.
fn facts(record: &Record, calendar: &Calendar) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut add = |name, text: Option<String>| facts.extend(text.map(|text| (name, text)));
    add("What", Some(what(record)));
    add("Class", record.class.as_ref().map(class));
    add("By", record.actor.as_ref().map(person));
    add("Began", record.started_at.map(|at| inline(&calendar.readable(at.utc()))));
    add("No prior approval", record.break_glass.as_ref().map(|glass| text(&glass.reason)));
    add("Approved by", record.approval.as_ref().map(|approval| said(person(&approval.approver), approval.note.as_ref())));
    for rule in &record.overrides {
        add("Overridden", Some(format!("{}: {}", inline(rule.rule.as_str()), text(&rule.reason))));
    }
    for finding in &record.findings {
        add("Found", Some(inline(finding.message.as_str())));
    }
    if let Some(follow_up) = &record.follow_up {
        add("Due", follow_up.due.map(|due| inline(&calendar.readable(due.utc()))));
        add("To be reviewed by", follow_up.assignee.as_ref().map(|login| inline(login.as_str())));
        add("The approver says", follow_up.note.as_ref().map(text));
    }
    let job = record.job.as_ref();
    // an address has no white space and no brackets that would end it
    add("Job", job.and_then(|job| job.url.as_ref()).map(|url| format!("<{url}>")));
    facts
}

/// `api 1.4.2 to production, commit 3f2a91c0: Round half up`
fn what(record: &Record) -> String {
    let service = record.service.as_ref().map(|service| format!("{service} ")).unwrap_or_default();
    let version = record.version.as_ref().map(ToString::to_string).unwrap_or_default();
    let back = if record.kind == Kind::Rollback { "back " } else { "" };
    let environment = record.environment.as_ref().map(|environment| environment.name.to_string()).unwrap_or_default();
    let title = |title: Option<String>| title.map(|title| format!(": {title}")).unwrap_or_default();
    let commit = record.commit.as_ref();
    let commit = commit
        .map(|commit| format!(", commit {}{}", commit.sha.short(), title(commit.title.as_ref().map(ToString::to_string))));
    inline(&format!("{service}{version} {back}to {environment}{}", commit.unwrap_or_default()))
}

fn class(class: &Class) -> String {
    let because: Vec<_> = class.because.iter().map(ToString::to_string).collect();
    let because = if because.is_empty() { String::new() } else { format!(": {}", because.join("; ")) };
    inline(&format!("{}{because}", class.name))
}

fn person(person: &Person) -> String {
    let login = person.login.as_ref().map(Name::to_string);
    let name = person.name.as_ref().map(ToString::to_string);
    inline(&match (login, name) {
        (Some(login), Some(name)) => format!("{login} ({name})"),
        (login, name) => login.or(name).unwrap_or_else(|| "somebody".to_owned()),
    })
}

fn said(who: String, words: Option<&Text>) -> String {
    match words {
        Some(words) => format!("{who}: {}", text(words)),
        None => who,
    }
}

fn text(text: &Text) -> String {
    inline(text.as_str())
}

fn inline(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => markdown_inline(text),
        Some((end, _)) => format!("{} …", markdown_inline(&text[..end])),
    }
}

#[cfg(test)]
mod tests;
