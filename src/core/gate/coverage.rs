//! Which merge requests need an approval, and whether each has one that counts: on itself, or by a comment of a newer one that
//! covers it.

use super::approval::{self, Doubt, Verdict};
use super::requests::{Approvals, Brought, Direct, Given, Request, Why, page_of};
use super::{Code, Effect, Facts, Finding, Needed, Paths};
use crate::core::policy::{ApprovalFor, Rules};
use crate::core::record::{Approval, ApprovalSource, ClassName, MergeRequestApproval, Person};
use chrono::TimeDelta;
use std::collections::BTreeSet;

/// How far a server's clock may be ahead of the one here.
const CLOCKS: TimeDelta = TimeDelta::seconds(60);

/// What came of the approvals on merge requests.
#[derive(Default)]
pub(super) struct Coverage {
    /// The merge requests that need one, with who approved each.
    pub needed: Vec<Needed>,
    /// The approval of the whole, where each has one that counts.
    pub verdict: Option<Verdict>,
    /// Why it does not.
    pub findings: Vec<Finding>,
}

/// Holds the approvals of merge requests against what needs them.
pub(super) fn of(facts: &Facts, rules: &Rules, class: ClassName) -> Coverage {
    let Some(brought) = facts.told.requests.known() else { return Coverage::default() };
    let (needed, direct) = needed(brought, facts, rules, class);
    let judge = Judge { brought, facts, rules, class };
    let mut coverage = Coverage::default();
    let mut counted = Vec::new();
    for request in &needed {
        let verdict = judge.best_for(request, &mut coverage.findings);
        coverage.needed.push(Needed {
            iid: request.iid,
            url: request.url.clone(),
            makers: request.author.iter().chain(&request.merged_by).cloned().collect(),
            approved_by: verdict.as_ref().and_then(|(given, ..)| approved_by(given)),
        });
        counted.extend(verdict.map(|verdict| (*request, verdict)));
    }
    coverage.findings.extend(direct.iter().filter_map(|direct| uncovered(direct)));
    let is_whole = !needed.is_empty() && direct.is_empty() && counted.len() == needed.len();
    coverage.verdict = is_whole.then(|| composed(&counted)).flatten();
    if coverage.verdict.is_some() {
        coverage.findings.clear();
    }
    coverage
}

/// Those that brought what needs an approval, the oldest first; and commits without one that did.
fn needed<'b>(brought: &'b Brought, facts: &Facts, rules: &Rules, class: ClassName) -> (Vec<&'b Request>, Vec<&'b Direct>) {
    let all = brought.requests.iter();
    if rules.approval_for(facts.environment) == ApprovalFor::Always {
        return (all.collect(), brought.direct.iter().collect());
    }
    let touches = |paths: &[String]| super::class::touches(paths, facts, rules);
    let has = |request: &Request, labels: &[String]| labels.iter().any(|label| request.labels.contains(label));
    let is_meant = |request: &&Request| {
        let by_label = rules.sensitive.iter().any(|rule| has(request, &rule.labels)) || has(request, &rules.emergency.labels);
        by_label || touches(&request.paths)
    };
    let mut requests: Vec<_> = all.filter(is_meant).collect();
    let mut direct: Vec<_> = brought.direct.iter().filter(|direct| touches(&direct.paths)).collect();
    // an emergency is approved where the newest change came in; and so is what no single one brought, such as all files of a first
    // deployment, or what a version had that is left behind
    let is_unaccounted = (requests.is_empty() && direct.is_empty()) || touches(&unaccounted(brought, facts));
    if class != ClassName::Emergency && !is_unaccounted {
        return (requests, direct);
    }
    let is_deployed = |direct: &&Direct| Some(&direct.sha) == facts.commit;
    match (brought.direct.iter().find(is_deployed), brought.requests.last()) {
        (Some(newest), _) if !direct.iter().any(|known| known.sha == newest.sha) => direct.push(newest),
        (None, Some(newest)) if !requests.iter().any(|known| known.iid == newest.iid) => requests.push(newest),
        _ => {}
    }
    (requests, direct)
}

