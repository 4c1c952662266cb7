//! Whether an approval counts: bound, in time, and by another person.

use super::facts::{Account, Author, Candidate, Change, Facts};
use super::requests::Request;
use super::{Code, Effect, Finding};
use crate::core::policy::{FourEyes, Rules};
use crate::core::record::{Approval, ApprovalSource, ClassName, Name, Person, Text, Time};
use crate::core::time::readable;
use std::collections::BTreeMap;

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
pub(super) type Doubt = (Code, String);

/// Holds an approval against everything that it must be.
pub(super) fn judge(candidate: &Candidate, facts: &Facts, rules: &Rules, class: ClassName) -> Result<Verdict, Finding> {
    let approval = &candidate.approval;
    let checked = binding(candidate, facts)
        .and_then(|()| standing(candidate))
        .and_then(|()| unexpired(approval, facts))
        .and_then(|()| age(approval.at, facts, rules, class))
        .and_then(|()| still_open(candidate))
        .and_then(|()| role(candidate, facts, rules))
        .and_then(|()| by_four_eyes(compare(&approval.approver, facts), rules));
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
    let covers: Vec<_> = approval.covers.iter().map(|iid| format!("!{iid}")).collect();
    let covers = if covers.is_empty() { String::new() } else { format!(", {}", covers.join(" ")) };
    format!("{who}{at}{record}{covers}")
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

fn unexpired(approval: &Approval, facts: &Facts) -> Result<(), Doubt> {
    match approval.expires_at.filter(|until| until.utc() <= facts.now) {
        Some(until) => Err((Code::ApprovalExpired, format!("it expired at {}", readable(until.utc())))),
        None => Ok(()),
    }
}

pub(super) fn age(at: Option<Time>, facts: &Facts, rules: &Rules, class: ClassName) -> Result<(), Doubt> {
    let longest = rules.approval.valid_for(class);
    match at {
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

/// Whether an approval by this person can ever count for this change, as far as can be told without GitLab.
///
/// # Errors
/// The finding that it would come to.
pub fn may_approve(person: &Person, change: &Change, rules: &Rules) -> Result<(), Finding> {
    let by_author = || match rules.approval.four_eyes {
        FourEyes::Before => author_of(person, &change.authors).map_or(Ok(()), Err),
        FourEyes::After | FourEyes::Off => Ok(()),
    };
    let is_named = match rules.needs_members() {
        true => is_person(person),
        false => is_approver(person, rules, &BTreeMap::new()),
    };
    is_named.and_then(|()| by_author()).map_err(|(code, problem)| {
        Finding::new(code, Effect::Refuses, format!("an approval by you would not count: {problem}"))
    })
}

/// That it is by somebody who may approve, in a way that counts.
fn role(candidate: &Candidate, facts: &Facts, rules: &Rules) -> Result<(), Doubt> {
    let approval = &candidate.approval;
    is_accepted(approval.source, rules)?;
    let login = approval.approver.login.as_ref();
    if approval.source == ApprovalSource::Signed && (candidate.signer.is_none() || candidate.signer.as_ref() != login) {
        let signer = candidate.signer.as_ref().map_or("nobody", Name::as_str);
        return Err((Code::ApprovalSigner, format!("it is signed by `{signer}`")));
    }
    is_approver(&approval.approver, rules, &facts.told.accounts)
}

pub(super) fn is_accepted(source: ApprovalSource, rules: &Rules) -> Result<(), Doubt> {
    let accept = &rules.approval.accept;
    if accept.contains(&source) {
        return Ok(());
    }
    let accepted = accept.iter().map(|source| source.as_str()).collect::<Vec<_>>().join(", ");
    Err((Code::ApprovalNotAccepted, format!("the policy does not accept approvals of the kind `{source}`, only {accepted}")))
}

/// That it is somebody who may approve: named, or in a group, and with enough access, where the policy asks for that.
pub(super) fn is_approver(person: &Person, rules: &Rules, accounts: &BTreeMap<Name, Account>) -> Result<(), Doubt> {
    is_person(person)?;
    let login = person.login.as_ref();
    let account = login.and_then(|login| accounts.get(login));
    if account.is_some_and(|account| account.is_bot) {
        return Err((Code::ApprovalByBot, "a bot never approves".to_owned()));
    }
    if account.is_some_and(|account| !account.is_active) {
        return Err((Code::ApprovalBlockedUser, "the approver's account is blocked".to_owned()));
    }
    is_named(login, account, rules)?;
    let Some(least) = rules.approval.minimum_access else { return Ok(()) };
    match account {
        Some(account) if account.level >= least.level() => Ok(()),
        Some(_) => Err((
            Code::ApprovalAccess,
            format!("the approver has not the role in the project that the policy asks for: {least}"),
        )),
        None => Err((Code::ApprovalAccess, "GitLab does not tell the approver's access in the project".to_owned())),
    }
}

fn is_person(person: &Person) -> Result<(), Doubt> {
    let is_bot = person.bot == Some(true) || person.automated == Some(true);
    let is_bots = |login: &Name| login.as_str().starts_with("ci:") || login.is_bot_login();
    match is_bot || person.login.as_ref().is_some_and(is_bots) {
        true => Err((Code::ApprovalByBot, "a bot never approves".to_owned())),
        false => Ok(()),
    }
}

fn is_named(login: Option<&Name>, account: Option<&Account>, rules: &Rules) -> Result<(), Doubt> {
    let (approvers, groups) = (&rules.approval.approvers, &rules.approval.groups);
    let is_in = |group: &String| account.is_some_and(|account| account.groups.contains(group));
    if (approvers.is_empty() && groups.is_empty())
        || login.is_some_and(|login| approvers.contains(login))
        || groups.iter().any(is_in)
    {
        return Ok(());
    }
    let names = approvers.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
    if groups.is_empty() {
        return Err((Code::ApprovalNotApprover, format!("the policy names as approvers: {names}")));
    }
    let groups = groups.join(", ");
    if account.is_none() {
        return Err((
            Code::ApprovalAccess,
            format!("GitLab does not tell whether the approver is in one of these groups: {groups}"),
        ));
    }
    let names = if names.is_empty() { String::new() } else { format!("{names}, and ") };
    Err((Code::ApprovalNotApprover, format!("the policy names as approvers: {names}the members of {groups}")))
}

/// That it is by another person, where the policy asks for that; gives whether it may be the same one.
pub(super) fn by_four_eyes(doubt: Option<Doubt>, rules: &Rules) -> Result<bool, Doubt> {
    match (rules.approval.four_eyes, doubt) {
        (FourEyes::Before, Some(doubt)) => Err(doubt),
        (_, doubt) => Ok(doubt.is_some()),
    }
}

/// That it may be by one of those who run, wrote or merged it.
fn compare(approver: &Person, facts: &Facts) -> Option<Doubt> {
    if let Some(doubt) = author_of(approver, &facts.change.authors) {
        return Some(doubt);
    }
    let requests = facts.told.requests.known().map(|brought| brought.requests.as_slice()).unwrap_or_default();
    if let Some(doubt) = requests.iter().find_map(|request| wrote_or_merged(approver, request)) {
        return Some(doubt);
    }
    if facts.change.lacks_authors {
        let words = "history is too short to tell who wrote the change";
        return Some((Code::ApprovalNotProven, words.to_owned()));
    }
    let is_known = facts.change.authors.iter().any(|author| author.login.is_some());
    runs_it(approver, facts, is_known || requests.iter().any(|request| request.author.is_some()))
}

/// That it may be by the one who runs it. Of a run that nobody started, the authors must be known.
pub(super) fn runs_it(approver: &Person, facts: &Facts, knows_author: bool) -> Option<Doubt> {
    let is_automated = facts.actor.is_some_and(|actor| actor.automated == Some(true));
    match facts.actor.and_then(|actor| is_same_person(actor, approver)) {
        Some(true) => Some((Code::ApprovalByActor, "the approver runs the deployment".to_owned())),
        _ if is_automated && !knows_author => {
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

/// That the approver wrote or merged a merge request, or may have.
pub(super) fn wrote_or_merged(approver: &Person, request: &Request) -> Option<Doubt> {
    let iid = request.iid;
    let is_same = |person: &Option<Person>| person.as_ref().and_then(|person| is_same_person(person, approver));
    match is_same(&request.author) {
        Some(true) => return Some((Code::ApprovalByAuthor, format!("the approver wrote !{iid}"))),
        None => return Some((Code::ApprovalNotProven, format!("it can't be told whether the approver wrote !{iid}"))),
        Some(false) => {}
    }
    if is_same(&request.merged_by) == Some(true) {
        return Some((Code::ApprovalByMerger, format!("the approver merged !{iid}")));
    }
    None
}

/// That the approver wrote commits.
pub(super) fn author_of(approver: &Person, authors: &[Author]) -> Option<Doubt> {
    let wrote_it = authors.iter().any(|author| author.same_as(approver) == Some(true));
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
