//! Whole logs in memory: sound ones verify, and whatever is changed in one is found and named.

use super::*;
use crate::core::log::entry::{ATTRIBUTES, FILES, File, blob_id};
use crate::core::log::message;
use crate::core::record::tests::example;
use crate::core::record::{Approval, Line, Name, Person, Strength};
use crate::core::seal;
use crate::core::trust::{AllowedSigners, Revocation, line_to_add};
use proptest::prelude::*;
use ssh_key::PrivateKey;

const PIPELINE: u8 = 1;
const CHEN: u8 = 2;
const STRANGER: u8 = 3;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]))
}

fn trust_root(lines: &str) -> Trust {
    Trust { signers: Some(AllowedSigners::parse(lines).expect("trust root")), ..Trust::default() }
}

fn trust() -> Trust {
    let lines = [("ci:main", PIPELINE), ("chen", CHEN)].map(|(name, seed)| line_to_add(name, key(seed).public_key()));
    trust_root(&lines.join("\n"))
}

/// A log that is being written, as the recorder writes it.
struct Writer {
    log: Id,
    seed: u8,
    state: Option<State>,
    entries: Vec<RawEntry>,
    states: Vec<Vec<u8>>,
}

impl Writer {
    fn new(log: u8) -> Self {
        Writer { log: Id::from_bits([log; 16]), seed: PIPELINE, state: None, entries: Vec::new(), states: Vec::new() }
    }

    /// Appends a record; `change` has the last word on it.
    fn add(&mut self, mut record: Record, change: impl FnOnce(&mut Record)) -> u64 {
        let newest = self.state.as_ref().map(|state| state.newest.clone());
        record.log = self.log.clone();
        record.seq = newest.as_ref().map_or(1, |newest| newest.seq + 1);
        record.prev = newest.map_or(Digest::ZERO, |newest| newest.sha256);
        record.prev_here =
            PlaceKey::of(&record).and_then(|key| self.state.as_ref()?.place(&key).map(|place| place.newest.clone()));
        record.id = Id::from_bits([u8::try_from(record.seq).expect("a short log"); 16]);
        change(&mut record);
        let bytes = record.to_bytes();
        let signature = seal::sign(&key(self.seed), seal::NAMESPACE_RECORD, &bytes).expect("signed");
        let digest = Digest::of(&bytes);
        let state = State::after(self.state.take(), &record, digest);
        self.push(&record, bytes, signature, state.to_bytes());
        self.state = Some(state);
        record.seq
    }

    fn push(&mut self, record: &Record, bytes: Vec<u8>, signature: String, state: Vec<u8>) {
        let message = message::compose(record, Digest::of(&bytes), Digest::of(&state));
        let contents: [&[u8]; 5] = [ATTRIBUTES, b"page", &bytes, signature.as_bytes(), &state];
        let file = |(name, content): (&str, &[u8])| File { name: name.to_owned(), mode: 0o100_644, blob: blob_id(content) };
        let files = FILES.into_iter().zip(contents).map(file).collect();
        let commit = CommitId::new(blob_id(message.as_bytes())).expect("an id");
        let parents = self.entries.last().map(|entry| entry.commit.clone()).into_iter().collect();
        self.entries.push(RawEntry {
            commit,
            parents,
            files,
            message,
            record_size: bytes.len(),
            record: bytes,
            signature: signature.into_bytes(),
        });
        self.states.push(state);
    }

    fn delivery(&mut self, version: &str, status: Status, finishes: Option<u64>) -> u64 {
        self.add(delivery(version, status, finishes), |_| {})
    }
}

fn delivery(version: &str, status: Status, finishes: Option<u64>) -> Record {
    let mut record = example(Kind::Deployment);
    (record.finishes, record.status, record.follow_up) = (finishes, Some(status), None);
    (record.version, record.finishes_id, record.approval) = (Line::clean(version), None, None);
    if status == Status::Running {
        record.finished_at = None;
    }
    record
}

