//! The field table: every field of every record, in the order in which it is written.
//!
//! This page is the format. The JSON Schema (`deploy-record schema record`) and the tables of `docs/format.md` are made from it.
//! Later versions add fields only after the ones that stand here, so that this version can keep them in their place.

use super::shape::{choice, shape};
use super::values::{Base64, CommitId, Digest, Id, Line, Link, Name, Text, Time};

shape! {
    /// A record, with the fields of all kinds; `kinds.rs` says which kind has which.
    Record {
        /// Name of the format: `deploy-record/v1`.
        schema: Line,
        /// The log's own id, made with record 1 and the same in every record.
        log: Id,
        /// The record's number: 1, 2, 3, without gaps.
        seq: u64,
        /// Digest of the previous record's bytes; 64 zeros in record 1.
        prev: Digest,
        /// The newest earlier record, of any kind, about the same project (its id, else its path), service and environment.
        prev_here: Option<Pointer>,
        /// One per intent: it survives every retry, spool and replay, and the log holds it once.
        id: Id,
        /// What the record is about.
        kind: Kind,
        /// When the record was made.
        recorded_at: Time,
        /// The principal whose key signs.
        signer: Name,
        /// Program and version that made the record.
        tool: Line,
        /// The service, where one repository has several.
        service: Option<Name>,
        /// The project whose code is delivered.
        project: Option<Project>,
        /// The environment that it is about.
        environment: Option<Environment>,
        /// The version as people name it.
        version: Option<Line>,
        /// The commit that was delivered.
        commit: Option<Commit>,
        /// What was delivered besides the commit, such as images.
        artifacts: Vec<Artifact>,
        /// What ran there when this started: a snapshot, never recomputed.
        previous: Option<Delivered>,
        /// What is new since the previous version.
        changes: Option<Changes>,
        /// Test evidence.
        checks: Vec<Check>,
        /// The person who ran it.
        actor: Option<Person>,
        /// The CI job that ran it.
        job: Option<Job>,
        /// How it stands, or ended.
        status: Option<Status>,
        /// When it started.
        started_at: Option<Time>,
        /// When it ended.
        finished_at: Option<Time>,
        /// Number of the start that this record closes.
        finishes: Option<u64>,
        /// `id` of the start that this record closes, where its number was not known when the record was made.
        finishes_id: Option<Id>,
        /// How the policy saw the change.
        class: Option<Class>,
        /// The approval that let it through.
        approval: Option<Approval>,
        /// Why it went ahead without prior approval.
        break_glass: Option<BreakGlass>,
        /// Rules that were overridden.
        overrides: Vec<Override>,
        /// What support and customers should know.
        change_note: Option<ChangeNote>,
        /// The review that is owed afterwards.
        follow_up: Option<FollowUp>,
        /// The policy that decided.
        policy: Option<Policy>,
        /// How strongly each group of fields was known when it was signed.
        provenance: Option<Provenance>,
        /// Where a record comes from that was not made when it happened.
        imported: Option<Imported>,
        /// What was rolled back, and why.
        rollback: Option<Rollback>,
        /// What the gate found: why an attempt was turned away, or what it went ahead over.
        findings: Vec<Finding>,
        /// Who approved.
        approver: Option<Person>,
        /// Why, in the person's words.
        reason: Option<Text>,
        /// Until when an approval counts.
        expires_at: Option<Time>,
        /// True where the person takes back the approvals that they gave for this commit there.
        withdrawn: Option<bool>,
        /// Number of the record that this one is about.
        of: Option<u64>,
        /// Who reviewed.
        reviewer: Option<Person>,
        /// What the review came to.
        outcome: Option<Outcome>,
        /// Who lifted the hold, added the note or went on over the damage.
        by: Option<Person>,
        /// The note itself.
        note: Option<Text>,
        /// Who can start a deployment.
        who: Vec<Access>,
        /// Number of the access record that `added` and `removed` compare with.
        since: Option<u64>,
        /// Who came since then.
        added: Vec<Access>,
        /// Who went since then.
        removed: Vec<Access>,
        /// Who approved the change of access.
        approved_by: Option<Person>,
        /// Commits on the branch that are passed over; a record among them that verifies, and follows, counts all the same.
        skipped: Vec<CommitId>,
        /// Numbers of records that the log had and does not have any more.
        lost: Option<Lost>,
        /// Where the record waited, if it could not be appended at once.
        late: Option<Late>,
    }
}

