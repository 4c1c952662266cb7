//! Golden bytes for each kind, and the properties of reading and writing.

use super::shape::FieldType as _;
use super::*;
use proptest::prelude::*;
use serde_json::json;

/// A full record of this kind, as anybody could have written it by hand.
pub(crate) fn example(kind: Kind) -> Record {
    let mut value = head(kind);
    let rule = kinds::rule(kind);
    let all = everything();
    for field in Record::fields() {
        if (rule.required.contains(&field.name) || rule.allowed.contains(&field.name)) && value.get(field.name).is_none() {
            value[field.name] = all[field.name].clone();
        }
    }
    let bytes = super::json::write(&value);
    Record::read(super::json::read(&bytes).expect("JSON")).expect("the example has the format")
}

fn head(kind: Kind) -> serde_json::Value {
    json!({
        "schema": SCHEMA, "log": "0123456789abcdef0123456789abcdef", "seq": 124,
        "prev": format!("sha256:{}", "1".repeat(64)),
        "prev_here": { "seq": 120, "sha256": format!("sha256:{}", "2".repeat(64)) },
        "id": "fedcba9876543210fedcba9876543210", "kind": kind.as_str(),
        "recorded_at": "2026-11-20T14:05:11Z", "signer": "ci:main", "tool": "deploy-record 0.1.0",
    })
}

fn everything() -> serde_json::Value {
    let sha = "0123456789abcdef0123456789abcdef01234567";
    let digest = format!("sha256:{}", "3".repeat(64));
    let chen = json!({ "login": "chen", "id": 8, "name": "Chen W." });
    let delivered = json!({ "seq": 118, "version": "1.4.1", "sha": sha });
    let access = json!([{ "login": "chen", "id": 8, "name": "Chen W.", "via": "project", "level": 40, "expires_at": "2027-01-01T00:00:00Z" }]);
    json!({
        "service": "billing-api",
        "project": { "id": 42, "path": "grp/app", "url": "https://gitlab.example/grp/app" },
        "environment": { "name": "production", "tier": "production", "url": "https://acme.example" },
        "version": "1.4.2",
        "commit": { "sha": sha, "title": "Round half up \u{2013} \"really\"", "author": "Ann \\ Ö.", "authored_at": "2026-11-20T13:00:00Z", "branch": "main", "tag": "v1.4.2" },
        "artifacts": [{ "name": "registry.example/app", "digest": digest }],
        "previous": delivered,
        "changes": {
            "commits": 3, "files": 12, "authors": ["Ann Ö.", "Chen W."], "tickets": ["PAY-7"],
            "merge_requests": [{ "iid": 120, "author": { "login": "ann", "id": 7 }, "merged_by": chen, "merged_at": "2026-11-20T13:30:00Z", "approved_by": [{ "login": "chen", "id": 8, "at": "2026-11-20T13:20:00Z", "note_id": 300 }] }],
            "compare_url": "https://gitlab.example/grp/app/-/compare/a...b", "incomplete": true,
        },
        "checks": [{ "name": "unit", "status": "passed", "url": "https://gitlab.example/grp/app/-/jobs/300", "sha256": digest }],
        "actor": { "login": "ann", "id": 7, "name": "Ann Ö.", "bot": false, "automated": true },
        "job": { "id": 302, "attempt": 2, "name": "deploy", "url": "https://gitlab.example/grp/app/-/jobs/302", "pipeline_id": 574, "pipeline_url": "https://gitlab.example/grp/app/-/pipelines/574", "source": "push", "runner": "shared-1", "project": "grp/deploy", "ci_config_sha": sha },
        "status": "success", "started_at": "2026-11-20T14:03:00Z", "finished_at": "2026-11-20T14:05:10Z", "finishes": 123, "finishes_id": "0123456789abcdef0123456789abcdef",
        "class": { "name": "emergency", "because": ["branch hotfix/rounding"] },
        "approval": { "source": "signed", "approver": chen, "at": "2026-11-20T13:50:00Z", "note": "on-call agreed", "url": "https://gitlab.example/grp/app/-/merge_requests/120#note_301", "note_id": 301, "note_sha256": digest, "seq": 122, "sha256": digest, "commit": sha, "covers": [120, 123], "before_start": true, "expires_at": "2026-11-21T13:50:00Z" },
        "break_glass": { "reason": "payments fail" },
        "overrides": [{ "rule": "freeze", "reason": "payments fail" }],
        "change_note": { "summary": "Rounds half up.\nSecond line", "audience": "EU customers", "support": "expect none" },
        "follow_up": { "due": "2026-11-23T17:00:00Z", "assignee": "chen", "issue_url": "https://gitlab.example/grp/app/-/issues/9", "note": "chen reviews tomorrow" },
        "policy": { "sha256": digest, "ref": "main at 01234567" },
        "provenance": { "actor": "asserted", "commit": "observed", "environment": "asserted", "job": "attested", "approval": "fetched", "status": "observed", "times": "observed" },
        "imported": { "from": "gitlab-deployments", "found_at": "2026-11-20T14:05:11Z" },
        "rollback": { "of": [118, 121], "from": delivered, "to": delivered, "reason": "logins are slow", "public_reason": "slow logins", "impact": "EU", "resolution": "index", "incident": "INC-4", "live_seconds": 540, "reason_missing": true, "hold": true },
        "findings": [{ "code": "approval-missing", "message": "no approval note" }],
        "approver": chen, "reason": "on-call agreed", "expires_at": "2026-11-27T14:05:11Z", "withdrawn": false, "of": 118, "reviewer": chen,
        "outcome": "approved", "by": chen, "note": "fixed\nand tried", "who": access, "since": 90, "added": access, "removed": access,
        "approved_by": chen, "skipped": [sha], "lost": { "from": 120, "to": 123 }, "late": { "at": "2026-11-20T14:00:00Z", "signer": "ci:main", "claim": "e30=", "sig": "text" },
    })
}