/// Eight records: three deployments of two records, an approval by a person, and one deployment of one record.
fn log(id: u8) -> Writer {
    let mut log = Writer::new(id);
    for version in ["1", "2", "3"] {
        let start = log.delivery(version, Status::Running, None);
        log.delivery(version, Status::Success, Some(start));
    }
    log.seed = CHEN;
    log.add(example(Kind::Approval), |record| record.signer = Name::new("chen").expect("name"));
    log.seed = PIPELINE;
    log.delivery("4", Status::Failed, None);
    log
}

fn verify(log: &Writer, trust: &Trust, checkpoints: &[Checkpoint]) -> Report {
    verify_over(log, trust, checkpoints, &[])
}

/// As [`verify`], where a recovery went on over the commits of these places, counted from 0.
fn verify_over(log: &Writer, trust: &Trust, checkpoints: &[Checkpoint], passed: &[usize]) -> Report {
    let passed = passed.iter().map(|index| (log.entries[*index].commit.clone(), 99)).collect();
    let mut verifier = Verifier::new(trust, checkpoints).passing_over(passed);
    for ((entry, state), place) in log.entries.iter().zip(&log.states).zip(1..) {
        let examined = Examined::new(entry.clone(), CommitCheck::Skip, trust, place);
        verifier.add(examined, &|| Some(state.clone()));
    }
    verifier.finish(checkpoints)
}

fn codes(report: &Report) -> Vec<(Code, Option<u64>)> {
    report.findings.iter().map(|finding| (finding.code, finding.seq)).collect()
}

#[track_caller]
fn finds(log: &Writer, trust: &Trust, code: Code, seq: u64) {
    let report = verify(log, trust, &[]);
    assert!(codes(&report).contains(&(code, Some(seq))), "expected {code} in record {seq}, found {:#?}", report.findings);
}

#[test]
fn a_sound_log_verifies() {
    let report = verify(&log(1), &trust(), &[]);
    assert_eq!(codes(&report), []);
    assert_eq!((report.commits, report.verified, report.signers.len()), (8, 8, 2));
    let report = verify(&log(1), &Trust::default(), &[]);
    assert_eq!((report.errors(), report.has_trust_root), (0, false));
}

#[test]
fn who_may_not_sign_is_named() {
    let mut stranger = log(1);
    stranger.seed = STRANGER;
    let seq = stranger.delivery("5", Status::Failed, None);
    finds(&stranger, &trust(), Code::SignerUnknown, seq);

    let mut other = log(1);
    other.seed = CHEN;
    let seq = other.delivery("5", Status::Failed, None);
    finds(&other, &trust(), Code::SignerOther, seq);

    let [pipeline, chen] = [PIPELINE, CHEN].map(|seed| key(seed).public_key().clone());
    let until = |time: &str| {
        let line = line_to_add("ci:main", &pipeline).replace(" ssh-", &format!(",{time} ssh-"));
        trust_root(&format!("{line}\n{}", line_to_add("chen", &chen)))
    };
    finds(&log(1), &until("valid-before=\"20261120140510Z\""), Code::SignerNotValid, 1);
    finds(&log(1), &until("valid-after=\"20261120140512Z\""), Code::SignerNotValid, 1);
    assert_eq!(verify(&log(1), &until("valid-before=\"20261120140511Z\""), &[]).errors(), 0);
}

#[test]
fn a_revoked_key_counts_by_the_place_and_not_by_what_it_says() {
    let revoked = Revocation { fingerprint: seal::fingerprint(key(PIPELINE).public_key()), after: 6 };
    let trust = Trust { revocations: vec![revoked], ..trust() };
    assert_eq!(codes(&verify(&log(1), &trust, &[])), [(Code::SignerRevoked, Some(8))]);
    let mut hiding = log(1);
    hiding.add(delivery("5", Status::Failed, None), |record| (record.seq, record.prev_here) = (2, None));
    let report = verify(&hiding, &trust, &[]);
    assert!(codes(&report).contains(&(Code::SignerRevoked, Some(2))), "{:#?}", report.findings);
}

