//! The decision: every rule is asked in its turn, and what it finds is put together.

use super::approval::{self, Verdict};
use super::requests::{Approvals, Requests, Unknown};
use super::{Code, Decision, Direction, Effect, Facts, Finding, LogFacts, Needed, Paths, class, coverage};
use crate::core::policy::{ApprovalFor, FourEyes, Overdue, Rules, Unreachable};
use crate::core::record::{ApprovalSource, BreakGlass, Class, ClassName, FollowUp, Line, Override, Text, Time};
use crate::core::state::OpenReview;
use chrono::{DateTime, Utc};

/// Decides.
pub fn decide(facts: &Facts, rules: &Rules) -> Decision {
    let class = class::of(facts, rules);
    let mut gate = Gate {
        facts,
        rules,
        class: class.name,
        direction: facts.direction(),
        findings: class.findings,
        overrides: Vec::new(),
        breaks_glass: false,
        is_emergency: class.is_said,
        requests: Vec::new(),
    };
    if !rules.are_written {
        gate.find(
            Code::NoPolicy,
            Effect::Says,
            "there is no policy: nothing is sensitive, and no approval is asked for but in an emergency",
        );
    }
    gate.look_at_the_log();
    gate.look_at_rollback();
    gate.look_at_holds();
    gate.look_at_freezes();
    gate.look_at_reviews();
    let needs_approval = gate.needs_approval();
    let approval = gate.look_at_approvals(needs_approval);
    let break_glass = gate.break_glass();
    let follow_up = gate.follow_up(approval.as_ref(), break_glass.as_ref());
    let Gate { mut findings, overrides, direction, requests, .. } = gate;
    findings.sort_by_key(|finding| finding.effect);
    let class = Class { name: class.name, because: class.because, newer: Default::default() };
    Decision {
        class,
        direction,
        needs_approval,
        findings,
        approval: approval.map(|verdict| verdict.approval),
        requests,
        break_glass,
        overrides,
        follow_up,
    }
}

/// The review that is owed of something that happens now.
pub fn follow_up(rules: &Rules, now: DateTime<Utc>) -> FollowUp {
    let due = Some(Time::new(rules.calendar.due(rules.follow_up.within, now)));
    FollowUp { due, assignee: rules.follow_up.assignee.clone(), ..FollowUp::default() }
}

/// A decision that is being made.
struct Gate<'a> {
    facts: &'a Facts<'a>,
    rules: &'a Rules,
    class: ClassName,
    direction: Direction,
    findings: Vec<Finding>,
    overrides: Vec<Override>,
    /// Whether something stood in the way that only breaking the glass overrides.
    breaks_glass: bool,
    /// Whether it is an emergency also without breaking the glass.
    is_emergency: bool,
    /// The merge requests that need an approval.
    requests: Vec<Needed>,
}

