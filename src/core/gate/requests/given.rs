//! Which approvals stand on a merge request, by its comments: those of people, and those that GitLab itself writes.
//!
//! The order is that of the comments' numbers, which only grow; times can be set by a project's owners
//! (docs.gitlab.com/api/notes). GitLab's own comments can't be edited, nor written by anybody, but their words are no contract: what
//! they are taken for here is what docs.gitlab.com/user/project/merge_requests/approvals shows.

use super::note::{self, Saying, Words};
use crate::core::gate::Code;
use crate::core::record::{ApprovalSource, Digest, Link, Name, Person, Text, Time};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::LazyLock;

/// A comment of a merge request.
#[derive(Debug, Clone)]
pub struct Comment {
    /// Its number.
    pub id: u64,
    /// Who wrote it; `None` where GitLab does not tell, or somebody whom no record could name.
    pub author: Option<Person>,
    /// Whether that account can still be used.
    pub is_active: bool,
    /// Its text.
    pub body: String,
    /// When it was written, by what is said.
    pub at: DateTime<Utc>,
    /// When it was changed last.
    pub changed_at: DateTime<Utc>,
    /// Whether GitLab itself wrote it.
    pub is_system: bool,
    /// Whether only members see it.
    pub is_internal: bool,
    /// Whether it came with an import.
    pub is_imported: bool,
}

/// An approval on a merge request.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its kind: a comment, or GitLab's own approval.
    pub source: ApprovalSource,
    /// By whom.
    pub approver: Person,
    /// When.
    pub at: Time,
    /// The number of the comment, or of the one that GitLab wrote.
    pub note_id: Option<u64>,
    /// The whole text of the comment.
    pub text: Option<Text>,
    /// Why, in the approver's words.
    pub reason: Option<Text>,
    /// The merge requests that it covers besides this one.
    pub covers: Vec<u64>,
    /// What the approver said about the review afterwards.
    pub follow_up: Option<Text>,
    /// Why it does not stand.
    pub flaw: Option<(Code, String)>,
    /// It approves nothing, but takes back what its author said before, also in other merge requests of what they cover.
    pub is_withdrawal: bool,
}

impl Given {
    /// Digest of the whole text, to find out later that it was changed.
    pub fn text_digest(&self) -> Option<Digest> {
        self.text.as_ref().map(|text| Digest::of(text.as_str().as_bytes()))
    }
}

/// What the approvals are held against.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The environment.
    pub environment: &'a Name,
    /// The service.
    pub service: Option<&'a Name>,
}

/// How far apart two times may be that belong together.
const TOLERANCE: TimeDelta = TimeDelta::seconds(1);
/// How far a clock may be off among a server's own.
const CLOCKS: TimeDelta = TimeDelta::seconds(60);

/// The approvals on a merge request, those that do not stand with the reason. `comments` are in the order of their numbers;
/// `pressed` is what GitLab tells of its button, where somebody could ask.
pub fn given(comments: &[Comment], pressed: Option<&[Person]>, place: Place) -> Vec<Given> {
    let written = (0..comments.len()).filter_map(|at| written(comments, at, place));
    written.chain(buttons(comments, pressed)).collect()
}

/// What one comment of a person comes to.
fn written(comments: &[Comment], at: usize, place: Place) -> Option<Given> {
    let comment = &comments[at];
    if comment.is_system {
        return None;
    }
    let saying = note::read(&comment.body);
    let is_withdrawal = saying == Saying::Withdraws;
    let (words, problem) = match saying {
        Saying::Approves(words) => (Some(words), None),
        Saying::Malformed(problem) => (None, Some(problem)),
        Saying::Withdraws => (None, None),
        Saying::Nothing => return None,
    };
    let approver = comment.author.clone()?;
    let flaw = match (&words, problem) {
        (_, Some(problem)) => Some((Code::ApprovalForm, problem.to_owned())),
        (Some(words), _) => other_place(words, place).or_else(|| unfit(comments, at)).or_else(|| voided(comments, at)),
        (None, None) => Some((Code::ApprovalWithdrawn, "it takes back what was said before".to_owned())),
    };
    Some(Given {
        source: ApprovalSource::MergeRequestNote,
        approver,
        at: Time::new(comment.at),
        note_id: Some(comment.id),
        text: Text::clean(&comment.body),
        reason: words.as_ref().and_then(|words| words.reason.clone()),
        follow_up: words.as_ref().and_then(|words| words.follow_up.clone()),
        covers: words.map(|words| words.covers).unwrap_or_default(),
        flaw,
        is_withdrawal,
    })
}

/// That it is for another environment or service.
fn other_place(words: &Words, place: Place) -> Option<(Code, String)> {
    if words.environment != place.environment.as_str() {
        let named: String = words.environment.chars().take(100).collect();
        return Some((Code::ApprovalOtherEnvironment, format!("it is for {named}")));
    }
    match (&words.service, place.service) {
        (Some(named), service) if service.is_none_or(|service| service.as_str() != named) => {
            let named: String = named.chars().take(100).collect();
            Some((Code::ApprovalOtherService, format!("it is for the service {named}")))
        }
        _ => None,
    }
}