#[test]
fn only_the_person_or_a_proven_pipeline_signs_for_a_person() {
    let approved_by = |login: &str, strength: Option<Strength>| {
        let mut log = log(1);
        log.add(example(Kind::Approval), |record| {
            record.approver = Some(Person { login: Name::new(login).ok(), ..Person::default() });
            record.provenance.as_mut().expect("provenance").approval = strength;
        });
        verify(&log, &trust(), &[])
    };
    assert_eq!(approved_by("chen", Some(Strength::Fetched)).errors(), 0);
    for (login, strength) in
        [("chen", None), ("chen", Some(Strength::Asserted)), ("chen", Some(Strength::Observed)), ("ci:main", None)]
    {
        assert_eq!(codes(&approved_by(login, strength)), [(Code::SignerRole, Some(9))], "{login} {strength:?}");
    }
}

#[test]
fn an_approval_that_a_record_names_is_in_the_log() {
    type Change = fn(&mut Approval);
    let cases: [(&str, bool, Change); 6] = [
        ("it", true, |_| {}),
        ("another number", false, |approval| approval.seq = Some(1)),
        ("another digest", false, |approval| approval.sha256 = Some(Digest::ZERO)),
        ("another person", false, |approval| approval.approver.login = Name::new("dana").ok()),
        ("no number", false, |approval| approval.seq = None),
        ("a kind that is not here", true, |approval| (approval.source, approval.seq) = (ApprovalSource::Claimed, None)),
    ];
    for (what, is_sound, change) in cases {
        let mut log = log(1);
        let given = example(Kind::Approval);
        let by = given.approver.clone();
        let seq = log.add(given, |_| {});
        let mut record = delivery("4", Status::Success, None);
        let mut approval = example(Kind::Deployment).approval.expect("an approval");
        (approval.seq, approval.sha256) = (Some(seq), log.state.as_ref().map(|state| state.newest.sha256));
        approval.approver = by.expect("an approver");
        change(&mut approval);
        record.approval = Some(approval);
        log.add(record, |_| {});
        let found = codes(&verify(&log, &trust(), &[])).iter().any(|(code, _)| *code == Code::ApprovalUnfounded);
        assert_eq!(found, !is_sound, "{what}");
    }
}

#[test]
fn a_finish_closes_its_own_start_once() {
    type Change = fn(&mut Record);
    let cases: [(&str, Code, Change); 6] = [
        ("another version", Code::FinishUnpaired, |record| record.version = Line::clean("9")),
        ("another time", Code::FinishUnpaired, |record| record.started_at = "2026-11-20T14:00:00Z".parse().ok()),
        ("another service", Code::FinishUnpaired, |record| record.service = None),
        ("no start", Code::FinishUnpaired, |record| record.finishes = Some(8)),
        ("a closed start", Code::FinishTwice, |record| record.finishes = Some(1)),
        ("the id of another", Code::FinishUnpaired, |record| record.finishes_id = Some(Id::from_bits([3; 16]))),
    ];
    for (what, code, change) in cases {
        let mut log = log(1);
        let start = log.delivery("1", Status::Running, None);
        let mut record = delivery("1", Status::Success, Some(start));
        change(&mut record);
        log.add(record, |_| {});
        let report = verify(&log, &trust(), &[]);
        assert!(codes(&report).contains(&(code, Some(10))), "{what}: {:#?}", report.findings);
    }
}

#[test]
fn what_is_open_and_what_overlaps_is_told_once() {
    let mut log = log(1);
    for version in ["5", "6", "7"] {
        let start = log.delivery(version, Status::Running, None);
        if version != "5" {
            log.delivery(version, Status::Success, Some(start));
        }
    }
    let report = verify(&log, &trust(), &[]);
    assert_eq!(codes(&report), [(Code::Overlap, Some(10)), (Code::UnknownOutcome, Some(9))]);
    assert_eq!(report.errors(), 0);
}

