//! The gate: whether a deployment may go ahead.
//!
//! Pure: facts and rules in, findings out. The same findings make the text on the terminal, the JSON and the record. Whatever is
//! not known counts against the deployment, but for putting back a version that went well there: nothing stops that.

mod approval;
mod class;
mod debts;
mod facts;
#[cfg(test)]
mod tests;

pub use approval::{is_same_person, may_approve};
pub use facts::{Author, Candidate, Change, Direction, Facts, LogFacts, Paths, Said, Saying};

use crate::core::policy::{ApprovalFor, FourEyes, Overdue, Rules, Unreachable};
use crate::core::record::shape::choice;
use crate::core::record::{Approval, BreakGlass, Class, ClassName, FollowUp, Line, Override, Text, Time};
use approval::Verdict;

choice! {
    /// What the gate finds. The codes are stable: scripts may rely on them.
    Code {
        /// There is no policy; nothing is sensitive, and only what is called an emergency needs an approval.
        NoPolicy = "no-policy",
        /// The deployment touches what the policy names.
        Sensitive = "sensitive",
        /// It is an emergency.
        Emergency = "emergency",
        /// What is new can't be told, so it counts as sensitive.
        ChangeUnknown = "change-unknown",
        /// It puts back a version that went well there; nothing stops that.
        Rollback = "rollback",
        /// It puts back an older commit; the log, which can't be reached, would show whether that went well there.
        RollbackNotProven = "rollback-not-proven",
        /// The reason of the rollback is not given yet.
        ReasonMissing = "reason-missing",
        /// It went ahead without prior approval.
        BreakGlass = "break-glass",
        /// An approval counts.
        Approved = "approved",
        /// It needs an approval, and none counts.
        ApprovalMissing = "approval-missing",
        /// It needs an approval, and the log, which would show it, can't be reached.
        ApprovalNotChecked = "approval-not-checked",
        /// An approval is for another project.
        ApprovalOtherProject = "approval-other-project",
        /// An approval is for another service.
        ApprovalOtherService = "approval-other-service",
        /// An approval is for another environment.
        ApprovalOtherEnvironment = "approval-other-environment",
        /// An approval is for another commit.
        ApprovalOtherCommit = "approval-other-commit",
        /// An approval was withdrawn.
        ApprovalWithdrawn = "approval-withdrawn",
        /// An approval was used up by the deployment that it let through.
        ApprovalUsed = "approval-used",
        /// An approval has expired.
        ApprovalExpired = "approval-expired",
        /// An approval is older than the policy allows.
        ApprovalTooOld = "approval-too-old",
        /// An approval is signed by somebody else than it names.
        ApprovalSigner = "approval-signer",
        /// An approval is of a kind that the policy does not accept.
        ApprovalNotAccepted = "approval-not-accepted",
        /// An approval is by a bot.
        ApprovalByBot = "approval-by-bot",
        /// An approval is by somebody who may not approve.
        ApprovalNotApprover = "approval-not-approver",
        /// An approval is by the person who runs the deployment.
        ApprovalByActor = "approval-by-actor",
        /// An approval is by an author of the change.
        ApprovalByAuthor = "approval-by-author",
        /// It can't be told whether an approval is by another person.
        ApprovalNotProven = "approval-not-proven",
        /// An author of the change is nobody that the policy knows, and was not compared with the approver.
        AuthorUnmapped = "author-unmapped",
        /// A hold stops what goes forward.
        Hold = "hold",
        /// A freeze stops what goes forward.
        Freeze = "freeze",
        /// A review that is owed is overdue.
        ReviewOverdue = "review-overdue",
        /// A review is owed afterwards.
        ReviewDue = "review-due",
        /// The log can't be reached.
        LogUnreachable = "log-unreachable",
    }
}

choice! {
    /// What a finding does.
    Effect {
        /// It turns the deployment away.
        Refuses = "refuses",
        /// It would, but for what overrides it.
        Overridden = "overridden",
        /// It is worth knowing.
        Says = "says",
    }
}

/// One thing that the gate found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its stable code.
    pub code: Code,
    /// What it does.
    pub effect: Effect,
    /// The record that it is about.
    pub seq: Option<u64>,
    /// One sentence.
    pub message: String,
}

impl Finding {
    fn new(code: Code, effect: Effect, message: impl Into<String>) -> Self {
        Finding { code, effect, seq: None, message: message.into() }
    }

    fn about(self, seq: Option<u64>) -> Self {
        Finding { seq, ..self }
    }
}