choice! {
    /// What a record is about.
    Kind {
        /// A version was delivered, or is being delivered.
        Deployment = "deployment",
        /// An older version was put back.
        Rollback = "rollback",
        /// An attempt was turned away by policy.
        Refusal = "refusal",
        /// A person approved a deployment.
        Approval = "approval",
        /// A person reviewed an emergency afterwards.
        Review = "review",
        /// A hold was lifted.
        Resolution = "resolution",
        /// Something was added to an earlier record.
        Annotation = "annotation",
        /// A snapshot of who can deploy.
        Access = "access",
        /// The log went on over damage.
        Recovery = "recovery",
    }
}

choice! {
    /// How a deployment stands, in GitLab's words, and `unknown` where nobody saw the end.
    Status {
        /// Begun, not ended.
        Running = "running",
        /// Ended well.
        Success = "success",
        /// Ended badly, timed out included.
        Failed = "failed",
        /// Stopped by a person.
        Canceled = "canceled",
        /// Ended, and nobody saw how.
        Unknown = "unknown",
    }
}

choice! {
    /// GitLab's deployment tiers.
    Tier {
        /// What customers use.
        Production = "production",
        /// The rehearsal for it.
        Staging = "staging",
        /// For tests.
        Testing = "testing",
        /// For development, review apps included.
        Development = "development",
        /// Anything else.
        Other = "other",
    }
}

choice! {
    /// How strongly a fact was known when it was signed, the strongest first.
    Strength {
        /// deploy-record checked GitLab's signature on an ID token when it recorded.
        Attested = "attested",
        /// From GitLab's API.
        Fetched = "fetched",
        /// From git, or seen by deploy-record itself, such as how the command ended.
        Observed = "observed",
        /// From a variable or a flag.
        Asserted = "asserted",
    }
}

choice! {
    /// The policy's word for a change.
    ClassName {
        /// Nothing about it needs a note.
        Routine = "routine",
        /// It touches something that the policy names.
        Sensitive = "sensitive",
        /// It skips the usual way.
        Emergency = "emergency",
    }
}

choice! {
    /// Where an approval stands, the strongest first.
    ApprovalSource {
        /// In this log, signed with the approver's own key.
        Signed = "signed",
        /// GitLab's deployment approval.
        DeploymentApproval = "deployment-approval",
        /// GitLab's merge request approval.
        MergeRequestApproval = "merge-request-approval",
        /// A comment on a merge request.
        MergeRequestNote = "merge-request-note",
        /// Somebody's word.
        Claimed = "claimed",
    }
}

choice! {
    /// What a review came to.
    Outcome {
        /// The reviewer agrees.
        Approved = "approved",
        /// The reviewer does not.
        Rejected = "rejected",
    }
}

shape! {
    /// A pointer at a record: its number and its bytes.
    Pointer {
        /// The record's number.
        seq: u64,
        /// Digest of the record's bytes.
        sha256: Digest,
    }
}

shape! {
    /// A GitLab project.
    #[derive(Default)]
    Project {
        /// GitLab's number for it; it survives renames.
        id: Option<u64>,
        /// Group and name, such as `grp/app`.
        path: Option<Line>,
        /// Its page.
        url: Option<Link>,
    }
}

shape! {
    /// An environment.
    Environment {
        /// Its name.
        name: Name,
        /// Its tier.
        tier: Tier,
        /// Where it can be seen.
        url: Option<Link>,
    }
}

shape! {
    /// A commit, as git has it.
    Commit {
        /// Its full id.
        sha: CommitId,
        /// First line of the message.
        title: Option<Line>,
        /// The author's name, without the address.
        author: Option<Line>,
        /// When it was written.
        authored_at: Option<Time>,
        /// The branch that it was deployed from.
        branch: Option<Line>,
        /// The tag that it was deployed from.
        tag: Option<Line>,
    }
}