#[test]
fn checkpoints_hold_or_show_what_is_missing() {
    let whole = log(1);
    let checkpoint =
        |seq: usize| Checkpoint { log: whole.log.clone(), seq: seq as u64, sha256: Digest::of(&whole.entries[seq - 1].record) };
    let held = verify(&whole, &trust(), &[checkpoint(3), checkpoint(8)]);
    assert_eq!((held.errors(), held.held.len()), (0, 2));
    let mut edited = log(1);
    let text = String::from_utf8(edited.entries[1].record.clone()).expect("text");
    edited.entries[1].record = text.replace("Round", "round").into_bytes();
    let report = verify(&edited, &trust(), &[checkpoint(1), checkpoint(8)]);
    assert_eq!(report.held, [checkpoint(1)]);
    let mut cut = log(1);
    cut.entries.truncate(5);
    assert_eq!(codes(&verify(&cut, &trust(), &[checkpoint(8)]))[1], (Code::CheckpointMissing, Some(8)));
    let other = verify(&log(2), &trust(), &[checkpoint(3)]);
    assert_eq!(codes(&other), [(Code::CheckpointMissing, Some(3))]);
    let mut forked = log(1);
    forked.entries.truncate(7);
    forked.states.truncate(7);
    forked.state = State::parse(&forked.states[6]).ok();
    forked.delivery("other", Status::Failed, None);
    assert_eq!(codes(&verify(&forked, &trust(), &[checkpoint(8)])), [(Code::CheckpointOther, Some(8))]);
}

#[test]
fn the_pinned_beginning_is_checked() {
    let log = log(1);
    let pinned = |first, id| Trust { first: Some(first), log: Some(Id::from_bits([id; 16])), ..trust() };
    assert_eq!(verify(&log, &pinned(Digest::of(&log.entries[0].record), 1), &[]).errors(), 0);
    finds(&log, &pinned(Digest::of(b"another"), 1), Code::FirstRecord, 1);
    finds(&log, &pinned(Digest::of(&log.entries[0].record), 2), Code::LogId, 1);
}

#[test]
fn a_later_version_is_no_damage_and_its_words_from_a_stranger_are() {
    let newer = |seed: u8| {
        let mut log = log(1);
        let record = example(Kind::Deployment);
        let text = String::from_utf8(record.to_bytes()).expect("text");
        let bytes = text.replace("deploy-record/v1", "deploy-record/v2").replace("deploy-record 0.1.0", "deploy-record 2.1.0");
        let signature = seal::sign(&key(seed), seal::NAMESPACE_RECORD, bytes.as_bytes()).expect("signed");
        let state = log.states[7].clone();
        log.push(&record, bytes.into_bytes(), signature, state);
        verify(&log, &trust(), &[])
    };
    let report = newer(PIPELINE);
    assert_eq!((report.errors(), report.newer, report.verified), (0, 1, 8));
    assert!(report.findings[0].message.contains("to at least 2.1.0"), "{:?}", report.findings);
    assert_eq!(report.head.map(|head| head.seq), Some(9));
    assert!(newer(STRANGER).errors() > 0);

    // what comes after it is not called wrong for what only a later version can know
    let mut log = log(1);
    let mut record = example(Kind::Deployment);
    (record.seq, record.prev) = (9, Digest::of(&log.entries[7].record));
    (record.prev_here, record.finishes, record.log) = (None, None, log.log.clone());
    let bytes = String::from_utf8(record.to_bytes()).expect("text").replace("\"deployment\"", "\"promotion\"").into_bytes();
    let signature = seal::sign(&key(PIPELINE), seal::NAMESPACE_RECORD, &bytes).expect("signed");
    let digest = Digest::of(&bytes);
    let mut state = log.state.clone().expect("a state");
    state.newest = Pointer::to(9, digest);
    state.places.last_mut().expect("a place").change().newest = Pointer::to(9, digest);
    log.push(&record, bytes, signature, state.to_bytes());
    log.state = Some(state);
    log.delivery("5", Status::Failed, None);
    log.add(delivery("6", Status::Failed, Some(9)), |_| {});
    let report = verify(&log, &trust(), &[]);
    assert_eq!((report.errors(), report.newer), (0, 1), "{:#?}", report.findings);

    // a key that was revoked before does not pass for a later version
    let fingerprint = seal::fingerprint(key(PIPELINE).public_key());
    let trust = Trust { revocations: vec![Revocation { fingerprint, after: 8 }], ..trust() };
    let report = verify(&log, &trust, &[]);
    assert!(codes(&report).contains(&(Code::RecordUnreadable, None)), "{:#?}", report.findings);
}

