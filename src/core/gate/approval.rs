//! Whether an approval counts: bound, in time, and by another person.

use super::facts::{Author, Candidate, Change, Facts};
use super::{Code, Effect, Finding};
use crate::core::policy::{FourEyes, Rules};
use crate::core::record::{Approval, ApprovalSource, ClassName, Name, Person, Text};
use crate::core::time::readable;

/// An approval that counts.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub approval: Approval,
    /// Whether the one who approves is the one who runs or wrote it, or may be.
    pub is_by_one: bool,
    /// What the approver said about the review afterwards.
    pub follow_up: Option<Text>,
}

/// Why an approval does not count.
type Doubt = (Code, String);

/// Holds an approval against everything that it must be.
pub(super) fn judge(candidate: &Candidate, facts: &Facts, rules: &Rules, class: ClassName) -> Result<Verdict, Finding> {
    let approval = &candidate.approval;
    let checked = binding(candidate, facts)
        .and_then(|()| standing(candidate))
        .and_then(|()| age(approval, facts, rules, class))
        .and_then(|()| still_open(candidate))
        .and_then(|()| role(candidate, rules))
        .and_then(|()| other_person(approval, facts, rules));
    match checked {
        Ok(is_by_one) => {
            let approval = Approval { before_start: Some(true), ..approval.clone() };
            let follow_up = candidate.follow_up.as_ref().and_then(|follow_up| follow_up.note.clone());
            Ok(Verdict { approval, is_by_one, follow_up })
        }
        Err((code, problem)) => {
            let message = format!("the approval of {} does not count: {problem}", words(approval));
            Err(Finding::new(code, Effect::Refuses, message).about(approval.seq))
        }
    }
}

/// `dana, 2026-11-20 14:05 UTC, record 12`
pub(super) fn words(approval: &Approval) -> String {
    let who = approval.approver.short().map_or_else(|| "somebody".to_owned(), |name| name.to_string());
    let at = approval.at.map(|at| format!(", {}", readable(at.utc()))).unwrap_or_default();
    let record = approval.seq.map(|seq| format!(", record {seq}")).unwrap_or_default();
    format!("{who}{at}{record}")
}

/// That it is for this project, service, environment and commit.
fn binding(candidate: &Candidate, facts: &Facts) -> Result<(), Doubt> {
    let Some(place) = &candidate.place else { return Ok(()) };
    if place.environment() != facts.place.environment() {
        return Err((Code::ApprovalOtherEnvironment, format!("it is for {}", place.environment())));
    }
    if place.service() != facts.place.service() {
        let service = place.service().map_or_else(|| "no service".to_owned(), |service| format!("the service {service}"));
        return Err((Code::ApprovalOtherService, format!("it is for {service}")));
    }
    if place != facts.place {
        return Err((Code::ApprovalOtherProject, "it is for another project".to_owned()));
    }
    match (&candidate.approval.commit, facts.commit) {
        (Some(approved), Some(commit)) if approved == commit => Ok(()),
        (Some(approved), _) => Err((Code::ApprovalOtherCommit, format!("it is for the commit {}", approved.short()))),
        (None, _) => Err((Code::ApprovalOtherCommit, "it names no commit".to_owned())),
    }
}

/// That it still stands.
fn standing(candidate: &Candidate) -> Result<(), Doubt> {
    if candidate.is_withdrawn {
        return Err((Code::ApprovalWithdrawn, "it was withdrawn".to_owned()));
    }
    match candidate.used_by {
        Some(seq) => Err((Code::ApprovalUsed, format!("it was used up by the deployment that succeeded, record {seq}"))),
        None => Ok(()),
    }
}

/// That the log counts it among those that can be used: what went out of that list for whatever reason does not come back.
fn still_open(candidate: &Candidate) -> Result<(), Doubt> {
    match candidate.is_open {
        true => Ok(()),
        false => Err((Code::ApprovalUsed, "the log does not have it among those that can still be used".to_owned())),
    }
}

fn age(approval: &Approval, facts: &Facts, rules: &Rules, class: ClassName) -> Result<(), Doubt> {
    if let Some(until) = approval.expires_at.filter(|until| until.utc() <= facts.now) {
        return Err((Code::ApprovalExpired, format!("it expired at {}", readable(until.utc()))));
    }
    let longest = rules.approval.valid_for(class);
    match approval.at {
        Some(at) if facts.now - at.utc() <= longest => Ok(()),
        Some(_) => {
            let hours = longest.num_hours();
            Err((
                Code::ApprovalTooOld,
                format!("it is older than {hours} hours, which is what counts for this class ({class})"),
            ))
        }
        None => Err((Code::ApprovalTooOld, "it does not tell when it was given".to_owned())),
    }
}