/// The files that differ from what runs there, and that none of them changed on the way.
fn unaccounted(brought: &Brought, facts: &Facts) -> Vec<String> {
    let (Paths::Since(paths) | Paths::All(paths)) = &facts.change.paths else { return Vec::new() };
    let of_requests = brought.requests.iter().map(|request| &request.paths);
    let known: BTreeSet<_> = of_requests.chain(brought.direct.iter().map(|direct| &direct.paths)).flatten().collect();
    paths.iter().filter(|path| !known.contains(path)).cloned().collect()
}

fn approved_by(given: &Given) -> Option<MergeRequestApproval> {
    let login = given.approver.login.clone()?;
    let at = Some(given.at);
    Some(MergeRequestApproval { login, id: given.approver.id, at, note_id: given.note_id, newer: Default::default() })
}

fn uncovered(direct: &Direct) -> Option<Finding> {
    let why = match direct.why {
        Why::NoRequest => "came in without a merge request".to_owned(),
        Why::NotTold => "came in by no merge request that GitLab tells of".to_owned(),
        Why::Unlike(iid) => format!("is in !{iid}, but so are commits that are not deployed, or not yet merged"),
        Why::Beyond(iid) => format!("brings more than !{iid}, of which it is"),
    };
    let message = format!("commit {} {why}: only an approval of the whole commit counts for it", direct.sha.short());
    Some(Finding::new(Code::DirectPush, Effect::Refuses, message))
}

/// One approval for the record of all that count: the newest, with what it covers.
fn composed(counted: &[(&Request, (&Given, &Request, bool))]) -> Option<Verdict> {
    let (_, (given, host, _)) = counted.iter().max_by_key(|(_, (given, ..))| (given.at, given.note_id))?;
    let own = |(_, (other, ..)): &&(&Request, (&Given, &Request, bool))| std::ptr::eq(*other, *given);
    let mut covers: Vec<_> = counted.iter().filter(own).map(|(request, _)| request.iid).collect();
    // the one in which it stands comes first
    covers.sort_by_key(|iid| *iid != host.iid);
    let approval = Approval {
        source: given.source,
        approver: given.approver.clone(),
        at: Some(given.at),
        note: given.text.clone(),
        url: given.note_id.zip(host.url.as_ref()).and_then(|(note, url)| page_of(url, note)),
        note_id: given.note_id,
        note_sha256: given.text_digest(),
        seq: None,
        sha256: None,
        commit: None,
        covers,
        before_start: Some(true),
        expires_at: None,
        newer: Default::default(),
    };
    let is_by_one = counted.iter().any(|(_, (.., is_by_one))| *is_by_one);
    Some(Verdict { approval, is_by_one, follow_up: given.follow_up.clone() })
}

struct Judge<'a> {
    brought: &'a Brought,
    facts: &'a Facts<'a>,
    rules: &'a Rules,
    class: ClassName,
}

impl<'a> Judge<'a> {
    /// The newest approval that counts for a merge request: it, where it stands, and whether it may be by one of those who made
    /// the change. What does not count is found.
    fn best_for(&self, target: &'a Request, findings: &mut Vec<Finding>) -> Option<(&'a Given, &'a Request, bool)> {
        let mut best: Option<(&Given, &Request, bool)> = None;
        let mut near = Vec::new();
        for host in &self.brought.requests {
            let given = match &host.approvals {
                Approvals::Read(given) => given.as_slice(),
                Approvals::NotRead => &[],
                Approvals::Unknown(unknown) if host.iid == target.iid => {
                    let message = format!("the approvals of !{} can't be told: {}", host.iid, unknown.because);
                    let finding = Finding::new(Code::ApprovalNotTold, Effect::Refuses, message);
                    near.push(finding.advising(unknown.advice.clone()));
                    &[]
                }
                Approvals::Unknown(_) => &[],
            };
            for given in given {
                match self.judge(given, host, target) {
                    Ok(is_by_one) if best.is_none_or(|(other, ..)| (other.at, other.note_id) < (given.at, given.note_id)) => {
                        best = Some((given, host, is_by_one));
                    }
                    Ok(_) => {}
                    Err(None) => {}
                    Err(Some((code, problem))) => near.push(self.doubted(given, host, target, code, &problem)),
                }
            }
        }
        if best.is_none() {
            findings.extend(near);
        }
        best
    }