impl Gate<'_> {
    fn find(&mut self, code: Code, effect: Effect, message: impl Into<String>) {
        self.findings.push(Finding::new(code, effect, message));
    }

    /// Finds something that stops what goes forward, unless somebody breaks the glass.
    fn stop(&mut self, code: Code, seq: Option<u64>, message: String) {
        let effect = match (self.goes_forward(), &self.facts.said.break_glass) {
            (false, _) => Effect::Says,
            (true, None) => Effect::Refuses,
            (true, Some(_)) => {
                self.breaks_glass = true;
                // the reason is in the record once, however many rules there are
                Text::clean("break-glass").into_iter().for_each(|reason| self.override_rule(code, reason));
                Effect::Overridden
            }
        };
        self.findings.push(Finding::new(code, effect, message).about(seq));
    }

    fn override_rule(&mut self, code: Code, reason: Text) {
        let rule = Line::clean(code.as_str());
        self.overrides.extend(rule.map(|rule| Override { rule, reason, newer: Default::default() }));
    }

    /// Whether it brings something that did not run there before, as far as is known.
    fn goes_forward(&self) -> bool {
        matches!(self.direction, Direction::First | Direction::Forward | Direction::Unknown)
    }

    fn look_at_the_log(&mut self) {
        let LogFacts::Unreachable { because, .. } = &self.facts.log else { return };
        let message = format!("the log can't be reached: {because}");
        if self.rules.unreachable.of(self.class) == Unreachable::Stop {
            self.stop(Code::LogUnreachable, None, message);
        } else {
            self.find(Code::LogUnreachable, Effect::Says, message);
        }
    }

    fn look_at_rollback(&mut self) {
        let version = &self.facts.version;
        match self.direction {
            Direction::Back => {
                self.find(Code::Rollback, Effect::Says, format!("{version} went well there before and is put back: nothing stops that"));
            }
            Direction::MaybeBack => self.find(
                Code::RollbackNotProven,
                Effect::Says,
                format!("{version} is older than what the branch has by now and is put back; whether it went well there, only the log can show"),
            ),
            _ => return,
        }
        if !self.facts.said.has_reason {
            self.find(Code::ReasonMissing, Effect::Says, "the reason of the rollback is owed");
        }
    }

    fn look_at_holds(&mut self) {
        for hold in self.facts.log.holds() {
            let message =
                format!("a hold: nothing goes forward there since the rollback to {} (record {})", hold.version, hold.seq);
            self.stop(Code::Hold, Some(hold.seq), message);
        }
    }

    fn look_at_freezes(&mut self) {
        let (now, environment, calendar) = (self.facts.now, self.facts.environment, &self.rules.calendar);
        let on = self.rules.freezes.iter().filter(|freeze| freeze.is_on(now, environment, calendar));
        let by_policy = on.map(|freeze| format!("a freeze is on: {freeze} {}", calendar.zone));
        let by_gitlab = self.facts.told.is_frozen.then(|| "a freeze period that is set in GitLab is on".to_owned());
        for message in by_policy.chain(by_gitlab).collect::<Vec<_>>() {
            if self.is_emergency && self.goes_forward() {
                self.facts.emergency_reason().into_iter().for_each(|reason| self.override_rule(Code::Freeze, reason));
                self.find(Code::Freeze, Effect::Overridden, message);
            } else {
                self.stop(Code::Freeze, None, message);
            }
        }
    }

    fn look_at_reviews(&mut self) {
        for review in overdue(self.facts) {
            let message = format!("the review of record {} ({}) is overdue", review.seq, review.version);
            let refuses = self.rules.follow_up.overdue == Overdue::Refuse && !self.is_emergency;
            if refuses {
                self.stop(Code::ReviewOverdue, Some(review.seq), message);
            } else {
                self.findings.push(Finding::new(Code::ReviewOverdue, Effect::Says, message).about(Some(review.seq)));
            }
        }
    }

    fn needs_approval(&self) -> bool {
        self.goes_forward()
            && match self.rules.approval_for(self.facts.environment) {
                ApprovalFor::Never => false,
                ApprovalFor::Always => true,
                ApprovalFor::Sensitive => self.class != ClassName::Routine,
            }
    }

    /// The approval that counts, where one is needed or there.
    fn look_at_approvals(&mut self, is_needed: bool) -> Option<Verdict> {
        let LogFacts::Read { approvals, .. } = &self.facts.log else {
            if is_needed {
                self.breaks_glass |= self.facts.said.break_glass.is_some();
                self.find(
                    Code::ApprovalNotChecked,
                    Effect::Says,
                    "it needs an approval, and whether there is one, only the log can show",
                );
            }
            return None;
        };
        let claimed = self.facts.claimed_approval();
        let told = self.facts.told;
        let judged = |candidate| approval::judge(candidate, self.facts, self.rules, self.class);
        let verdicts: Vec<_> = approvals.iter().chain(&told.deployment).chain(&claimed).map(judged).collect();
        let newest = verdicts
            .iter()
            .filter_map(|verdict| verdict.as_ref().ok())
            .max_by_key(|verdict| (verdict.approval.at, verdict.approval.seq));
        let coverage = if is_needed { coverage::of(self.facts, self.rules, self.class) } else { coverage::Coverage::default() };
        self.requests = coverage.needed;
        // one of the whole says more than those of its parts
        let verdict = newest.cloned().or(coverage.verdict).filter(|_| self.is_not_rejected(is_needed));
        if let Some(verdict) = verdict {
            let message = format!("by {}", approval::words(&verdict.approval));
            self.findings.push(Finding::new(Code::Approved, Effect::Says, message).about(verdict.approval.seq));
            self.say_who_was_not_compared();
            return Some(verdict);
        }
        if let Some(because) = self.out_of_reach().filter(|_| is_needed) {
            self.miss_gitlab(&because);
            return None;
        }
        if is_needed {
            let near = verdicts.into_iter().filter_map(Result::err).chain(coverage.findings);
            self.miss_approval(near.collect());
        }
        None
    }

    /// Whoever may approve a deployment in GitLab, and rejects it, is heard.
    fn is_not_rejected(&mut self, is_needed: bool) -> bool {
        let rejected = &self.facts.told.rejected_by;
        for person in rejected.iter().filter(|_| is_needed) {
            let who = person.short().map_or_else(|| "somebody".to_owned(), |name| name.to_string());
            self.stop(Code::DeploymentRejected, None, format!("{who} rejected this deployment in GitLab"));
        }
        rejected.is_empty() || !is_needed
    }

    /// Why GitLab, which may have an approval, can't be asked for it now.
    fn out_of_reach(&self) -> Option<String> {
        let unreachable = |unknown: &Unknown| unknown.is_unreachable.then(|| unknown.because.clone());
        match &self.facts.told.requests {
            Requests::NotAsked => None,
            Requests::Unknown(unknown) => unreachable(unknown),
            Requests::Known(brought) => brought.requests.iter().find_map(|request| match &request.approvals {
                Approvals::Unknown(unknown) => unreachable(unknown),
                Approvals::NotRead | Approvals::Read(_) => None,
            }),
        }
    }

    /// As where the log can't be reached: the policy says which deployments go ahead meanwhile.
    fn miss_gitlab(&mut self, because: &str) {
        let message = format!("GitLab can't be asked for the approval that it needs: {because}");
        if self.rules.unreachable.of(self.class) == Unreachable::Stop {
            self.stop(Code::GitlabUnreachable, None, message);
        } else {
            self.find(Code::GitlabUnreachable, Effect::Says, message);
            self.find(
                Code::ApprovalNotChecked,
                Effect::Says,
                "it needs an approval, and whether there is one can't be told now",
            );
        }
    }

    fn miss_approval(&mut self, near: Vec<Finding>) {
        self.breaks_glass |= self.facts.said.break_glass.is_some();
        let effect = if self.breaks_glass { Effect::Overridden } else { Effect::Refuses };
        let class = self.class;
        let article = if class == ClassName::Emergency { "an" } else { "a" };
        let message = format!(
            "{article} {class} deployment to {} needs an approval, and there is none that counts",
            self.facts.environment
        );
        self.find(Code::ApprovalMissing, effect, message);
        self.findings.extend(near.into_iter().map(|finding| Finding { effect, ..finding }));
        let accepts = |source| self.rules.approval.accept.contains(&source);
        let by_request = accepts(ApprovalSource::MergeRequestNote) || accepts(ApprovalSource::MergeRequestApproval);
        if let Requests::Unknown(unknown) = &self.facts.told.requests
            && by_request
        {
            let message = format!("whether it was approved in a merge request can't be told: {}", unknown.because);
            self.findings.push(Finding::new(Code::RequestsUnknown, effect, message).advising(unknown.advice.clone()));
        }
    }

    fn say_who_was_not_compared(&mut self) {
        if self.rules.approval.four_eyes != FourEyes::Before {
            return;
        }
        if matches!(self.facts.change.paths, Paths::All(_)) {
            let words = "nothing runs there yet: only the author of the newest commit is compared with the approver";
            self.find(Code::AuthorUnmapped, Effect::Says, words);
        }
        let unmapped = self.facts.change.authors.iter().filter(|author| author.login.is_none()).count();
        if unmapped > 0 {
            let words =
                if unmapped == 1 { "1 author of the change is" } else { &format!("{unmapped} authors of the change are") };
            self.find(
                Code::AuthorUnmapped,
                Effect::Says,
                format!("{words} nobody whom `people` in the policy names, and not compared with the approver"),
            );
        }
    }

    /// The glass counts as broken only where something stood in the way.
    fn break_glass(&mut self) -> Option<BreakGlass> {
        let reason = self.facts.said.break_glass.clone()?;
        if !self.breaks_glass {
            self.find(Code::BreakGlass, Effect::Says, "nothing stood in the way, so the glass was not broken");
            return None;
        }
        self.find(Code::BreakGlass, Effect::Says, format!("no prior approval (break-glass): {}", reason.first_line()));
        Some(BreakGlass { reason, newer: Default::default() })
    }

    fn follow_up(&mut self, approval: Option<&Verdict>, break_glass: Option<&BreakGlass>) -> Option<FollowUp> {
        let is_emergency =
            self.class == ClassName::Emergency && self.rules.approval_for(self.facts.environment) != ApprovalFor::Never;
        let by_one = approval.is_some_and(|verdict| verdict.is_by_one) && self.rules.approval.four_eyes == FourEyes::After;
        // whether it was a rollback at all is for somebody to look at
        let is_doubtful = self.direction == Direction::MaybeBack && self.class != ClassName::Routine;
        let is_owed = is_emergency || by_one || !self.overrides.is_empty();
        if !(self.goes_forward() && is_owed) && break_glass.is_none() && !is_doubtful {
            return None;
        }
        let note = approval.and_then(|verdict| verdict.follow_up.clone());
        let follow_up = FollowUp { note, ..follow_up(self.rules, self.facts.now) };
        let by = follow_up.assignee.as_ref().map(|login| format!(" by {login}")).unwrap_or_default();
        let due = follow_up.due.map(|due| self.rules.calendar.readable(due.utc())).unwrap_or_default();
        self.find(Code::ReviewDue, Effect::Says, format!("a review by another person is due{by}: {due}"));
        Some(follow_up)
    }
}

/// The reviews there that should have been done by now.
fn overdue<'a>(facts: &'a Facts) -> impl Iterator<Item = &'a OpenReview> {
    facts.log.reviews().iter().filter(|review| review.due.is_some_and(|due| due.utc() < facts.now))
}
