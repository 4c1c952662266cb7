//! A log with a past: records of any kind, by several people, at times of the test's own.

use super::env::{Output, TestEnv};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use deploy_record::core::log::entry::{ATTRIBUTES, FILES, Trust};
use deploy_record::core::log::late::Claim;
use deploy_record::core::log::message;
use deploy_record::core::record::shape::FieldType as _;
use deploy_record::core::record::{
    Base64, Changes, Commit, CommitId, Digest, Environment, Kind, Late, Line, Name, Person, Project, Provenance, Record,
    Rollback, Status, Text, Tier, Time, json,
};
use deploy_record::core::redact::Redactor;
use deploy_record::core::seal::{self, NAMESPACE_RECORD, NAMESPACE_SPOOL};
use deploy_record::core::state::{PlaceKey, State};
use deploy_record::core::trust::{AllowedSigners, line_to_add};
use deploy_record::http::Deadline;
use deploy_record::recorder::{Appended, Draft, Recorder, commit, random_id};
use deploy_record::signer::Signer;
use deploy_record::spool::Spool;
use deploy_record::store::{Depth, LogStore, NewCommit};
use ssh_key::{LineEnding, PrivateKey};
use std::time::Duration;

/// A local log to which `ci:main`, `chen` and `dana` may write; nobody else uses its clock.
pub struct PastLog {
    pub env: TestEnv,
    pub now: DateTime<Utc>,
    store: LogStore,
    trust: Trust,
}

const SEEDS: [(&str, u8); 3] = [("ci:main", 1), ("chen", 2), ("dana", 3)];

fn key(principal: &str) -> PrivateKey {
    let (_, seed) = SEEDS.into_iter().find(|(name, _)| *name == principal).expect("a signer");
    PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]))
}

