//! Logs of any length, made by the code that appends, but into packs instead of a file for each object.

use chrono::Utc;
use deploy_record::core::record::{
    Changes, Commit, CommitId, Delivered, Digest, Environment, Id, Job, Kind, Line, Name, Person, Pointer, Policy, Project,
    Provenance, Record, Status, Strength, Text, Tier, Time,
};
use deploy_record::core::state::{PlaceKey, State};
use deploy_record::core::trust::line_to_add;
use deploy_record::recorder::commit;
use deploy_record::signer::Signer;
use deploy_record::store::LogStore;
use git2::{Buf, Mempack, Odb, Repository};
use ssh_key::PrivateKey;
use std::io::Write as _;
use std::path::Path;

/// How many records go into one pack before `git gc` makes one pack of all.
const RECORDS_IN_PACK: u64 = 5_000;

/// From one record to the next, in seconds: 100,000 of them take almost four years.
const STEP: i64 = 1_200;

const SERVICES: [&str; 2] = ["billing-api", "web"];
const ENVIRONMENTS: [(&str, Tier); 3] =
    [("production", Tier::Production), ("staging", Tier::Staging), ("production-us", Tier::Production)];
const PEOPLE: [(&str, u64); 4] = [("ann", 7), ("chen", 8), ("dana", 12), ("eli", 19)];

/// The keys of a log: the pipeline's, and that of a person who approves.
pub struct Keys {
    pub pipeline: Signer,
    pub chen: Signer,
}

impl Keys {
    pub fn new(pipeline: PrivateKey, chen: PrivateKey) -> Keys {
        let signer = |principal: &str, key| Signer::new(name(principal), "noreply@gitlab.example".to_owned(), key);
        Keys { pipeline: signer("ci:main", pipeline), chen: signer("chen", chen) }
    }

    /// The trust root that vouches for both.
    pub fn allowed_signers(&self) -> String {
        let line = |signer: &Signer| line_to_add(signer.principal().as_str(), &signer.public_key()) + "\n";
        line(&self.pipeline) + &line(&self.chen)
    }
}

/// Makes the branch `deploy-log` with so many records in a bare repository, packed as `git gc` packs.
pub fn make(repository: &Path, records: u64, keys: &Keys) {
    let packed = Repository::open(repository).expect("a repository");
    // what the objects have in common is for git to find; libgit2 takes this for the largest object that is compared with others
    let mut config = packed.config().expect("its configuration");
    config.set_i64("pack.deltaCacheSize", 1).expect("a setting");
    let odb = packed.odb().expect("its objects");
    let memory = odb.add_new_mempack_backend(1000).expect("objects in memory");
    let writing = Repository::open(repository).expect("a repository");
    writing.set_odb(&odb).expect("the same objects");
    let store = LogStore::of(writing, "deploy-log");

    let mut tip = None;
    let mut state = None;
    let mut plan =
        Plan { begin: Utc::now().timestamp() - i64::try_from(records + 3).expect("a small number") * STEP, ..Plan::default() };
    for seq in 1..=records {
        let record = plan.record(seq, state.as_ref());
        let signer = if record.signer.as_str() == "chen" { &keys.chen } else { &keys.pipeline };
        let (commit, after) = commit::write(&store, signer, &record, state, tip.as_ref()).expect("a commit");
        (tip, state) = (Some(commit), Some(after));
        if seq % RECORDS_IN_PACK == 0 || seq == records {
            write_pack(&packed, &odb, &memory);
        }
    }
    let tip = git2::Oid::from_str(tip.expect("at least one record").as_str()).expect("an id");
    packed.reference("refs/heads/deploy-log", tip, false, "made").expect("the branch");
    config.remove("pack.deltaCacheSize").expect("a setting");
}

fn write_pack(packed: &Repository, odb: &Odb, memory: &Mempack) {
    let mut pack = Buf::new();
    memory.dump(packed, &mut pack).expect("a pack");
    let mut writer = odb.packwriter().expect("a pack's file");
    writer.write_all(&pack).expect("a written pack");
    writer.commit().expect("a finished pack");
    memory.reset().expect("forgotten objects");
}

/// What happens, one record after the other: starts and outcomes in every service and environment, now and then a failure,
/// now and then an approval by a person.
#[derive(Default)]
struct Plan {
    begin: i64,
    started: Option<Record>,
    deployments: u64,
    is_approved: bool,
}

impl Plan {
    fn record(&mut self, seq: u64, state: Option<&State>) -> Record {
        let mut record = match self.started.take() {
            Some(start) => self.outcome(start),
            None if self.deployments % 50 == 49 && !self.is_approved => self.approval(),
            None => self.start(state),
        };
        record.log = state.map_or(Id::from_bits([7; 16]), |state| state.log.clone());
        record.seq = seq;
        record.prev = state.map_or(Digest::ZERO, |state| state.newest.sha256);
        record.prev_here = here(&record, state);
        record.id = Id::new(&digits(seq, "id")[..32]).expect("an id");
        record.recorded_at = self.time(seq, 0);
        if record.status == Some(Status::Running) {
            record.started_at = Some(self.time(seq, -2));
            self.started = Some(record.clone());
        }
        record.finished_at = record.finishes.map(|_| self.time(seq, -1));
        record.expires_at = (record.kind == Kind::Approval).then(|| self.time(seq, 7 * 24 * 60));
        record
    }

