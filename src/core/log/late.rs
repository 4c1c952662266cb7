//! Claims: records that wait in a spool, and what the log makes of them.
//!
//! A claim is the record without its place in the log (`seq`, `prev`, `prev_here`, and `log` where that was not known), signed by
//! whoever made it, namespace `deploy-record-spool`. The record that is appended in its stead carries it in `late` and must say the same.

use super::entry::{Trust, check_role};
use crate::core::record::json::{self, Json};
use crate::core::record::shape::FieldType as _;
use crate::core::record::{Base64, Digest, Id, Late, Record, Text, kinds};
use crate::core::seal::{self, NAMESPACE_RECORD, NAMESPACE_SPOOL};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// What the log gives, and what belongs to whoever appends: in these a claim and its record differ.
const OF_THE_LOG: [&str; 8] = ["log", "seq", "prev", "prev_here", "recorded_at", "signer", "tool", "late"];

/// The most that a claim may hold, in bytes: with its base64 it has to fit into a record.
pub const LARGEST_CLAIM: usize = 400 * 1024;

/// A record that waits for its place in the log, with a signature that was checked.
#[derive(Debug, Clone)]
pub struct Claim {
    record: Record,
    late: Late,
}

impl Claim {
    /// The bytes of a claim for this record, to be signed by its signer in namespace `deploy-record-spool`.
    pub fn bytes_of(record: &Record) -> Vec<u8> {
        let mut value = record.write();
        if let Value::Object(fields) = &mut value {
            fields.retain(|name, _| !["seq", "prev", "prev_here", "late"].contains(&name.as_str()));
            if is_unknown(&record.log) {
                fields.shift_remove("log");
            }
        }
        json::write_pretty(&value)
    }

    /// Reads a claim, strictly, and checks that somebody signed it whom the trust root names.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn open(bytes: &[u8], signature: &str, trust: &Trust) -> Result<Claim, String> {
        if bytes.len() > LARGEST_CLAIM {
            return Err(format!("it is {} bytes long; a claim has at most {LARGEST_CLAIM}", bytes.len()));
        }
        let record = read(bytes)?;
        // a log that had it could not be gone on with
        check_role(&record).map_err(|problem| format!("the claim: {problem} (signer-role)"))?;
        let late = Late {
            at: record.recorded_at,
            signer: record.signer.clone(),
            claim: Base64::new(STANDARD.encode(bytes))?,
            sig: Text::new(signature)?,
            newer: Default::default(),
        };
        check_signature(bytes, &late, trust, 0)?;
        Ok(Claim { record, late })
    }

    /// What it says, as a record without a place in the log.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The log that it was made for, where that was known.
    pub fn log(&self) -> Option<&Id> {
        Some(&self.record.log).filter(|log| !is_unknown(log))
    }

    /// The record to append in its stead. The log may know more: the start that it closes, and the number of its project.
    pub fn to_record(&self, finishes: Option<u64>, project: Option<u64>) -> Record {
        let mut record = self.record.clone();
        if record.finishes_id.is_some() {
            record.finishes = finishes;
        }
        if let Some(own) = &mut record.project {
            own.id = own.id.or(project);
        }
        record.late = Some(self.late.clone());
        record
    }
}

/// Whether a log's id stands for one that nobody knew.
fn is_unknown(log: &Id) -> bool {
    *log == Id::from_bits([0; 16])
}

fn read(bytes: &[u8]) -> Result<Record, String> {
    let value = json::read(bytes).map_err(|error| format!("it is no strict JSON: {error}"))?;
    let Json::Object(mut fields) = value else { return Err("it is no JSON object".to_owned()) };
    if fields.iter().any(|(name, _)| ["seq", "prev", "prev_here", "late"].contains(&&**name)) {
        return Err("it has a place in a log, which only the log can give".to_owned());
    }
    fields.push(("seq".into(), Json::Number(json::LARGEST_INTEGER)));
    fields.push(("prev".into(), Json::String(Digest::ZERO.to_string().into())));
    if !fields.iter().any(|(name, _)| name == "log") {
        fields.push(("log".into(), Json::String(Id::from_bits([0; 16]).to_string().into())));
    }
    let record = Record::read(Json::Object(fields)).map_err(|error| error.to_string())?;
    kinds::check(&record).map_err(|error| error.to_string())?;
    if Claim::bytes_of(&record) != bytes {
        return Err("it is not written as the format has it".to_owned());
    }
    Ok(record)
}

fn check_signature(bytes: &[u8], late: &Late, trust: &Trust, place: u64) -> Result<(), String> {
    let key =
        seal::open(late.sig.as_str().as_bytes(), NAMESPACE_SPOOL, bytes).map_err(|error| format!("the claim: {error}"))?;
    trust
        .check(&late.signer, &key, NAMESPACE_RECORD, late.at.utc(), place)
        .map_err(|doubt| format!("the claim, signed by `{}`: {}", late.signer, doubt.reason))
}

