//! How the policy sees a deployment: routine, sensitive or an emergency, with all reasons.

use super::{Code, Effect, Facts, Finding, Paths};
use crate::core::policy::{Rules, Sensitive};
use crate::core::record::{ClassName, Line};

/// How many paths of one reason are named.
const MOST_PATHS: usize = 3;

/// The class, why, and what was found on the way.
pub(super) struct Judged {
    pub name: ClassName,
    /// Whether it would be an emergency without breaking the glass.
    pub is_said: bool,
    pub because: Vec<Line>,
    pub findings: Vec<Finding>,
}

pub(super) fn of(facts: &Facts, rules: &Rules) -> Judged {
    let emergency = emergency(facts, rules);
    let sensitive = sensitive(facts, rules);
    let name = match (emergency.is_empty(), sensitive.is_empty()) {
        (false, _) => ClassName::Emergency,
        (true, false) => ClassName::Sensitive,
        (true, true) => ClassName::Routine,
    };
    let mut findings = Vec::new();
    let mut find = |code, reasons: &[String]| {
        findings.extend(reasons.iter().map(|reason| Finding::new(code, Effect::Says, reason)));
    };
    find(Code::Emergency, &emergency);
    match &facts.change.paths {
        Paths::Unknown(_) => find(Code::ChangeUnknown, &sensitive),
        Paths::Since(_) | Paths::All(_) => find(Code::Sensitive, &sensitive),
    }
    let is_said = emergency.len() > usize::from(facts.said.break_glass.is_some());
    let because = emergency.iter().chain(&sensitive).filter_map(|reason| Line::clean(reason)).collect();
    Judged { name, is_said, because, findings }
}

fn emergency(facts: &Facts, rules: &Rules) -> Vec<String> {
    let said = facts.said.emergency.iter().map(|saying| match &saying.reason {
        Some(reason) => format!("{}: {}", saying.place, reason.first_line()),
        None => saying.place.clone(),
    });
    let pattern_of = |branch: &String| rules.emergency.branches.iter().find(|pattern| pattern.is_match(branch));
    let by_branch = facts.branches.iter().find_map(|branch| Some(format!("branch {branch} ({})", pattern_of(branch)?)));
    let by_glass = facts.said.break_glass.as_ref().map(|reason| format!("--break-glass: {}", reason.first_line()));
    said.chain(by_branch).chain(by_glass).collect()
}

fn sensitive(facts: &Facts, rules: &Rules) -> Vec<String> {
    if rules.sensitive.is_empty() {
        return Vec::new();
    }
    let (paths, all) = match &facts.change.paths {
        Paths::Since(paths) => (paths, false),
        Paths::All(paths) => (paths, true),
        Paths::Unknown(because) => return vec![format!("what is new can't be told: {because}")],
    };
    let ours: Vec<_> = paths.iter().map(String::as_str).filter(|path| is_ours(path, facts, rules)).collect();
    rules.sensitive.iter().filter_map(|sensitive| reason(sensitive, &ours, all)).collect()
}

/// Whether a path is this service's, or nobody's and so everybody's.
fn is_ours(path: &str, facts: &Facts, rules: &Rules) -> bool {
    let Some(own) = facts.service.and_then(|service| rules.services.get(service)) else { return true };
    own.has(path) || !rules.services.values().any(|paths| paths.has(path))
}

/// `billing: src/billing/tax.rs, src/billing/vat.rs and 2 more`
fn reason(sensitive: &Sensitive, paths: &[&str], all: bool) -> Option<String> {
    let touched: Vec<_> = paths.iter().filter(|path| sensitive.paths.has(path)).collect();
    if touched.is_empty() {
        return None;
    }
    let named = touched.iter().take(MOST_PATHS).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = match touched.len().saturating_sub(MOST_PATHS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let all = if all { " (nothing runs there yet, so all files count)" } else { "" };
    Some(format!("{}: {named}{more}{all}", sensitive.name))
}