fn signer(principal: &str) -> Signer {
    Signer::new(name(principal), "noreply@acme.example".to_owned(), key(principal))
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// The commit of this version.
pub fn sha(version: &str) -> CommitId {
    CommitId::new(&Digest::of(version.as_bytes()).to_string()["sha256:".len()..][..40]).expect("a commit")
}

pub fn text(text: &str) -> Option<Text> {
    Text::clean(text)
}

pub fn person(login: &str) -> Option<Person> {
    Some(Person { login: Some(name(login)), ..Person::default() })
}

pub fn environment(text: &str) -> Option<Environment> {
    Some(Environment { name: name(text), tier: Tier::Production, url: None, newer: Default::default() })
}

impl PastLog {
    pub fn new() -> Self {
        let env = TestEnv::new();
        let store = LogStore::local(&env.path(), "deploy-log").expect("a repository");
        let lines: Vec<_> = SEEDS.iter().map(|(name, _)| line_to_add(name, key(name).public_key())).collect();
        let signers = AllowedSigners::parse(&lines.join("\n")).expect("a trust root");
        std::fs::create_dir_all(env.path().join(".deploy-record")).expect("a folder");
        std::fs::write(env.path().join(".deploy-record/allowed_signers"), lines.join("\n")).expect("a trust root");
        env.git(&["add", ".deploy-record"]);
        env.commit("Trust them");
        // whole seconds, as the records have them
        let now = DateTime::from_timestamp(Utc::now().timestamp(), 0).expect("a time");
        PastLog { env, now, store, trust: Trust { signers: Some(signers), ..Trust::default() } }
    }

    /// So many minutes ago.
    pub fn ago(&self, minutes: i64) -> Time {
        Time::new(self.now - TimeDelta::minutes(minutes))
    }

    /// The path of that signer's key.
    pub fn key_of(&self, principal: &str) -> String {
        let path = self.env.beside(&principal.replace(':', "-"));
        let text = key(principal).to_openssh(LineEnding::LF).expect("a key");
        std::fs::write(&path, text.as_bytes()).expect("a key");
        let path = path.display().to_string();
        self.env.run(std::ffi::OsStr::new("chmod"), &["600", &path], b"");
        path
    }

    /// A deployment that began so many minutes ago and runs.
    pub fn start(&self, place: &str, version: &str, began: i64) -> Record {
        let mut record = Record::draft(Kind::Deployment);
        record.environment = environment(place);
        record.project = Some(Project { id: Some(42), path: Line::clean("grp/app"), ..Project::default() });
        record.version = Line::clean(version);
        record.commit = Some(Commit {
            sha: sha(version),
            title: None,
            author: None,
            authored_at: None,
            branch: None,
            tag: None,
            newer: Default::default(),
        });
        record.status = Some(Status::Running);
        record.started_at = Some(self.ago(began));
        record.provenance = Some(Provenance::default());
        record
    }

    /// A deployment that ended at once.
    pub fn done(&self, place: &str, version: &str, status: Status, at: i64) -> Record {
        let mut record = self.start(place, version, at);
        (record.status, record.finished_at) = (Some(status), Some(self.ago(at)));
        record
    }

    /// The end of such a start.
    pub fn end(&self, start: u64, of: &Record, status: Status, ended: i64) -> Record {
        let mut record = of.clone();
        (record.status, record.finishes) = (Some(status), Some(start));
        record.finished_at = Some(self.ago(ended));
        record
    }

    pub fn rollback(&self, place: &str, version: &str, reason: Option<&str>, at: i64) -> Record {
        let mut record = self.done(place, version, Status::Success, at);
        record.kind = Kind::Rollback;
        let reason_missing = reason.is_none().then_some(true);
        record.rollback = Some(Rollback { reason: reason.and_then(Text::clean), reason_missing, ..Rollback::default() });
        record
    }

    pub fn with_tickets(mut record: Record, tickets: &[&str]) -> Record {
        let tickets = tickets.iter().filter_map(|ticket| Line::clean(ticket)).collect();
        record.changes = Some(Changes { tickets, ..Changes::default() });
        record
    }

    /// Appends it as this signer, recorded so many minutes ago; its number.
    pub fn append_as(&self, principal: &str, recorded: i64, record: Record) -> u64 {
        let (signer, redactor) = (signer(principal), Redactor::new([], &[]));
        let recorder = Recorder {
            store: &self.store,
            trust: &self.trust,
            signer: &signer,
            redactor: &redactor,
            newest_seen: None,
            now: Box::new(move || self.ago(recorded).utc()),
            on_retry: Box::new(|_| {}),
        };
        let id = random_id().expect("an id");
        match recorder.append(&id, deadline(), &mut |_| Ok(Draft(record.clone()))).expect("appended") {
            Appended::New(receipt) => receipt.record.seq,
            Appended::Already(seq) => panic!("already record {seq}"),
        }
    }

    pub fn append(&self, recorded: i64, record: Record) -> u64 {
        self.append_as("ci:main", recorded, record)
    }

    /// Appends what waited in a spool since then.
    pub fn append_late(&self, claimed: i64, recorded: i64, mut record: Record) -> u64 {
        (record.signer, record.recorded_at) = (name("ci:main"), self.ago(claimed));
        record.id = random_id().expect("an id");
        let mut claim = record.write();
        let fields = claim.as_object_mut().expect("an object");
        ["log", "seq", "prev", "prev_here"].iter().for_each(|name| drop(fields.shift_remove(*name)));
        let claim = json::write_pretty(&claim);
        record.late = Some(Late {
            at: self.ago(claimed),
            signer: name("ci:main"),
            claim: Base64::new(STANDARD.encode(&claim)).expect("base64"),
            sig: Text::new(seal::sign(&key("ci:main"), NAMESPACE_SPOOL, &claim).expect("signed")).expect("a text"),
            newer: Default::default(),
        });
        self.forge(recorded, record)
    }

    /// Appends a record as `ci:main`, whatever the rules of appending are.
    pub fn forge(&self, recorded: i64, record: Record) -> u64 {
        self.forge_with(recorded, record, |_| {})
    }

    /// The same, and changes its place in the log.
    pub fn forge_with(&self, recorded: i64, record: Record, change: impl FnOnce(&mut Record)) -> u64 {
        let (tip, before) = self.tip();
        self.forge_on(&tip, before, "ci:main", recorded, record, change).newest.seq
    }

    /// The newest commit, and the state after it.
    pub fn tip(&self) -> (CommitId, State) {
        let tip = self.store.fetch(Depth::Commits(1), deadline()).expect("a fetch").expect("a tip");
        let state = State::parse(&self.store.read_state(&tip).expect("a state")).expect("a state");
        (tip, state)
    }

    /// Puts a record on this commit, which is the branch's newest, as the one that follows that state; gives the state after it.
    pub fn forge_on(
        &self,
        parent: &CommitId,
        before: State,
        principal: &str,
        recorded: i64,
        mut record: Record,
        change: impl FnOnce(&mut Record),
    ) -> State {
        let signer = signer(principal);
        self.place(&mut record, Some(&before), principal, recorded);
        change(&mut record);
        let bytes = record.to_bytes();
        let digest = Digest::of(&bytes);
        let signature = signer.sign(NAMESPACE_RECORD, &bytes).expect("a signature");
        let after = State::after(Some(before), &record, digest);
        let state = after.to_bytes();
        let message = message::compose(&record, digest, Digest::of(&state));
        let contents: [&[u8]; 5] = [ATTRIBUTES, b"page", &bytes, signature.as_bytes(), &state];
        let new = NewCommit {
            files: FILES.into_iter().zip(contents).collect(),
            message: &message,
            name: signer.principal().as_str(),
            email: "noreply@acme.example",
            time: record.recorded_at.utc().timestamp(),
        };
        let commit = self.store.write(&new, Some(parent), &|payload| signer.sign("git", payload)).expect("a commit");
        self.store.publish(&commit, Some(parent), deadline()).expect("published");
        after
    }

    /// Appends many as `ci:main`, each with the minutes since it was recorded, without a look at the log in between.
    pub fn append_all(&self, records: impl IntoIterator<Item = (i64, Record)>) {
        let base = self.store.fetch(Depth::Commits(1), deadline()).expect("a fetch").map(|_| self.tip());
        let (base, mut state) = base.unzip();
        let (mut tip, signer) = (base.clone(), signer("ci:main"));
        for (recorded, mut record) in records {
            self.place(&mut record, state.as_ref(), "ci:main", recorded);
            let (commit, after) = commit::write(&self.store, &signer, &record, state, tip.as_ref()).expect("a commit");
            (tip, state) = (Some(commit), Some(after));
        }
        self.store.publish(&tip.expect("a record"), base.as_ref(), deadline()).expect("published");
    }

    /// Gives a record its place in the log, after this state.
    fn place(&self, record: &mut Record, before: Option<&State>, principal: &str, recorded: i64) {
        record.log = before.map_or_else(|| random_id().expect("an id"), |before| before.log.clone());
        record.seq = before.map_or(1, |before| before.newest.seq + 1);
        record.prev = before.map_or(Digest::ZERO, |before| before.newest.sha256);
        record.prev_here = before.and_then(|before| Some(before.place(&PlaceKey::of(record)?)?.newest.clone()));
        if record.late.is_none() {
            record.id = random_id().expect("an id");
        }
        record.recorded_at = self.ago(recorded);
        record.signer = name(principal);
    }

    /// Puts a claim of `ci:main`'s into the spool, made so many minutes ago.
    pub fn spool(&self, made: i64, mut record: Record) {
        (record.signer, record.recorded_at) = (name("ci:main"), self.ago(made));
        record.id = random_id().expect("an id");
        let claim = Claim::bytes_of(&record);
        let signature = seal::sign(&key("ci:main"), NAMESPACE_SPOOL, &claim).expect("signed");
        let spool = Spool::at(self.env.path().join(".git/deploy-record/spool"));
        spool.put(record.id.as_str(), &claim, &signature).expect("spooled");
    }

    /// Runs the program as `ci:main`.
    pub fn run_as_pipeline(&self, arguments: &[&str]) -> Output {
        self.run(&[arguments, &["--key", &self.key_of("ci:main"), "--principal", "ci:main"]].concat())
    }

    /// Runs the program, and takes a table that it gives apart: the cells of the CSV form, without the header.
    #[track_caller]
    pub fn cells(&self, arguments: &[&str]) -> Vec<Vec<String>> {
        let output = self.run(&[arguments, &["--format", "csv"]].concat());
        output.expect(0);
        parse_csv(&output.stdout).into_iter().skip(1).collect()
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.env.deploy_record(arguments)
    }
}

/// Lines and cells of CSV (RFC 4180).
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut is_quoted) = (vec![vec![String::new()]], false);
    for character in text.chars() {
        let line = lines.last_mut().expect("a line");
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => line.push(String::new()),
            '\n' if !is_quoted => lines.push(vec![String::new()]),
            '\r' => {}
            other => line.last_mut().expect("a cell").push(other),
        }
    }
    lines.pop();
    lines
}