    fn outcome(&self, start: Record) -> Record {
        let failed = self.deployments.is_multiple_of(40);
        let finishes = Some(start.seq);
        Record { status: Some(if failed { Status::Failed } else { Status::Success }), finishes, ..start }
    }

    fn approval(&mut self) -> Record {
        self.is_approved = true;
        let (service, environment) = self.place();
        let commit = Commit { title: None, author: None, authored_at: None, branch: None, ..self.commit() };
        Record {
            signer: name("chen"),
            service: Some(service),
            project: Some(project()),
            environment: Some(environment),
            commit: Some(commit),
            approver: Some(person(1)),
            reason: Text::clean("card payments fail for some customers; agreed with the on-call engineer"),
            ..draft(Kind::Approval)
        }
    }

    fn start(&mut self, state: Option<&State>) -> Record {
        let (service, environment) = self.place();
        let number = self.deployments;
        let job = 40_000 + number * 3;
        let mut record = Record {
            service: Some(service),
            project: Some(project()),
            environment: Some(environment),
            version: line(&format!("{}.{}.{}", number / 900, number / 9 % 100, number % 9)),
            commit: Some(self.commit()),
            changes: Some(Changes {
                commits: Some(1 + number % 7),
                files: Some(2 + number % 23),
                authors: [number, number + 1].map(|number| person(number).name.expect("a name")).into(),
                tickets: line(&format!("PAY-{}", number / 3)).into_iter().collect(),
                ..Changes::default()
            }),
            actor: Some(person(number)),
            job: Some(Job {
                id: Some(job),
                name: line("deploy"),
                pipeline_id: Some(job / 2),
                source: line("push"),
                runner: line("shared-runner-3"),
                ..Job::default()
            }),
            status: Some(Status::Running),
            policy: Some(Policy {
                sha256: Digest::of(b"policy"),
                reference: line(&format!("main at {}", sha(number / 1000).short())).expect("a reference"),
                newer: Default::default(),
            }),
            provenance: Some(Provenance {
                actor: Some(Strength::Asserted),
                commit: Some(Strength::Observed),
                environment: Some(Strength::Asserted),
                job: Some(Strength::Asserted),
                status: Some(Strength::Observed),
                times: Some(Strength::Observed),
                ..Provenance::default()
            }),
            ..draft(Kind::Deployment)
        };
        let good = PlaceKey::of(&record).and_then(|key| state?.place(&key)?.good.first().cloned());
        record.previous = good.map(|good| Delivered { seq: good.seq, version: good.version, sha: good.sha, newer: good.newer });
        (self.deployments, self.is_approved) = (number + 1, false);
        record
    }

    fn place(&self) -> (Name, Environment) {
        let at = |list: usize, step: u64| usize::try_from(step).expect("a small number") % list;
        let service = SERVICES[at(SERVICES.len(), self.deployments)];
        let (environment, tier) = ENVIRONMENTS[at(ENVIRONMENTS.len(), self.deployments / 2)];
        (name(service), Environment { name: name(environment), tier, url: None, newer: Default::default() })
    }

    /// So many steps after the beginning, and so many minutes after that.
    fn time(&self, steps: u64, minutes: i64) -> Time {
        let steps = i64::try_from(steps).expect("a small number");
        Time::from_timestamp(self.begin + steps * STEP + minutes * 60).expect("a time")
    }

    fn commit(&self) -> Commit {
        let number = self.deployments;
        Commit {
            sha: sha(number),
            title: line(&format!("Round amounts half up in report {number}, not down")),
            author: person(number).name,
            authored_at: Some(self.time(number * 2, -4)),
            branch: line("main"),
            tag: None,
            newer: Default::default(),
        }
    }
}

fn draft(kind: Kind) -> Record {
    let draft = Record::draft(kind);
    Record { signer: name("ci:main"), tool: line("deploy-record 0.1.0").expect("a tool"), ..draft }
}

fn here(record: &Record, state: Option<&State>) -> Option<Pointer> {
    Some(state?.place(&PlaceKey::of(record)?)?.newest.clone())
}

fn project() -> Project {
    Project { id: Some(42), path: line("grp/app"), ..Project::default() }
}

fn person(number: u64) -> Person {
    let (login, id) = PEOPLE[usize::try_from(number).expect("a small number") % PEOPLE.len()];
    Person { login: Some(name(login)), id: Some(id), name: line(&format!("{login} of Acme")), ..Person::default() }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn line(text: &str) -> Option<Line> {
    Line::clean(text)
}

/// Hexadecimal digits that look random, and are the same in every run.
fn digits(number: u64, what: &str) -> String {
    let digest = Digest::of(format!("{what} {number}").as_bytes()).to_string();
    digest.trim_start_matches("sha256:").to_owned()
}

fn sha(number: u64) -> CommitId {
    CommitId::new(&digits(number, "commit")[..40]).expect("an id")
}