#[test]
fn golden_bytes_of_each_kind() {
    for kind in Kind::ALL {
        let bytes = example(*kind).to_bytes();
        let path = format!("{}/tests/data/records/{kind}.json", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &bytes).expect("golden file");
        }
        let golden = std::fs::read(&path).expect("golden file");
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&golden), "{kind}");
        assert_eq!(Record::parse(&golden), Ok(example(*kind)), "{kind}");
    }
}

#[test]
fn the_table_of_kinds_fits_the_table_of_fields() {
    let known: Vec<_> = Record::fields().iter().map(|field| field.name).collect();
    assert_eq!(kinds::KINDS.iter().map(|rule| rule.kind).collect::<Vec<_>>(), Kind::ALL);
    let mut used: Vec<&str> = kinds::ALWAYS.to_vec();
    for rule in kinds::KINDS {
        for name in rule.required.iter().chain(rule.allowed) {
            assert!(known.contains(name), "{name}");
            assert!(!kinds::ALWAYS.contains(name), "{name}");
            used.push(name);
        }
        assert!(!rule.required.iter().any(|name| rule.allowed.contains(name)), "{}", rule.kind);
    }
    for name in known {
        assert!(used.contains(&name), "no kind has `{name}`");
    }
}

#[test]
fn the_schema_accepts_the_examples_and_refuses_what_reading_refuses() {
    let validator = jsonschema::validator_for(&schema::json_schema()).expect("a schema");
    for kind in Kind::ALL {
        let value = example(*kind).write();
        assert!(
            validator.is_valid(&value),
            "{kind}: {:?}",
            validator.iter_errors(&value).map(|error| error.to_string()).collect::<Vec<_>>()
        );
        for name in kinds::rule(*kind).required {
            let mut less = value.clone();
            less.as_object_mut().expect("object").remove(*name);
            assert!(!validator.is_valid(&less), "{kind} without {name}");
        }
    }
    for (field, wrong) in [
        ("seq", json!(0)),
        ("log", json!("x")),
        ("service", json!("a;b")),
        ("version", json!("a\nb")),
        ("kind", json!("x")),
        ("late", json!({})),
    ] {
        let mut value = example(Kind::Deployment).write();
        value[field] = wrong;
        assert!(!validator.is_valid(&value), "{field}");
        assert!(Record::parse(&json::write_pretty(&value)).is_err(), "{field}");
    }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut serde_json::Value), because: &str) {
    let mut value = example(Kind::Deployment).write();
    change(&mut value);
    let error = Record::parse(&json::write_pretty(&value)).expect_err(because).to_string();
    assert!(error.contains(because), "expected `{because}`, found `{error}`");
}

