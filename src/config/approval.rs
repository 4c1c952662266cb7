//! What an approval must be, and what a rollback does.

use super::Config;
use super::problem::{Problem, quoted};
use super::value::{Section, Value};
use crate::core::policy::{Access, ApprovalFor, FourEyes, Span};
use crate::core::record::ApprovalSource;
use chrono::TimeDelta;

const APPROVAL: &str = "{ approvers: [chen, dana] }";
const APPROVERS: &str = "[chen, dana]";
const GROUPS: &str = "[acme/release-managers]";
const KEYS: &[&str] = &["approvers", "groups", "minimum_access", "accept", "four_eyes", "valid_for"];

/// Reads them.
pub fn read(file: &Section, config: &mut Config) -> Result<(), Problem> {
    if let Some(rollback) = file.get("rollback") {
        let hold = rollback.section("{ hold: false }", &["hold"])?.get("hold");
        config.rules.rollback_holds = hold.map(|hold| hold.boolean()).transpose()?.unwrap_or_default();
    }
    let Some(approval) = file.get("approval") else { return Ok(()) };
    let section = approval.section(APPROVAL, KEYS)?;
    let rules = &mut config.rules.approval;
    if let Some(approvers) = section.get("approvers") {
        rules.approvers = approvers.set(APPROVERS, "chen")?;
    }
    if let Some(groups) = section.get("groups") {
        rules.groups = paths(&groups)?;
    }
    if let Some(value) = section.get("minimum_access") {
        rules.minimum_access = Some(value.word(Access::ALL)?);
    }
    if let Some(value) = section.get("accept") {
        rules.accept = accept(&value)?;
    }
    if let Some(value) = section.get("four_eyes") {
        rules.four_eyes = value.word(FourEyes::ALL)?;
    }
    if let Some(value) = section.get("valid_for") {
        rules.valid_for = valid_for(&value)?;
    }
    Ok(())
}

/// Paths of groups, each once.
fn paths(value: &Value) -> Result<Vec<String>, Problem> {
    let mut all = Vec::new();
    for value in value.full_list(GROUPS)? {
        let path = value.text("acme/release-managers")?;
        let is_path = !path.is_empty() && path.split('/').all(is_path_part);
        if !is_path {
            return Err(value.wrong(format!("expected a group's path such as `acme/release-managers`, found {}", quoted(path))));
        }
        value.refuse_second(&all, &path.to_owned())?;
        all.push(path.to_owned());
    }
    Ok(all)
}

/// What GitLab allows between the slashes of a path.
fn is_path_part(part: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !part.is_empty() && !part.starts_with(['.', '-']) && part.bytes().all(is_allowed)
}

fn accept(value: &Value) -> Result<Vec<ApprovalSource>, Problem> {
    let mut all = Vec::new();
    for value in value.full_list("[signed]")? {
        let source = value.word(ApprovalSource::ALL)?;
        value.refuse_second(&all, &source)?;
        all.push(source);
    }
    Ok(all)
}

fn valid_for(value: &Value) -> Result<TimeDelta, Problem> {
    match value.parsed("7 days")? {
        Span::Exact(length) => Ok(length),
        Span::BusinessDays(_) => Err(value.wrong("runs by the clock; write hours or days, such as `7 days`")),
    }
}

/// Refuses rules that ask for approvals where nobody is named who may give them. A file without such rules asks for none but for
/// what a user calls an emergency, and then whomever the trust root names may approve.
pub fn check(file: &Section, config: &Config) -> Result<(), Problem> {
    let rules = &config.rules;
    if !rules.approval.approvers.is_empty() || rules.needs_members() || !rules.may_ask() {
        return Ok(());
    }
    let words = format!("asks for approvals, and `approval.approvers` names nobody; add `approval: {APPROVAL}`");
    if let Some(approval) = file.get("approval") {
        let named = approval.section(APPROVAL, KEYS)?.get("approvers").unwrap_or(approval);
        return Err(named.wrong(format!("names nobody who may approve; add `approvers: {APPROVERS}`")));
    }
    for key in ["sensitive", "emergency"] {
        if let Some(value) = file.get(key).filter(|_| key == "emergency" || !rules.sensitive.is_empty()) {
            return Err(value.wrong(words));
        }
    }
    let environments = file.get("environments").map(|environments| environments.entries()).unwrap_or_default();
    let asked = environments.iter().filter_map(|environment| environment.entry("approval_for"));
    match asked.into_iter().find(|asked| !asked.is_text(ApprovalFor::Never.as_str())) {
        Some(asked) => Err(asked.wrong(words)),
        None => Ok(()),
    }
}