shape! {
    /// Something delivered besides the commit.
    Artifact {
        /// Its name, such as an image without its tag.
        name: Line,
        /// Digest of its bytes.
        digest: Digest,
    }
}

shape! {
    /// A version that an earlier record delivered.
    Delivered {
        /// Number of the record that says so.
        seq: u64,
        /// The version.
        version: Line,
        /// Its commit.
        sha: Option<CommitId>,
    }
}

shape! {
    /// What is new since the previous version.
    #[derive(Default)]
    Changes {
        /// Number of commits.
        commits: Option<u64>,
        /// Number of files that differ.
        files: Option<u64>,
        /// Names of the commits' authors.
        authors: Vec<Line>,
        /// Tickets that the commits or the user name.
        tickets: Vec<Line>,
        /// Merge requests that brought the commits.
        merge_requests: Vec<MergeRequest>,
        /// Page that shows the difference.
        compare_url: Option<Link>,
        /// True where history did not reach back far enough to know all of it.
        incomplete: Option<bool>,
    }
}

shape! {
    /// A merge request.
    MergeRequest {
        /// Its number in the project.
        iid: u64,
        /// Who wrote it.
        author: Option<Person>,
        /// Who merged it.
        merged_by: Option<Person>,
        /// When it was merged.
        merged_at: Option<Time>,
        /// Who approved it in GitLab.
        approved_by: Vec<MergeRequestApproval>,
    }
}

shape! {
    /// An approval of a merge request in GitLab.
    MergeRequestApproval {
        /// Who.
        login: Name,
        /// GitLab's number for that person.
        id: Option<u64>,
        /// When.
        at: Option<Time>,
        /// GitLab's number for the comment that approves, or by which GitLab tells of the button.
        note_id: Option<u64>,
    }
}

shape! {
    /// Evidence of a test or another check.
    Check {
        /// What was checked.
        name: Line,
        /// How it ended, in the checker's word.
        status: Option<Line>,
        /// Where the result can be seen.
        url: Option<Link>,
        /// Digest of the result.
        sha256: Option<Digest>,
    }
}

shape! {
    /// A person, or an account that acts for nobody.
    #[derive(Default)]
    Person {
        /// GitLab user name.
        login: Option<Name>,
        /// GitLab's number for the user; names change, it doesn't.
        id: Option<u64>,
        /// The name as people write it.
        name: Option<Line>,
        /// True for a bot or service account.
        bot: Option<bool>,
        /// True where a schedule or another program started it.
        automated: Option<bool>,
    }
}

shape! {
    /// A CI job.
    #[derive(Default)]
    Job {
        /// GitLab's number for it; a retry has a new one.
        id: Option<u64>,
        /// 1, 2, 3 where one job deploys the same thing again.
        attempt: Option<u64>,
        /// Its name.
        name: Option<Line>,
        /// Its page.
        url: Option<Link>,
        /// Number of its pipeline.
        pipeline_id: Option<u64>,
        /// Page of its pipeline.
        pipeline_url: Option<Link>,
        /// What started the pipeline, such as `push`, `schedule` or `web`.
        source: Option<Line>,
        /// The machine that ran it.
        runner: Option<Line>,
        /// The project whose pipeline it is, where that delivers another project's code.
        project: Option<Line>,
        /// Commit of the pipeline's configuration.
        ci_config_sha: Option<CommitId>,
    }
}

shape! {
    /// How the policy saw a change.
    Class {
        /// Its word.
        name: ClassName,
        /// Why.
        because: Vec<Line>,
    }
}

shape! {
    /// The approval that let a deployment through.
    Approval {
        /// Where it stands.
        source: ApprovalSource,
        /// Who gave it.
        approver: Person,
        /// When.
        at: Option<Time>,
        /// Its words.
        note: Option<Text>,
        /// Its page.
        url: Option<Link>,
        /// GitLab's number for the comment.
        note_id: Option<u64>,
        /// Digest of the approval's whole text where it stands, without blank ends and with `\n` as line ends; also of what was
        /// redacted or cut in `note`.
        note_sha256: Option<Digest>,
        /// Number of a signed approval.
        seq: Option<u64>,
        /// Digest of a signed approval.
        sha256: Option<Digest>,
        /// The commit that it is bound to.
        commit: Option<CommitId>,
        /// Merge requests that it covers, the one in which it stands first.
        covers: Vec<u64>,
        /// Whether it was given before the start.
        before_start: Option<bool>,
        /// Until when it counts.
        expires_at: Option<Time>,
    }
}