#[test]
fn what_is_not_the_format_is_refused_with_its_place() {
    refused(|value| value["commit"]["sha"] = json!("abc"), "commit.sha: expected 40 or 64");
    refused(
        |value| value["changes"]["merge_requests"][0]["iid"] = json!("x"),
        "changes.merge_requests[0].iid: expected an integer",
    );
    refused(|value| value["environment"]["tier"] = json!("prod"), "environment.tier: expected one of production");
    refused(|value| value["artifacts"] = json!([]), "artifacts: is an empty list");
    refused(|value| value["version"] = json!(1), "version: expected a string, found a number");
    refused(|value| drop(value.as_object_mut().expect("object").shift_remove("status")), "status: is missing");
    refused(|value| drop(value.as_object_mut().expect("object").shift_remove("finished_at")), "finished_at: is missing");
    refused(|value| value["status"] = json!("running"), "status: is `running`");
    refused(|value| value["finished_at"] = json!("2026-11-20T14:00:00Z"), "finished_at: is before");
    refused(|value| value["finishes"] = json!(124), "finishes: points at record 124");
    refused(|value| value["prev_here"]["seq"] = json!(0), "prev_here: points at record 0");
    refused(|value| value["skipped"] = json!(["0".repeat(40)]), "skipped: has no place in a record of kind `deployment`");
    refused(|value| value["schema"] = json!("deploy-record/v2"), "schema `deploy-record/v2`");
    refused(|value| value["kind"] = json!("promotion"), "kind `promotion`");
    refused(
        |value| {
            let version = value.as_object_mut().expect("object").shift_remove("version").expect("version");
            value["version"] = version;
        },
        "is not written as the format has it",
    );
    let bytes = example(Kind::Deployment).to_bytes();
    for wrong in [
        bytes[..bytes.len() - 1].to_vec(),
        [&bytes[..], b"\n"].concat(),
        [b"\xef\xbb\xbf", &bytes[..]].concat(),
        bytes.replace_all(b"  ", b"\t"),
    ] {
        assert!(Record::parse(&wrong).is_err());
    }
    assert_eq!(Record::parse(&vec![b' '; LARGEST_RECORD + 1]), Err(ParseError::TooLarge(LARGEST_RECORD + 1)));
}

trait ReplaceAll {
    fn replace_all(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl ReplaceAll for Vec<u8> {
    fn replace_all(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(self).replace(&*String::from_utf8_lossy(from), &String::from_utf8_lossy(to));
        text.into_bytes()
    }
}

#[test]
fn fields_of_a_newer_version_are_kept_and_named() {
    let mut value = example(Kind::Deployment).write();
    value["weather"] = json!({ "b": [1, true], "a": "x" });
    value["commit"]["reviewed"] = json!(true);
    let bytes = json::write_pretty(&value);
    let record = Record::parse(&bytes).expect("readable");
    assert_eq!(record.to_bytes(), bytes);
    assert_eq!(record.newer_fields(), ["commit.reviewed", "weather"]);
    assert!(example(Kind::Deployment).newer_fields().is_empty());
}

#[test]
fn every_free_text_is_visited() {
    for kind in Kind::ALL {
        let mut record = example(*kind);
        record.visit_texts(&mut |text| *text = "gone".to_owned());
        let text = String::from_utf8_lossy(&record.to_bytes()).into_owned();
        for words in ["Ö", "really", "agreed", "payments", "slow", "tried", "Chen W.", "gitlab.example"] {
            assert!(!text.contains(words), "{kind}: {words}\n{text}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(title in any::<String>(), note in any::<String>(), kind in 0..Kind::ALL.len(), seq in 121..=json::LARGEST_INTEGER) {
        let mut record = example(Kind::ALL[kind]);
        record.seq = seq.max(125);
        if let Some(commit) = &mut record.commit { commit.title = Line::clean(&title); }
        if record.note.is_some() { record.note = Text::clean(&note).or(record.note); }
        let bytes = record.to_bytes();
        prop_assert_eq!(Record::parse(&bytes), Ok(record.clone()));
        prop_assert_eq!(Record::parse(&bytes).expect("just read").to_bytes(), bytes);
    }

    #[test]
    fn a_changed_byte_is_refused_or_written_back_the_same(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = example(Kind::Deployment).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(record) = Record::parse(&bytes) {
            prop_assert_eq!(record.to_bytes(), bytes);
        }
    }

    #[test]
    fn nothing_makes_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::parse(&bytes);
    }
}
