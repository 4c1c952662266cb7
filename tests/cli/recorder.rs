//! The use case itself, with a clock and a signer of the test's own, on a real repository.

use crate::support::env::TestEnv;
use crate::support::git_server::GitServer;
use chrono::{DateTime, TimeDelta, Utc};
use deploy_record::core::finding::Code;
use deploy_record::core::log::entry::{ATTRIBUTES, FILES, Trust};
use deploy_record::core::log::late::Claim;
use deploy_record::core::log::message;
use deploy_record::core::record::{Digest, Environment, Id, Kind, Line, Name, Pointer, Provenance, Record, Status, Tier, Time};
use deploy_record::core::redact::Redactor;
use deploy_record::core::seal::{NAMESPACE_RECORD, NAMESPACE_SPOOL};
use deploy_record::core::state::State;
use deploy_record::core::trust::{AllowedSigners, line_to_add};
use deploy_record::http::Deadline;
use deploy_record::recorder::{Appended, Draft, Receipt, RecordError, Recorder, Search, random_id};
use deploy_record::signer::Signer;
use deploy_record::store::{LogStore, NewCommit};
use ssh_key::PrivateKey;
use std::time::Duration;

/// A local log that `ci:main` and `chen` may write to.
struct Log {
    env: TestEnv,
    store: LogStore,
    trust: Trust,
}

fn signer(principal: &str, seed: u8) -> Signer {
    let key = PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]));
    Signer::new(Name::new(principal).expect("a name"), "noreply@acme.example".to_owned(), key)
}

fn pipeline() -> Signer {
    signer("ci:main", 1)
}

fn chen() -> Signer {
    signer("chen", 2)
}

fn delivery(version: &str) -> Record {
    let mut record = Record::draft(Kind::Deployment);
    record.environment = Some(Environment {
        name: Name::new("production").expect("a name"),
        tier: Tier::Production,
        url: None,
        newer: Default::default(),
    });
    record.version = Line::clean(version);
    record.status = Some(Status::Failed);
    (record.started_at, record.finished_at) = (Some(time(0)), Some(time(0)));
    record.provenance = Some(Provenance::default());
    record
}

fn time(seconds: i64) -> Time {
    Time::from_timestamp(1_795_000_000 + seconds).expect("a time")
}

impl Log {
    fn new() -> Self {
        let env = TestEnv::new();
        let store = LogStore::local(&env.path(), "deploy-log").expect("a repository");
        let lines = [pipeline(), chen()].map(|signer| line_to_add(signer.principal().as_str(), &signer.public_key()));
        let signers = AllowedSigners::parse(&lines.join("\n")).expect("a trust root");
        Log { env, store, trust: Trust { signers: Some(signers), ..Trust::default() } }
    }