shape! {
    /// A deployment without prior approval.
    BreakGlass {
        /// Why.
        reason: Text,
    }
}

shape! {
    /// A rule that was overridden.
    Override {
        /// The rule.
        rule: Line,
        /// Why.
        reason: Text,
    }
}

shape! {
    /// What support and customers should know.
    #[derive(Default)]
    ChangeNote {
        /// What changed.
        summary: Option<Text>,
        /// Who might notice.
        audience: Option<Text>,
        /// Whether to expect questions, and what to answer.
        support: Option<Text>,
    }
}

shape! {
    /// The review that is owed after an emergency.
    #[derive(Default)]
    FollowUp {
        /// By when.
        due: Option<Time>,
        /// Who should do it.
        assignee: Option<Name>,
        /// The issue that reminds of it.
        issue_url: Option<Link>,
        /// What the approver said about it.
        note: Option<Text>,
    }
}

shape! {
    /// The policy that decided.
    Policy {
        /// Digest of the file.
        sha256: Digest,
        /// Where it was read: branch and commit.
        reference = "ref": Line,
    }
}

shape! {
    /// How strongly each group of fields was known when it was signed.
    #[derive(Default)]
    Provenance {
        /// Who ran it.
        actor: Option<Strength>,
        /// What was delivered.
        commit: Option<Strength>,
        /// Where to.
        environment: Option<Strength>,
        /// In which job.
        job: Option<Strength>,
        /// Who approved.
        approval: Option<Strength>,
        /// How it ended.
        status: Option<Strength>,
        /// When.
        times: Option<Strength>,
    }
}

shape! {
    /// Where a record comes from that was not made when it happened.
    Imported {
        /// The source, such as `gitlab-deployments`.
        from: Line,
        /// When it was found there.
        found_at: Time,
    }
}

shape! {
    /// What was rolled back, and why.
    #[derive(Default)]
    Rollback {
        /// Numbers of the deployments that it undoes.
        of: Vec<u64>,
        /// What ran.
        from: Option<Delivered>,
        /// What was put back.
        to: Option<Delivered>,
        /// Why.
        reason: Option<Text>,
        /// Why, as customers may read it.
        public_reason: Option<Text>,
        /// How users were affected.
        impact: Option<Text>,
        /// What fixed it.
        resolution: Option<Text>,
        /// The incident: its number or page.
        incident: Option<Line>,
        /// For how many seconds the bad version was live.
        live_seconds: Option<u64>,
        /// True where nobody has given the reason yet.
        reason_missing: Option<bool>,
        /// True where the next deployment forward is blocked.
        hold: Option<bool>,
    }
}

shape! {
    /// What the gate found.
    Finding {
        /// Its stable code.
        code: Line,
        /// One sentence.
        message: Line,
    }
}

shape! {
    /// One account that can start a deployment.
    Access {
        /// Its user name.
        login: Name,
        /// GitLab's number for it.
        id: Option<u64>,
        /// The name as people write it.
        name: Option<Line>,
        /// Through what: project, group, invitation, token.
        via: Option<Line>,
        /// GitLab's access level, 0 to 60.
        level: Option<u64>,
        /// True for a bot or service account.
        bot: Option<bool>,
        /// When the access ends.
        expires_at: Option<Time>,
    }
}

shape! {
    /// Records that were in the log and are gone, by their numbers.
    Lost {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    }
}

shape! {
    /// Where a record waited before it was appended.
    Late {
        /// When the claim was made.
        at: Time,
        /// Who signed the claim.
        signer: Name,
        /// The claim's bytes.
        claim: Base64,
        /// The claim's signature, namespace `deploy-record-spool`.
        sig: Text,
    }
}