/// What the gate decided, and why.
#[derive(Debug, Clone)]
pub struct Decision {
    /// How the policy sees the deployment.
    pub class: Class,
    /// Where it goes from what runs there.
    pub direction: Direction,
    /// Whether it asks for an approval.
    pub needs_approval: bool,
    /// What was found, what refuses first.
    pub findings: Vec<Finding>,
    /// The approval that counts.
    pub approval: Option<Approval>,
    /// Why it goes ahead without prior approval.
    pub break_glass: Option<BreakGlass>,
    /// The rules that were overridden.
    pub overrides: Vec<Override>,
    /// The review that is owed afterwards.
    pub follow_up: Option<FollowUp>,
}

impl Decision {
    /// Whether the deployment may go ahead.
    pub fn is_allowed(&self) -> bool {
        !self.findings.iter().any(|finding| finding.effect == Effect::Refuses)
    }

    /// Whether it is turned away only because the log can't be reached.
    pub fn is_unreachable(&self) -> bool {
        let mut refusing = self.findings.iter().filter(|finding| finding.effect == Effect::Refuses).peekable();
        refusing.peek().is_some() && refusing.all(|finding| finding.code == Code::LogUnreachable)
    }
}

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
    let Gate { mut findings, overrides, direction, .. } = gate;
    findings.sort_by_key(|finding| finding.effect);
    let class = Class { name: class.name, because: class.because, newer: Default::default() };
    Decision {
        class,
        direction,
        needs_approval,
        findings,
        approval: approval.map(|verdict| verdict.approval),
        break_glass,
        overrides,
        follow_up,
    }
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
}

impl Gate<'_> {
    fn find(&mut self, code: Code, effect: Effect, message: impl Into<String>) {
        self.findings.push(Finding::new(code, effect, message));
    }

    /// Finds something that stops what goes forward, unless somebody breaks the glass.
    fn stop(&mut self, code: Code, seq: Option<u64>, message: String) {
        let effect = match (self.goes_forward(), self.facts.said.break_glass.clone()) {
            (false, _) => Effect::Says,
            (true, None) => Effect::Refuses,
            (true, Some(reason)) => {
                self.breaks_glass = true;
                self.override_rule(code, reason);
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
        let (now, environment) = (self.facts.now, self.facts.environment);
        let rules = self.rules;
        for freeze in rules.freezes.iter().filter(|freeze| freeze.is_on(now, environment, &rules.calendar)) {
            let message = format!("a freeze is on: {freeze} {}", rules.calendar.zone);
            if self.class == ClassName::Emergency && self.goes_forward() {
                self.facts.emergency_reason().into_iter().for_each(|reason| self.override_rule(Code::Freeze, reason));
                self.find(Code::Freeze, Effect::Overridden, message);
            } else {
                self.stop(Code::Freeze, None, message);
            }
        }
    }

    fn look_at_reviews(&mut self) {
        for review in debts::overdue(self.facts) {
            let message = format!("the review of record {} ({}) is overdue", review.seq, review.version);
            let refuses = self.rules.follow_up.overdue == Overdue::Refuse && self.class != ClassName::Emergency;
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
        let judged = |candidate| approval::judge(candidate, self.facts, self.rules, self.class);
        let verdicts: Vec<_> = approvals.iter().chain(&claimed).map(judged).collect();
        let newest = verdicts
            .iter()
            .filter_map(|verdict| verdict.as_ref().ok())
            .max_by_key(|verdict| (verdict.approval.at, verdict.approval.seq));
        if let Some(verdict) = newest {
            let message = format!("by {}", approval::words(&verdict.approval));
            self.findings.push(Finding::new(Code::Approved, Effect::Says, message).about(verdict.approval.seq));
            self.say_who_was_not_compared();
            return Some(verdict.clone());
        }
        if is_needed {
            self.miss_approval(verdicts.into_iter().filter_map(Result::err).collect());
        }
        None
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
    }

    fn say_who_was_not_compared(&mut self) {
        if self.rules.approval.four_eyes != FourEyes::Before {
            return;
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
        if !(self.goes_forward() && (is_emergency || by_one)) && break_glass.is_none() && !is_doubtful {
            return None;
        }
        let calendar = &self.rules.calendar;
        let due = calendar.due(self.rules.follow_up.within, self.facts.now);
        let said = approval.and_then(|verdict| verdict.follow_up.clone());
        let assignee = self.rules.follow_up.assignee.clone();
        let by = assignee.as_ref().map(|login| format!(" by {login}")).unwrap_or_default();
        self.find(Code::ReviewDue, Effect::Says, format!("a review by another person is due{by}: {}", calendar.readable(due)));
        Some(FollowUp { due: Some(Time::new(due)), assignee, note: said, ..FollowUp::default() })
    }
}
