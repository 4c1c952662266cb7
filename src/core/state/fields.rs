//! What `state.json` holds, in the order in which it is written. Made with the same macros as the record's field table.

use super::rendered::Rendered;
use crate::core::record::shape::shape;
use crate::core::record::{ClassName, CommitId, Digest, Id, Kind, Line, Name, Person, Pointer, Status, Tier, Time};

shape! {
    /// The log in short, as of one record: a pure function of the previous state and that record.
    State {
        /// Name of the format: `deploy-state/v1`.
        schema: Line,
        /// The log's own id.
        log: Id,
        /// Digest of record 1.
        first: Digest,
        /// The newest record.
        newest: Pointer,
        /// `recorded_at` of the newest record.
        recorded_at: Time,
        /// `recorded_at` of record 1: since when the log is kept.
        since: Time,
        /// Environments, the least recent first, at most 200.
        places: Vec<Rendered<Place>>,
        /// Approvals that are neither used up nor expired, the oldest first, at most 100.
        approvals: Vec<OpenApproval>,
        /// Follow-up reviews that are owed, the oldest first.
        reviews: Vec<OpenReview>,
        /// Holds, the oldest first.
        holds: Vec<Mark>,
        /// Rollbacks whose reason nobody has given, the oldest first.
        missing_reasons: Vec<Mark>,
        /// The newest deployments and rollbacks, the newest first, at most 20.
        recent: Vec<Rendered<Recent>>,
        /// What the newest jobs recorded, the oldest first, at most 64.
        jobs: Vec<Rendered<JobKey>>,
    }
}

shape! {
    /// One service in one environment of one project, and what is known of it.
    Place {
        /// GitLab's number for the project, where it is known.
        project: Option<u64>,
        /// The project's path, as the newest record has it.
        path: Option<Line>,
        /// The service, where one repository has several.
        service: Option<Name>,
        /// The environment.
        environment: Name,
        /// Its tier.
        tier: Tier,
        /// The newest record about it, of any kind.
        newest: Pointer,
        /// Where this place had gone out and came back, and nothing has gone well that began since: the newest record before that,
        /// from which on its history has to be looked up.
        earlier: Option<Pointer>,
        /// The highest number that a start can have which is open and not in `open`; absent where all of them are.
        forgotten: Option<u64>,
        /// What runs there.
        runs: Option<Running>,
        /// The versions that last went well there, the newest first, at most five.
        good: Vec<Good>,
        /// Deployments that have begun and not ended, the oldest first, at most 20.
        open: Vec<OpenStart>,
    }
}

shape! {
    /// The deployment that runs in an environment.
    Running {
        /// The record that says that it went well.
        seq: u64,
        /// The record of its start; the same where there was only one.
        start: u64,
        /// Deployment or rollback.
        kind: Kind,
        /// The version.
        version: Line,
        /// Its commit.
        sha: Option<CommitId>,
        /// Since when it runs.
        at: Time,
        /// Who ran it, by login, else by name.
        actor: Option<Line>,
    }
}

shape! {
    /// A version that went well in an environment.
    Good {
        /// The newest record that says so.
        seq: u64,
        /// The record of the start when it went well there for the first time: of two versions, the one with the lower number is
        /// the older one.
        first: u64,
        /// The version.
        version: Line,
        /// Its commit.
        sha: Option<CommitId>,
    }
}

shape! {
    /// A deployment that has begun and not ended.
    OpenStart {
        /// The record of its start.
        seq: u64,
        /// The version.
        version: Line,
        /// Its commit.
        sha: Option<CommitId>,
        /// When it began.
        started_at: Time,
        /// GitLab's number for its job.
        job: Option<u64>,
        /// GitLab's number for its pipeline.
        pipeline: Option<u64>,
    }
}

shape! {
    /// An approval that can still be used.
    OpenApproval {
        /// Its record.
        record: Pointer,
        /// The project that it is bound to.
        project: Option<u64>,
        /// The project's path, where its number is not known.
        path: Option<Line>,
        /// The service that it is bound to.
        service: Option<Name>,
        /// The environment that it is bound to.
        environment: Name,
        /// The commit that it is bound to.
        commit: CommitId,
        /// Who gave it.
        approver: Person,
        /// Until when it counts.
        expires_at: Option<Time>,
    }
}

shape! {
    /// A follow-up review that is owed.
    OpenReview {
        /// The record of the emergency.
        seq: u64,
        /// The record of its end, where that is another one.
        finish: Option<u64>,
        /// GitLab's number for the project.
        project: Option<u64>,
        /// The project's path, where its number is not known.
        path: Option<Line>,
        /// The service.
        service: Option<Name>,
        /// The environment.
        environment: Name,
        /// The version.
        version: Line,
        /// By when.
        due: Option<Time>,
        /// Who should do it.
        assignee: Option<Name>,
        /// Who ran the deployment, by login, else by name: nobody reviews their own.
        actor: Option<Line>,
    }
}

shape! {
    /// A record that somebody has to come back to.
    Mark {
        /// The record.
        seq: u64,
        /// The record of its start, where that is another one.
        start: Option<u64>,
        /// GitLab's number for the project.
        project: Option<u64>,
        /// The project's path, where its number is not known.
        path: Option<Line>,
        /// The service.
        service: Option<Name>,
        /// The environment.
        environment: Name,
        /// The version that was put back.
        version: Line,
        /// Since when.
        at: Time,
    }
}

shape! {
    /// A deployment or rollback in short.
    Recent {
        /// The newest record of it.
        seq: u64,
        /// Deployment or rollback.
        kind: Kind,
        /// GitLab's number for the project.
        project: Option<u64>,
        /// The project's path, where its number is not known.
        path: Option<Line>,
        /// The service.
        service: Option<Name>,
        /// The environment.
        environment: Name,
        /// The version.
        version: Line,
        /// How it stands.
        status: Status,
        /// When it began.
        started_at: Time,
        /// When it ended.
        finished_at: Option<Time>,
        /// Who ran it, by login, else by name.
        actor: Option<Line>,
        /// How the policy saw it.
        class: Option<ClassName>,
        /// Who approved it, likewise.
        approver: Option<Line>,
    }
}

shape! {
    /// What a job has recorded, so that a retried step is not recorded again.
    JobKey {
        /// The record.
        seq: u64,
        /// First 16 digits of the key's digest.
        key: Line,
    }
}

impl Pointer {
    /// A pointer at the record with this number and these bytes' digest.
    pub fn to(seq: u64, sha256: Digest) -> Self {
        Pointer { seq, sha256, newer: Default::default() }
    }
}
