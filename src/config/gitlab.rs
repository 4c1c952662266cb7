//! What only GitLab's API can tell: this version does not ask it, so rules that need it are refused and not passed over.

use super::problem::Problem;
use super::tree::Node;
use super::value::Value;
use crate::core::record::ApprovalSource;

/// Where such rules stand, `*` for any key, and what to do instead.
const NEEDED: &[(&[&str], &str)] = &[
    (&["sensitive", "*", "labels"], "take it out; `paths` works without GitLab"),
    (&["emergency", "labels"], "take it out; `branches`, and `--emergency` when it comes to it, work without GitLab"),
    (&["approval", "groups"], "take it out; name each person in `approvers`"),
    (&["approval", "minimum_access"], "take it out; name each person in `approvers`"),
    (&["publish"], "take it out; the log has a README for people to read"),
];

/// Refuses them; once the API is asked, this goes.
pub fn refuse(file: &Node) -> Result<(), Problem> {
    let file = Value::root(file);
    for (place, remedy) in NEEDED {
        if let Some(value) = find(file.clone(), place) {
            return Err(value.wrong(needs(remedy)));
        }
    }
    let direct_push = find(file.clone(), &["emergency", "direct_push"]);
    if let Some(value) = direct_push.filter(|value| value.is_true()) {
        return Err(value.wrong(needs("write `false`, or take it out")));
    }
    let Some(accept) = find(file, &["approval", "accept"]) else { return Ok(()) };
    let works =
        |source: &Value| source.is_text(ApprovalSource::Signed.as_str()) || source.is_text(ApprovalSource::Claimed.as_str());
    match accept.elements() {
        sources if sources.is_empty() || sources.iter().any(works) => Ok(()),
        _ => Err(accept.wrong(needs("add `signed`, which works without GitLab"))),
    }
}

fn needs(remedy: &str) -> String {
    format!("needs GitLab's API, which this version does not ask; {remedy}")
}

fn find<'t>(value: Value<'t>, place: &[&str]) -> Option<Value<'t>> {
    match place {
        [] => Some(value),
        ["*", rest @ ..] => value.entries().into_iter().find_map(|entry| find(entry, rest)),
        [key, rest @ ..] => find(value.entry(key)?, rest),
    }
}