    fn doubted(&self, given: &Given, host: &Request, target: &Request, code: Code, problem: &str) -> Finding {
        let who = given.approver.short().map_or_else(|| "somebody".to_owned(), |name| name.to_string());
        let kind = match given.source {
            ApprovalSource::MergeRequestApproval => "approval",
            _ => "approval note",
        };
        let of = if host.iid == target.iid { String::new() } else { format!(" for !{}", target.iid) };
        let message = format!("the {kind} of {who} on !{}{of} does not count: {problem}", host.iid);
        Finding::new(code, Effect::Refuses, message)
    }

    /// Whether it counts for this merge request; `Err(None)` where it is not about it at all.
    fn judge(&self, given: &Given, host: &Request, target: &Request) -> Result<bool, Option<Doubt>> {
        if given.is_withdrawal {
            return Err(None);
        }
        self.covering(given, host, target)?;
        if let Some(flaw) = &given.flaw {
            return Err(Some(flaw.clone()));
        }
        self.timely(given, host, target)
            .and_then(|()| self.role(given))
            .and_then(|()| self.reasoned(given))
            .and_then(|()| self.other_person(&given.approver, target))
            .map_err(Some)
    }

    fn covering(&self, given: &Given, host: &Request, target: &Request) -> Result<(), Option<Doubt>> {
        if host.iid == target.iid || given.covers.contains(&target.iid) {
            return Ok(());
        }
        if given.flaw.is_some() || given.source != ApprovalSource::MergeRequestNote {
            return Err(None);
        }
        Err(Some((Code::ApprovalNotCovering, format!("it does not cover !{}; add `Covers: !{}`", target.iid, target.iid))))
    }

    fn timely(&self, given: &Given, host: &Request, target: &Request) -> Result<(), Doubt> {
        let now = self.facts.now;
        if given.at.utc() > now + CLOCKS {
            return Err((Code::ApprovalBackdated, "its time is still to come: somebody set it".to_owned()));
        }
        if host.iid != target.iid {
            // one that is open is newer than all that are merged
            let merged = |request: &Request| (!request.is_merged, request.merged_at);
            if merged(host) < merged(target) || !target.is_merged || target.merged_at.is_none_or(|merged| given.at < merged) {
                let words =
                    format!("!{} was merged only after it; it must stand in the newest, after the last was merged", target.iid);
                return Err((Code::ApprovalTooEarly, words));
            }
            let withdrawn = matches!(&target.approvals, Approvals::Read(own) if own.iter().any(|own| takes_back(own, given)));
            if withdrawn {
                return Err((Code::ApprovalWithdrawn, format!("it was withdrawn in !{}", target.iid)));
            }
        }
        approval::age(Some(given.at), self.facts, self.rules, self.class)
    }

    fn role(&self, given: &Given) -> Result<(), Doubt> {
        approval::is_accepted(given.source, self.rules)?;
        approval::is_approver(&given.approver, self.rules, &self.facts.told.accounts)
    }

    /// An emergency needs a reason, by whomever.
    fn reasoned(&self, given: &Given) -> Result<(), Doubt> {
        let is_said = self.facts.said.emergency.iter().any(|saying| saying.reason.is_some());
        if self.class != ClassName::Emergency || is_said || given.reason.is_some() {
            return Ok(());
        }
        Err((Code::ApprovalForm, "an emergency needs a reason; write a new comment with a line `Reason: …`".to_owned()))
    }

    fn other_person(&self, approver: &Person, target: &Request) -> Result<bool, Doubt> {
        let doubt = approval::wrote_or_merged(approver, target)
            .or_else(|| approval::author_of(approver, &target.authors))
            .or_else(|| approval::runs_it(approver, self.facts, target.author.is_some()));
        approval::by_four_eyes(doubt, self.rules)
    }
}

/// Whether somebody's word on a merge request takes back what the same person said of it in another one.
fn takes_back(own: &Given, given: &Given) -> bool {
    let is_later = own.note_id > given.note_id;
    own.is_withdrawal && is_later && own.approver.id == given.approver.id
}
