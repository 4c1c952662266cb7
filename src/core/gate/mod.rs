//! The gate: whether a deployment may go ahead.
//!
//! Pure: facts and rules in, findings out. The same findings make the text on the terminal, the JSON and the record. Whatever is
//! not known counts against the deployment, but for putting back a version that went well there: nothing stops that.

mod approval;
mod class;
mod coverage;
mod decide;
mod facts;
pub mod requests;
#[cfg(test)]
mod tests;

pub use approval::{is_same_person, may_approve};
pub use decide::{decide, follow_up};
pub use facts::{Account, Author, Candidate, Change, Direction, Facts, LogFacts, Paths, Said, Saying, Told};

use crate::core::record::shape::choice;
use crate::core::record::{Approval, BreakGlass, Class, FollowUp, Link, MergeRequestApproval, Override, Person};

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
        /// It needs an approval, and the log or GitLab, which would show it, can't be reached.
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
        /// An approval is by the person who merged the change.
        ApprovalByMerger = "approval-by-merger",
        /// It can't be told whether an approval is by another person.
        ApprovalNotProven = "approval-not-proven",
        /// A comment has the words of an approval, but not so that they count.
        ApprovalForm = "approval-form",
        /// A comment that approves came with an import.
        ApprovalImported = "approval-imported",
        /// A comment that approves is an internal one.
        ApprovalInternal = "approval-internal",
        /// A comment that approves was edited.
        ApprovalEdited = "approval-edited",
        /// A comment that approved was deleted while the deployment ran.
        ApprovalGone = "approval-gone",
        /// A comment that approves has a time that does not fit those around it.
        ApprovalBackdated = "approval-backdated",
        /// The merge request was changed after an approval of it.
        ApprovalOutdated = "approval-outdated",
        /// An approval is by somebody whose account is blocked.
        ApprovalBlockedUser = "approval-blocked-user",
        /// An approval is by somebody who has not the access, or is in none of the groups, that the policy asks for.
        ApprovalAccess = "approval-access",
        /// An approval does not cover a merge request that needs one.
        ApprovalNotCovering = "approval-not-covering",
        /// An approval covers a merge request that was merged only after it, or stands in an older one.
        ApprovalTooEarly = "approval-too-early",
        /// GitLab does not tell which approvals there are.
        ApprovalNotTold = "approval-not-told",
        /// Somebody rejected the deployment in GitLab.
        DeploymentRejected = "deployment-rejected",
        /// A commit came in without a merged merge request.
        DirectPush = "direct-push",
        /// GitLab does not tell which merge requests brought the change.
        RequestsUnknown = "merge-requests-unknown",
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
        /// GitLab can't be asked for the approvals that are needed.
        GitlabUnreachable = "gitlab-unreachable",
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
    /// What helps, where the finding itself knows it.
    pub advice: Option<String>,
}

impl Finding {
    fn new(code: Code, effect: Effect, message: impl Into<String>) -> Self {
        Finding { code, effect, seq: None, message: message.into(), advice: None }
    }

    fn about(self, seq: Option<u64>) -> Self {
        Finding { seq, ..self }
    }

    fn advising(self, advice: Option<String>) -> Self {
        Finding { advice, ..self }
    }
}

/// A merge request that needs an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Its number.
    pub iid: u64,
    /// Its page.
    pub url: Option<Link>,
    /// Who wrote and merged it: nobody whose approval would count under four eyes.
    pub makers: Vec<Person>,
    /// Who approved it.
    pub approved_by: Option<MergeRequestApproval>,
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
    /// The merge requests that need one, by number; with who approved each, where that counts.
    pub requests: Vec<Needed>,
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

    /// Whether it is turned away only because the log or GitLab can't be reached.
    pub fn is_unreachable(&self) -> bool {
        let mut refusing = self.findings.iter().filter(|finding| finding.effect == Effect::Refuses).peekable();
        refusing.peek().is_some()
            && refusing.all(|finding| matches!(finding.code, Code::LogUnreachable | Code::GitlabUnreachable))
    }
}