/// That it is no comment to rely on.
fn unfit(comments: &[Comment], at: usize) -> Option<(Code, String)> {
    let comment = &comments[at];
    if comment.is_imported {
        return Some((Code::ApprovalImported, "it came with an import, where anybody could have written it".to_owned()));
    }
    if comment.is_internal {
        let words = "it is an internal comment, which not everybody sees; write it so that all see it";
        return Some((Code::ApprovalInternal, words.to_owned()));
    }
    if comment.changed_at - comment.at > TOLERANCE {
        return Some((Code::ApprovalEdited, "it was edited; write a new comment instead".to_owned()));
    }
    if is_out_of_order(comments, at) {
        let words = "its time does not fit those of the comments around it: somebody set it";
        return Some((Code::ApprovalBackdated, words.to_owned()));
    }
    (!comment.is_active).then(|| (Code::ApprovalBlockedUser, "its author's account is blocked".to_owned()))
}

/// Whether its time is before that of an earlier comment, or after that of a later one.
fn is_out_of_order(comments: &[Comment], at: usize) -> bool {
    let own = comments[at].at;
    let (before, after) = (&comments[..at], &comments[at + 1..]);
    before.iter().any(|other| other.at - own > CLOCKS) || after.iter().any(|other| own - other.at > CLOCKS)
}

/// That something came after it.
fn voided(comments: &[Comment], at: usize) -> Option<(Code, String)> {
    let author = comments[at].author.as_ref();
    comments[at + 1..].iter().find_map(|later| {
        if !later.is_system {
            let is_own = later.author.as_ref().zip(author).is_some_and(|(one, other)| one.id == other.id);
            let takes_back = is_own && note::read(&later.body) == Saying::Withdraws;
            return takes_back.then(|| (Code::ApprovalWithdrawn, "it was withdrawn".to_owned()));
        }
        changed_by(later)
    })
}

/// That GitLab says by this comment of its own that the merge request became another one.
fn changed_by(comment: &Comment) -> Option<(Code, String)> {
    let body = comment.body.trim();
    let outdated = |words: &str| Some((Code::ApprovalOutdated, words.to_owned()));
    match body {
        _ if adds_commits(body) => outdated("commits were pushed after it; it needs a new one"),
        // the second where the target branch was deleted, as that of one merge request on top of another
        _ if body.starts_with("changed target branch") || body.contains("This merge request now targets the") => {
            outdated("the target branch was changed after it; it needs a new one")
        }
        // what it has now may be anything: commits are told of only where some are new
        _ if body.starts_with("restored source branch") || body.starts_with("restored target branch") => {
            outdated("a branch of it was deleted and made anew after it; it needs a new one")
        }
        _ => None,
    }
}

/// `added 1 commit`, `added 12 new commits`, and whatever list follows.
fn adds_commits(body: &str) -> bool {
    static ADDED: LazyLock<regex::Regex> = LazyLock::new(|| {
        regex::Regex::new(r"^added [0-9,]+ (new )?commits?\b").unwrap_or_else(|_| unreachable!("a constant, tried by a test"))
    });
    ADDED.is_match(body)
}

/// The approvals by the button: the last word of each person, among those by which GitLab says it.
fn buttons(comments: &[Comment], pressed: Option<&[Person]>) -> Vec<Given> {
    let mut given: Vec<Given> = Vec::new();
    for (at, comment) in comments.iter().enumerate().filter(|(_, comment)| comment.is_system) {
        let Some(person) = &comment.author else { continue };
        let body = comment.body.trim();
        if body == "approved this merge request" {
            given.retain(|other| other.approver.id != person.id);
            given.push(by_button(comments, at, person, pressed));
        } else if body == "unapproved this merge request" {
            mark(&mut given, |other| other.approver.id == person.id, "it was withdrawn by the button");
        } else if body == "requested changes" {
            mark(&mut given, |other| other.approver.id == person.id, "the same person asked for changes after it");
        } else if body.starts_with("reset approvals") {
            mark(&mut given, |_| true, "GitLab reset it after a push");
        }
    }
    given
}

fn by_button(comments: &[Comment], at: usize, person: &Person, pressed: Option<&[Person]>) -> Given {
    let comment = &comments[at];
    let is_gone = pressed.is_some_and(|pressed| !pressed.iter().any(|pressed| pressed.id == person.id));
    let gone = || is_gone.then(|| (Code::ApprovalWithdrawn, "GitLab does not have it any more".to_owned()));
    let flaw = comments[at + 1..].iter().filter(|later| later.is_system).find_map(changed_by);
    let blocked = || (!comment.is_active).then(|| (Code::ApprovalBlockedUser, "the approver's account is blocked".to_owned()));
    let imported = || comment.is_imported.then(|| (Code::ApprovalImported, "it came with an import".to_owned()));
    Given {
        source: ApprovalSource::MergeRequestApproval,
        approver: person.clone(),
        at: Time::new(comment.at),
        note_id: Some(comment.id),
        text: Text::clean(&comment.body),
        reason: None,
        covers: Vec::new(),
        follow_up: None,
        flaw: flaw.or_else(gone).or_else(blocked).or_else(imported),
        is_withdrawal: false,
    }
}

fn mark(given: &mut [Given], is_meant: impl Fn(&Given) -> bool, words: &str) {
    for given in given.iter_mut().filter(|given| is_meant(given) && given.flaw.is_none()) {
        given.flaw = Some((Code::ApprovalWithdrawn, words.to_owned()));
    }
}

/// The page of a comment.
pub fn page_of(request: &Link, note: u64) -> Option<Link> {
    Link::new(format!("{request}#note_{note}")).ok()
}