#[test]
fn files_and_parents_are_exactly_the_formats() {
    let changed = |change: fn(&mut RawEntry)| {
        let mut log = log(1);
        change(&mut log.entries[2]);
        codes(&verify(&log, &trust(), &[]))
    };
    let extra = |entry: &mut RawEntry| {
        entry.files.push(File { name: "x".to_owned(), mode: 0o100_644, blob: String::new() });
    };
    assert_eq!(changed(extra), [(Code::CommitFiles, Some(3))]);
    assert_eq!(changed(|entry| entry.files[1].mode = 0o120_000), [(Code::CommitFiles, Some(3))]);
    assert_eq!(changed(|entry| entry.files[0].blob = blob_id(b"")), [(Code::CommitFiles, Some(3))]);
    assert_eq!(changed(|entry| entry.parents.push(entry.commit.clone())), [(Code::CommitParents, None)]);
    assert_eq!(changed(|entry| entry.files.clear())[0], (Code::CommitForeign, None));
    assert!(changed(|entry| entry.record_size = 1 << 40).contains(&(Code::RecordUnreadable, None)));
}

/// Where a byte can be changed in an entry.
#[derive(Debug, Clone, Copy)]
enum Part {
    Record,
    Signature,
    Trailers,
    State,
}

fn flip(log: &mut Writer, at: usize, part: Part, index: &prop::sample::Index, mask: u8) {
    let entry = &mut log.entries[at];
    match part {
        Part::Record => {
            let position = index.index(entry.record.len());
            entry.record[position] ^= mask;
        }
        Part::Signature => {
            // blanks between the lines mean nothing to anybody
            let letters: Vec<_> = (0..entry.signature.len()).filter(|&at| !entry.signature[at].is_ascii_whitespace()).collect();
            entry.signature[letters[index.index(letters.len())]] ^= mask;
        }
        Part::Trailers => {
            let start = entry.message.rfind("\n\n").expect("trailers") + 2;
            let mut bytes = std::mem::take(&mut entry.message).into_bytes();
            let position = start + index.index(bytes.len() - 1 - start);
            bytes[position] ^= mask;
            entry.message = String::from_utf8_lossy(&bytes).into_owned();
        }
        Part::State => {
            let position = index.index(log.states[at].len());
            log.states[at][position] ^= mask;
            entry.files[4].blob = blob_id(&log.states[at]);
        }
    }
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![Just(Part::Record), Just(Part::Signature), Just(Part::Trailers), Just(Part::State)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_changed_bit_anywhere_is_found(at in 0..8_usize, part in part(), index in any::<prop::sample::Index>(), bit in 0..7_u8) {
        let mut log = log(1);
        flip(&mut log, at, part, &index, 1 << bit);
        let report = verify(&log, &trust(), &[]);
        prop_assert!(report.errors() > 0, "{part:?} of {at}");
        prop_assert!(report.verified < 8);
    }

    #[test]
    fn a_dropped_record_is_found(at in 0..7_usize) {
        let mut log = log(1);
        log.entries.remove(at);
        log.states.remove(at);
        let report = verify(&log, &trust(), &[]);
        prop_assert!(codes(&report).contains(&(Code::Sequence, Some(at as u64 + 2))), "{:?}", report.findings);
    }

    #[test]
    fn swapped_records_are_found(one in 0..8_usize, other in 0..8_usize) {
        prop_assume!(one != other);
        let mut log = log(1);
        log.entries.swap(one, other);
        log.states.swap(one, other);
        let report = verify(&log, &trust(), &[]);
        prop_assert!(codes(&report).iter().filter(|(code, _)| *code == Code::Sequence).count() >= 2, "{:?}", report.findings);
    }

    #[test]
    fn a_doubled_record_is_found(from in 0..8_usize, to in 0..=8_usize) {
        let mut log = log(1);
        let (entry, state) = (log.entries[from].clone(), log.states[from].clone());
        log.entries.insert(to, entry);
        log.states.insert(to, state);
        let report = verify(&log, &trust(), &[]);
        prop_assert!(codes(&report).contains(&(Code::DuplicateId, Some(from as u64 + 1))), "{:?}", report.findings);
    }

    #[test]
    fn a_record_of_another_log_is_found(at in 1..8_usize) {
        let (mut log, other) = (log(1), log(2));
        log.entries[at] = other.entries[at].clone();
        log.states[at] = other.states[at].clone();
        let report = verify(&log, &trust(), &[]);
        prop_assert!(codes(&report).contains(&(Code::LogId, Some(at as u64 + 1))), "{:?}", report.findings);
    }
}

#[test]
fn no_other_signature_passes_for_this_one() {
    let log = log(1);
    let entry = &log.entries[0];
    // all of them, since the property tries some: what says nothing about the record must not be changed either
    for at in (0..entry.signature.len()).filter(|&at| !entry.signature[at].is_ascii_whitespace()) {
        for bit in 0..7 {
            let mut signature = entry.signature.clone();
            signature[at] ^= 1 << bit;
            let opened = seal::open(&signature, seal::NAMESPACE_RECORD, &entry.record);
            assert!(opened.is_err(), "bit {bit} at {at}: {}", String::from_utf8_lossy(&signature));
        }
    }
}

#[test]
fn a_recovery_hides_no_record_that_verifies_and_follows() {
    let log = log(1);
    let report = verify_over(&log, &trust(), &[], &[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((report.errors(), report.verified, report.head.map(|head| head.seq)), (0, 8, Some(8)));
}

#[test]
fn a_recovery_makes_no_record_count_that_is_no_link_of_the_chain() {
    type Change = fn(&mut Record);
    let cases: [(&str, Change); 5] = [
        ("time", |record| record.recorded_at = "2020-11-20T14:00:00Z".parse().expect("time")),
        ("prev-here", |record| record.prev_here = None),
        ("duplicate-id", |record| record.id = Id::from_bits([1; 16])),
        ("finish-unpaired", |record| record.finishes = Some(8)),
        ("prev", |record| record.prev = Digest::ZERO),
    ];
    for (what, change) in cases {
        let mut log = log(1);
        log.delivery("5", Status::Failed, None);
        log.add(delivery("6", Status::Failed, None), change);
        let alone = verify(&log, &trust(), &[]);
        assert!(alone.errors() > 0, "{what}: {:#?}", alone.findings);
        let report = verify_over(&log, &trust(), &[], &[9]);
        assert_eq!((report.errors(), report.verified, report.head.map(|head| head.seq)), (0, 9, Some(9)), "{what}");
    }
}

#[test]
fn a_recovery_excuses_no_merge() {
    let mut log = log(1);
    let old = log.entries[0].commit.clone();
    log.entries[7].files.clear();
    assert_eq!(verify_over(&log, &trust(), &[], &[7]).errors(), 0);
    log.entries[7].parents.push(old);
    assert!(codes(&verify_over(&log, &trust(), &[], &[7])).contains(&(Code::CommitParents, None)));
}
