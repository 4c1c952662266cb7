//! How the policy sees a deployment: routine, sensitive or an emergency, with all reasons.

use super::requests::{Brought, Request, Requests, Why};
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
    let by_label = facts.told.requests.known().map(|brought| labelled(brought, &rules.emergency.labels)).unwrap_or_default();
    said.chain(by_branch).chain(by_label).chain(by_push(facts, rules)).chain(by_glass).collect()
}

/// `label hotfix (!120)`
fn labelled(brought: &Brought, labels: &[String]) -> Vec<String> {
    let of = |request: &Request| {
        let label = labels.iter().find(|label| request.labels.contains(label))?;
        Some(format!("label {label} (!{})", request.iid))
    };
    brought.requests.iter().filter_map(of).collect()
}

/// That a commit came in without a merged merge request, where that makes an emergency.
fn by_push(facts: &Facts, rules: &Rules) -> Option<String> {
    let brought = facts.told.requests.known().filter(|_| rules.emergency.direct_push)?;
    let certain = brought.direct.iter().filter(|direct| direct.why != Why::NotTold);
    let direct: Vec<_> = certain.map(|direct| direct.sha.short()).collect();
    let open = brought.requests.iter().find(|request| !request.is_merged);
    match (direct.as_slice(), open) {
        ([], None) => None,
        ([], Some(open)) => Some(format!("direct push: !{} is not merged", open.iid)),
        ([first], _) => Some(format!("direct push: {first} came in without a merged merge request")),
        ([first, rest @ ..], _) => {
            Some(format!("direct push: {first} and {} more came in without a merged merge request", rest.len()))
        }
    }
}

fn sensitive(facts: &Facts, rules: &Rules) -> Vec<String> {
    let untold = untold(facts, rules);
    if rules.sensitive.is_empty() {
        return untold.into_iter().collect();
    }
    let (paths, all) = match &facts.change.paths {
        Paths::Since(paths) => (paths, false),
        Paths::All(paths) => (paths, true),
        Paths::Unknown(because) => return vec![format!("what is new can't be told: {because}")],
    };
    let ours: Vec<_> = paths.iter().map(String::as_str).filter(|path| is_ours(path, facts, rules)).collect();
    let by_path = rules.sensitive.iter().filter_map(|sensitive| reason(sensitive, &ours, all));
    by_path.chain(by_label(facts, rules)).chain(untold).collect()
}

/// `permissions: label security (!120)`
fn by_label(facts: &Facts, rules: &Rules) -> Vec<String> {
    let Some(brought) = facts.told.requests.known() else { return Vec::new() };
    let of = |rule: &Sensitive| {
        let labelled = labelled(brought, &rule.labels);
        labelled.into_iter().map(|words| format!("{}: {words}", rule.name)).collect::<Vec<_>>()
    };
    rules.sensitive.iter().flat_map(of).collect()
}

/// That a rule goes by what GitLab tells of merge requests, and that is not known: it is not taken for harmless.
fn untold(facts: &Facts, rules: &Rules) -> Option<String> {
    if !rules.needs_merge_requests() {
        return None;
    }
    match &facts.told.requests {
        Requests::Known(brought) => {
            let unclear = brought.direct.iter().filter(|direct| direct.why == Why::NotTold).count();
            (unclear > 0).then(|| format!("GitLab does not tell by which merge requests {unclear} of the commits came in"))
        }
        Requests::NotAsked => Some("labels and direct pushes can't be told: GitLab was not asked".to_owned()),
        Requests::Unknown(unknown) => Some(format!("labels and direct pushes can't be told: {}", unknown.because)),
    }
}

/// Whether some of these files are this service's and watched.
pub(super) fn touches(paths: &[String], facts: &Facts, rules: &Rules) -> bool {
    let is_watched = |path: &str| rules.sensitive.iter().any(|rule| rule.paths.has(path));
    paths.iter().any(|path| is_ours(path, facts, rules) && is_watched(path))
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