/// Whether an approval by this person can ever count for this change.
///
/// # Errors
/// The finding that it would come to.
pub fn may_approve(person: &Person, change: &Change, rules: &Rules) -> Result<(), Finding> {
    let by_author = || match rules.approval.four_eyes {
        FourEyes::Before => author_doubt(person, change).map_or(Ok(()), Err),
        FourEyes::After | FourEyes::Off => Ok(()),
    };
    is_approver(person, rules).and_then(|()| by_author()).map_err(|(code, problem)| {
        Finding::new(code, Effect::Refuses, format!("an approval by you would not count: {problem}"))
    })
}

/// That it is by somebody who may approve, in a way that counts.
fn role(candidate: &Candidate, rules: &Rules) -> Result<(), Doubt> {
    let approval = &candidate.approval;
    let accept = &rules.approval.accept;
    if !accept.contains(&approval.source) {
        let accepted = accept.iter().map(|source| source.as_str()).collect::<Vec<_>>().join(", ");
        return Err((
            Code::ApprovalNotAccepted,
            format!("the policy does not accept approvals of the kind `{}`, only {accepted}", approval.source),
        ));
    }
    let login = approval.approver.login.as_ref();
    if approval.source == ApprovalSource::Signed && (candidate.signer.is_none() || candidate.signer.as_ref() != login) {
        let signer = candidate.signer.as_ref().map_or("nobody", Name::as_str);
        return Err((Code::ApprovalSigner, format!("it is signed by `{signer}`")));
    }
    is_approver(&approval.approver, rules)
}

fn is_approver(person: &Person, rules: &Rules) -> Result<(), Doubt> {
    let login = person.login.as_ref();
    let is_bot = person.bot == Some(true) || person.automated == Some(true);
    if is_bot || login.is_some_and(|login| login.as_str().starts_with("ci:")) {
        return Err((Code::ApprovalByBot, "a bot never approves".to_owned()));
    }
    let approvers = &rules.approval.approvers;
    if approvers.is_empty() || login.is_some_and(|login| approvers.contains(login)) {
        return Ok(());
    }
    let names = approvers.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    Err((Code::ApprovalNotApprover, format!("the policy names as approvers: {names}")))
}

/// That it is by another person than those who run and wrote it; gives whether it may be the same one, where that is allowed.
fn other_person(approval: &Approval, facts: &Facts, rules: &Rules) -> Result<bool, Doubt> {
    let doubt = compare(&approval.approver, facts);
    match (rules.approval.four_eyes, doubt) {
        (FourEyes::Before, Some(doubt)) => Err(doubt),
        (_, doubt) => Ok(doubt.is_some()),
    }
}

fn compare(approver: &Person, facts: &Facts) -> Option<Doubt> {
    let is_automated = facts.actor.is_some_and(|actor| actor.automated == Some(true));
    if let Some(doubt) = author_doubt(approver, facts.change) {
        return Some(doubt);
    }
    let known = facts.change.authors.iter().filter(|author| author.login.is_some()).count();
    if facts.change.lacks_authors {
        let words = "history is too short to tell who wrote the change";
        return Some((Code::ApprovalNotProven, words.to_owned()));
    }
    let by_actor = facts.actor.and_then(|actor| is_same_person(actor, approver));
    match by_actor {
        Some(true) => Some((Code::ApprovalByActor, "the approver runs the deployment".to_owned())),
        _ if is_automated && known == 0 => {
            let words = "nobody started this run, and no author of the change is known to compare the approver with";
            Some((Code::ApprovalNotProven, words.to_owned()))
        }
        _ if is_automated => None,
        Some(false) => None,
        None => Some((
            Code::ApprovalNotProven,
            "it can't be told whether the approver is another person than the one who runs this".to_owned(),
        )),
    }
}

fn author_doubt(approver: &Person, change: &Change) -> Option<Doubt> {
    let wrote_it = change.authors.iter().any(|author| author.same_as(approver) == Some(true));
    wrote_it.then(|| (Code::ApprovalByAuthor, "the approver is an author of the change".to_owned()))
}

/// Whether two are one: by GitLab's number or by login, whichever is the same; `None` where they have neither in common.
pub fn is_same_person(one: &Person, other: &Person) -> Option<bool> {
    let by_number = one.id.zip(other.id).map(|(one, other)| one == other);
    let logins = one.login.as_ref().zip(other.login.as_ref());
    let by_login = logins.map(|(one, other)| one.as_str().eq_ignore_ascii_case(other.as_str()));
    match (by_number, by_login) {
        (None, None) => None,
        (number, login) => Some(number == Some(true) || login == Some(true)),
    }
}

impl Author {
    fn same_as(&self, approver: &Person) -> Option<bool> {
        let (author, approver) = (self.login.as_ref()?, approver.login.as_ref()?);
        Some(author.as_str().eq_ignore_ascii_case(approver.as_str()))
    }
}