/// Holds a record against the claim that it was made from.
///
/// # Errors
/// Says what does not fit.
pub fn check(record: &Record, late: &Late, trust: &Trust) -> Result<(), String> {
    let bytes = STANDARD.decode(late.claim.as_str()).map_err(|_| "the claim is no base64".to_owned())?;
    check_signature(&bytes, late, trust, record.seq)?;
    let claim = json::read(&bytes).map(Value::from).map_err(|error| format!("the claim is no strict JSON: {error}"))?;
    let says = |field: &str, text: &str| claim.get(field).and_then(Value::as_str) == Some(text);
    if !says("signer", late.signer.as_str()) || !says("recorded_at", &late.at.to_string()) {
        return Err("the claim has another signer or time than `late`".to_owned());
    }
    if claim.get("log").is_some() && !says("log", record.log.as_str()) {
        return Err("the claim was made for another log".to_owned());
    }
    let (mut claimed, written) = (own_fields(claim), own_fields(record.write()));
    let written = without_what_the_log_knew(written, &mut claimed);
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

/// The log gives the number of a start that the claim names by its id, and of a project that it names by its path.
fn without_what_the_log_knew(mut written: Map<String, Value>, claimed: &mut Map<String, Value>) -> Map<String, Value> {
    if claimed.contains_key("finishes_id") {
        [&mut written, &mut *claimed].into_iter().for_each(|fields| drop(fields.shift_remove("finishes")));
    }
    let names_number = claimed.get("project").is_some_and(|project| project.get("id").is_some());
    if let Some(project) = written.get_mut("project").and_then(Value::as_object_mut).filter(|_| !names_number) {
        project.shift_remove("id");
    }
    written
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
        let mut found = replayed(|claim| {
            claim.shift_remove("finishes");
            claim["project"].as_object_mut().expect("a project").shift_remove("id");
        });
        assert_eq!(check(&found, found.late.as_ref().expect("late"), &trust()), Ok(()));
        found.finishes_id = None;
        refused(&found, "`finishes_id` is not");
        refused(&replayed(|claim| drop(claim.shift_remove("finishes_id"))), "`finishes_id` is not");
        refused(&replayed(|claim| claim["project"]["id"] = 7.into()), "`project` is not");
        // the number of a start that the claim names by its id is the log's
        let other = replayed(|claim| claim["finishes"] = 7.into());
        assert_eq!(check(&other, other.late.as_ref().expect("late"), &trust()), Ok(()));
        let mut by_number = replayed(|claim| {
            claim.shift_remove("finishes_id");
            claim["finishes"] = 7.into();
        });
        by_number.finishes_id = None;
        refused(&by_number, "`finishes` is not");
        let mut unsigned = good.clone();
        unsigned.late.as_mut().expect("late").sig = Text::new("junk").expect("text");
        refused(&unsigned, "no intact SSH signature");
        let mut other = good;
        other.late.as_mut().expect("late").signer = Name::new("ann").expect("name");
        refused(&other, "signed by `ann`");
    }

    #[test]
    fn a_claim_is_read_as_it_was_written() {
        let mut record = example(Kind::Deployment);
        record.late = None;
        record.prev_here = None;
        for log in [record.log.clone(), Id::from_bits([0; 16])] {
            record.log = log;
            let bytes = Claim::bytes_of(&record);
            let sig = seal::sign(&key(), NAMESPACE_SPOOL, &bytes).expect("signed");
            let claim = Claim::open(&bytes, &sig, &trust()).expect("a claim");
            assert_eq!(Claim::bytes_of(claim.record()), bytes);
            let mut appended = claim.to_record(Some(9), None);
            (appended.seq, appended.log) = (record.seq, example(Kind::Deployment).log);
            assert_eq!(check(&appended, appended.late.as_ref().expect("late"), &trust()), Ok(()));
        }
    }

    #[test]
    fn what_is_no_claim_is_refused() {
        let mut record = example(Kind::Deployment);
        record.late = None;
        let good = String::from_utf8(Claim::bytes_of(&record)).expect("text");
        let open = |text: &str, namespace| {
            let sig = seal::sign(&key(), namespace, text.as_bytes()).expect("signed");
            Claim::open(text.as_bytes(), &sig, &trust()).expect_err(text)
        };
        assert!(open(&good, NAMESPACE_RECORD).contains("namespace"));
        assert!(open(&good.replace("ci:main", "ci:other"), NAMESPACE_SPOOL).contains("signed by `ci:other`"));
        assert!(open(&good.replacen("{", "{\n  \"seq\": 3,", 1), NAMESPACE_SPOOL).contains("place in a log"));
        assert!(open(&good.replacen("  ", "   ", 1), NAMESPACE_SPOOL).contains("not written as"));
        assert!(open(&good.replace("\"environment\"", "\"weather\""), NAMESPACE_SPOOL).contains("environment"));
        assert!(open("[]", NAMESPACE_SPOOL).contains("no JSON object"));
        assert!(open(&" ".repeat(LARGEST_CLAIM + 1), NAMESPACE_SPOOL).contains("bytes long"));
    }
}