    fn recorder<'a>(&'a self, signer: &'a Signer, redactor: &'a Redactor, seconds: i64) -> Recorder<'a> {
        Recorder {
            store: &self.store,
            trust: &self.trust,
            signer,
            redactor,
            newest_seen: None,
            now: Box::new(move || time(seconds).utc()),
            on_retry: Box::new(|_| {}),
        }
    }

    fn append_at(&self, signer: &Signer, version: &str, seconds: i64) -> Result<Box<Receipt>, RecordError> {
        let redactor = Redactor::new([], &[]);
        let recorder = self.recorder(signer, &redactor, seconds);
        let id = random_id().expect("an id");
        let deadline = Deadline::after(Duration::from_secs(5));
        match recorder.append(&id, deadline, &mut |_| Ok(Draft(delivery(version))))? {
            Appended::New(receipt) => Ok(receipt),
            Appended::Already(seq) => panic!("already record {seq}"),
        }
    }

    fn append(&self, signer: &Signer, version: &str) -> Result<Box<Receipt>, RecordError> {
        self.append_at(signer, version, 0)
    }

    /// Puts a record on the tip as this signer wants it, whatever the rules are.
    fn forge(&self, signer: &Signer, change: impl FnOnce(&mut Record)) {
        let tip = self.store.fetch(deploy_record::store::Depth::Commits(1), Deadline::after(Duration::from_secs(5)));
        let tip = tip.expect("a fetch").expect("a tip");
        let before = State::parse(&self.store.read_state(&tip).expect("a state")).expect("a state");
        let mut record = delivery("forged");
        record.log = before.log.clone();
        (record.seq, record.prev) = (before.newest.seq + 1, before.newest.sha256);
        record.prev_here = before.places.last().map(|place| place.newest.clone());
        record.id = Id::from_bits([9; 16]);
        record.recorded_at = time(0);
        record.signer = signer.principal().clone();
        change(&mut record);
        let bytes = record.to_bytes();
        let digest = Digest::of(&bytes);
        let signature = signer.sign(NAMESPACE_RECORD, &bytes).expect("a signature");
        let state = State::after(Some(before), &record, digest).to_bytes();
        let message = message::compose(&record, digest, Digest::of(&state));
        let contents: [&[u8]; 5] = [ATTRIBUTES, b"page", &bytes, signature.as_bytes(), &state];
        let new = NewCommit {
            files: FILES.into_iter().zip(contents).collect(),
            message: &message,
            name: signer.principal().as_str(),
            email: "noreply@acme.example",
            time: time(0).utc().timestamp(),
        };
        let commit = self.store.write(&new, Some(&tip), &|payload| signer.sign("git", payload)).expect("a commit");
        self.store.publish(&commit, Some(&tip), Deadline::after(Duration::from_secs(5))).expect("published");
    }

    #[track_caller]
    fn refuses(&self, code: Code) {
        match self.append(&pipeline(), "next") {
            Err(RecordError::Damaged { findings, .. }) => {
                assert!(findings.iter().any(|finding| finding.code == code), "expected {code}, found {findings:#?}");
            }
            other => panic!("expected {code}, found {other:?}"),
        }
    }
}

#[test]
fn a_clock_may_be_five_minutes_behind_the_newest_record_and_no_more() {
    let log = Log::new();
    log.append_at(&pipeline(), "1", 300).expect("recorded");
    let behind = log.append_at(&pipeline(), "2", 0).expect("recorded");
    assert_eq!(behind.record.recorded_at, time(300));
    match log.append_at(&pipeline(), "3", -1) {
        Err(RecordError::Behind { seq: 2, at, now, .. }) => assert_eq!((at, now), (time(300), time(-1))),
        other => panic!("{other:?}"),
    }
    let dates = log.env.git(&["log", "--format=%ct", "deploy-log"]);
    let dates: Vec<_> = dates.lines().collect();
    assert_eq!(dates[0], dates[1], "no commit is older than its parent");
}

#[test]
fn a_commit_is_never_older_than_its_parent_whatever_its_record_says() {
    let log = Log::new();
    log.append(&pipeline(), "1").expect("recorded");
    log.env.git(&["checkout", "--quiet", "--orphan", "elsewhere"]);
    let parent = log.env.git(&["rev-parse", "deploy-log"]);
    let new = NewCommit { files: Vec::new(), message: "x", name: "x", email: "x@acme.example", time: 5 };
    let parent_id = deploy_record::core::record::CommitId::new(parent.as_str()).expect("an id");
    let commit = log.store.write(&new, Some(&parent_id), &|payload| pipeline().sign("git", payload)).expect("a commit");
    let date = |commit: &str| log.env.git(&["log", "-1", "--format=%ct", commit]);
    assert_eq!(date(commit.as_str()), date(&parent));
}

#[test]
fn the_servers_clock_counts_in_a_job() {
    let server = GitServer::http();
    let env = TestEnv::gitlab_job(&server);
    let record = ["record", "-e", "production", "--version", "1", "--status", "success"];
    for seconds in [-3600, 3600] {
        server.set_clock_offset(seconds);
        env.deploy_record(&record).expect(3).says("the clock is wrong").says("set the machine's clock");
    }
    server.set_clock_offset(200);
    env.deploy_record(&record).expect(0);
}

