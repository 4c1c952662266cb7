//! Claims: records that waited in a spool, and what the log makes of them.
//!
//! A claim is the record without its place in the log (`seq`, `prev`, `prev_here`), signed by whoever made it, namespace
//! `deploy-record-spool`. The record that is appended in its stead carries it in `late` and must say the same.

use super::entry::Trust;
use crate::core::record::shape::FieldType as _;
use crate::core::record::{Late, Record, json};
use crate::core::seal::{self, NAMESPACE_RECORD, NAMESPACE_SPOOL};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// What the log gives, and what belongs to whoever appends: in these a claim and its record differ.
const OF_THE_LOG: [&str; 8] = ["log", "seq", "prev", "prev_here", "recorded_at", "signer", "tool", "late"];

/// Holds a record against the claim that it was made from.
///
/// # Errors
/// Says what does not fit.
pub(super) fn check(record: &Record, late: &Late, trust: &Trust) -> Result<(), String> {
    let bytes = STANDARD.decode(late.claim.as_str()).map_err(|_| "the claim is no base64".to_owned())?;
    let key =
        seal::open(late.sig.as_str().as_bytes(), NAMESPACE_SPOOL, &bytes).map_err(|error| format!("the claim: {error}"))?;
    trust
        .check(&late.signer, &key, NAMESPACE_RECORD, late.at.utc(), record.seq)
        .map_err(|doubt| format!("the claim, signed by `{}`: {}", late.signer, doubt.reason))?;
    let claim = json::read(&bytes).map_err(|error| format!("the claim is no strict JSON: {error}"))?;
    let says = |field: &str, text: &str| claim.get(field).and_then(Value::as_str) == Some(text);
    if !says("signer", late.signer.as_str()) || !says("recorded_at", &late.at.to_string()) {
        return Err("the claim has another signer or time than `late`".to_owned());
    }
    if claim.get("log").is_some() && !says("log", record.log.as_str()) {
        return Err("the claim was made for another log".to_owned());
    }
    let (claimed, written) = (own_fields(claim), own_fields(record.write()));
    let differs = |(name, value): (&String, &Value)| written.get(name) != Some(value);
    match claimed.iter().find(|field| differs(*field)).or_else(|| written.iter().find(|(name, _)| !claimed.contains_key(*name)))
    {
        Some((name, _)) => Err(format!("`{}` is not what the claim says", name.escape_debug())),
        None => Ok(()),
    }
}

fn own_fields(value: Value) -> Map<String, Value> {
    let Value::Object(mut object) = value else { return Map::new() };
    object.retain(|name, _| !OF_THE_LOG.contains(&name.as_str()));
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::record::tests::example;
    use crate::core::record::{Base64, Kind, Name, Text};
    use ssh_key::PrivateKey;

    fn key() -> PrivateKey {
        PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]))
    }

    fn trust() -> Trust {
        let line = crate::core::trust::line_to_add("ci:main", key().public_key());
        Trust { signers: crate::core::trust::AllowedSigners::parse(&line).ok(), ..Trust::default() }
    }

    fn replayed(change: impl FnOnce(&mut Map<String, Value>)) -> Record {
        let mut record = example(Kind::Deployment);
        record.late = None;
        let mut claim = record.write();
        let Value::Object(fields) = &mut claim else { panic!("an object") };
        fields.retain(|name, _| !["seq", "prev", "prev_here"].contains(&name.as_str()));
        change(fields);
        let bytes = json::write_pretty(&claim);
        let sig = seal::sign(&key(), NAMESPACE_SPOOL, &bytes).expect("signed");
        record.late = Some(Late {
            at: record.recorded_at,
            signer: Name::new("ci:main").expect("name"),
            claim: Base64::new(STANDARD.encode(bytes)).expect("base64"),
            sig: Text::new(sig).expect("text"),
            newer: Default::default(),
        });
        record.tool = crate::core::record::Line::clean("deploy-record 9").expect("line");
        record
    }

    #[track_caller]
    fn refused(record: &Record, because: &str) {
        let late = record.late.as_ref().expect("late");
        let problem = check(record, late, &trust()).expect_err(because);
        assert!(problem.contains(because), "{problem}");
    }

    #[test]
    fn a_record_must_say_what_its_claim_says() {
        let good = replayed(|_| {});
        assert_eq!(check(&good, good.late.as_ref().expect("late"), &trust()), Ok(()));
        refused(&replayed(|claim| claim["version"] = "9".into()), "`version` is not");
        refused(&replayed(|claim| drop(claim.shift_remove("job"))), "`job` is not");
        refused(&replayed(|claim| drop(claim.insert("weather".to_owned(), "wet".into()))), "`weather` is not");
        refused(&replayed(|claim| claim["signer"] = "ci:other".into()), "another signer");
        refused(&replayed(|claim| claim["recorded_at"] = "2026-11-20T14:05:12Z".into()), "another signer or time");
        refused(&replayed(|claim| claim["log"] = "0".repeat(32).into()), "another log");
        let mut unsigned = good.clone();
        unsigned.late.as_mut().expect("late").sig = Text::new("junk").expect("text");
        refused(&unsigned, "no intact SSH signature");
        let mut other = good;
        other.late.as_mut().expect("late").signer = Name::new("ann").expect("name");
        refused(&other, "signed by `ann`");
    }
}