#[test]
fn a_persons_tip_is_held_against_the_records_before_it() {
    let log = Log::new();
    log.append(&pipeline(), "1").expect("recorded");
    log.append(&chen(), "2").expect("recorded");
    log.append(&chen(), "3").expect("recorded");
    log.append(&pipeline(), "4").expect("recorded");

    let forged = |change: fn(&mut Record)| {
        let log = Log::new();
        log.append(&pipeline(), "1").expect("recorded");
        log.forge(&chen(), change);
        log
    };
    forged(|_| {}).append(&pipeline(), "next").expect("a sound one is gone on with");
    forged(|record| record.seq = 50).refuses(Code::Sequence);
    forged(|record| record.prev = Digest::of(b"junk")).refuses(Code::PreviousRecord);
    forged(|record| record.log = Id::from_bits([7; 16])).refuses(Code::State);
}

#[test]
fn a_key_that_was_revoked_hides_behind_no_number() {
    let mut log = Log::new();
    for version in ["1", "2", "3"] {
        log.append(&pipeline(), version).expect("recorded");
    }
    let fingerprint = deploy_record::core::seal::fingerprint(&pipeline().public_key());
    log.trust.revocations = vec![deploy_record::core::trust::Revocation { fingerprint, after: 3 }];
    log.forge(&pipeline(), |record| (record.seq, record.prev_here) = (2, None));
    match log.append(&chen(), "next") {
        Err(RecordError::Damaged { findings, .. }) => {
            let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
            assert!(codes.contains(&Code::Sequence) && codes.contains(&Code::SignerRevoked), "{codes:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_key_signed_before_it_was_revoked_is_gone_on_with_by_another() {
    let mut log = Log::new();
    for version in ["1", "2", "3"] {
        log.append(&pipeline(), version).expect("recorded");
    }
    let fingerprint = deploy_record::core::seal::fingerprint(&pipeline().public_key());
    log.trust.revocations = vec![deploy_record::core::trust::Revocation { fingerprint, after: 3 }];
    assert!(matches!(log.append(&pipeline(), "4"), Err(RecordError::NotTrusted { .. })));
    let receipt = log.append(&chen(), "4").expect("recorded");
    assert_eq!(receipt.record.seq, 4);
    assert_eq!(receipt.record.prev_here.as_ref().map(|pointer: &Pointer| pointer.seq), Some(3));
}

#[test]
fn a_key_must_be_valid_at_the_time_that_the_record_will_have() {
    let mut log = Log::new();
    let line = line_to_add("ci:main", &pipeline().public_key());
    let end = (time(0).utc() as DateTime<Utc> + TimeDelta::seconds(60)).format("valid-before=\"%Y%m%d%H%M%SZ\"").to_string();
    let short = line.replace(" ssh-", &format!(",{end} ssh-"));
    log.append_at(&pipeline(), "1", 120).expect("recorded");
    log.trust.signers = AllowedSigners::parse(&short).ok();
    // now the key is valid, but the record takes its predecessor's time, when it is not any more
    let refused = log.append_at(&pipeline(), "2", 30);
    assert!(matches!(refused, Err(RecordError::NotTrusted { .. } | RecordError::Damaged { .. })), "{refused:?}");
}

#[test]
fn what_a_search_saw_does_not_count_once_the_log_was_rewound() {
    let log = Log::new();
    log.append(&pipeline(), "1").expect("recorded");
    let mut waits = delivery("2");
    (waits.id, waits.signer, waits.recorded_at) = (Id::from_bits([5; 16]), pipeline().principal().clone(), time(0));
    let bytes = Claim::bytes_of(&waits);
    let signature = pipeline().sign(NAMESPACE_SPOOL, &bytes).expect("a signature");
    let claim = Claim::open(&bytes, &signature, &log.trust).expect("a claim");
    let (signer, redactor, mut search) = (pipeline(), Redactor::new([], &[]), Search::default());
    let recorder = log.recorder(&signer, &redactor, 0);
    let mut replay = || recorder.replay_after(&mut search, &claim, Deadline::after(Duration::from_secs(5))).expect("replayed");
    assert!(matches!(replay(), Appended::New(receipt) if receipt.record.seq == 2));
    assert!(matches!(replay(), Appended::Already(2)));
    log.env.git(&["update-ref", "refs/heads/deploy-log", "deploy-log~1"]);
    log.append(&pipeline(), "3").expect("recorded");
    assert!(matches!(replay(), Appended::New(receipt) if receipt.record.seq == 3));
}
