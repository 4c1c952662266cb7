//! What makes a change sensitive, or an emergency, and what is owed afterwards.

use super::Config;
use super::places::globs;
use super::problem::Problem;
use super::value::{Section, Value};
use crate::core::policy::{FollowUpRule, Overdue, Sensitive};
use crate::core::record::Name;

const SENSITIVE: &str = "{ billing: { paths: [\"src/billing/**\"] } }";
const WATCHED: &str = "{ paths: [\"src/billing/**\"] }";
const EMERGENCY: &str = "{ branches: [\"hotfix/*\"] }";
const FOLLOW_UP: &str = "{ within: 1 business day, overdue: warn }";

/// Reads them.
pub fn read(file: &Section, config: &mut Config) -> Result<(), Problem> {
    let rules = &mut config.rules;
    if let Some(sensitive) = file.get("sensitive") {
        let watched = sensitive.named(SENSITIVE)?;
        rules.sensitive = watched.iter().map(|(name, value)| watch(name, value)).collect::<Result<_, _>>()?;
    }
    let Some(emergency) = file.get("emergency") else { return Ok(()) };
    let section = emergency.section(EMERGENCY, &["branches", "labels", "direct_push", "follow_up"])?;
    for branch in section.get("branches").map(|list| list.list("[\"hotfix/*\"]")).transpose()?.unwrap_or_default() {
        rules.emergency.branches.push(branch.parsed("hotfix/*")?);
    }
    rules.emergency.labels = labels(&section)?;
    rules.emergency.direct_push = section.get("direct_push").map(|value| value.boolean()).transpose()?.unwrap_or_default();
    if let Some(value) = section.get("follow_up") {
        rules.follow_up = follow_up(&value)?;
    }
    Ok(())
}

fn watch(name: &Name, value: &Value) -> Result<Sensitive, Problem> {
    let section = value.section(WATCHED, &["paths", "labels"])?;
    let paths = section.get("paths").map(|paths| globs(&paths)).transpose()?.unwrap_or_default();
    let labels = labels(&section)?;
    if paths.is_empty() && labels.is_empty() {
        return Err(value.wrong(format!("watches nothing; write `{WATCHED}`, or take it out")));
    }
    Ok(Sensitive { name: name.to_string(), paths, labels })
}

fn labels(section: &Section) -> Result<Vec<String>, Problem> {
    let Some(labels) = section.get("labels") else { return Ok(Vec::new()) };
    labels.full_list("[hotfix]")?.iter().map(|label| label.text("hotfix").map(str::to_owned)).collect()
}

fn follow_up(value: &Value) -> Result<FollowUpRule, Problem> {
    let section = value.section(FOLLOW_UP, &["within", "assignee", "overdue", "issue"])?;
    let default = FollowUpRule::default();
    let within = section.get("within").map(|within| within.parsed("1 business day")).transpose()?;
    let overdue = section.get("overdue").map(|overdue| overdue.word(Overdue::ALL)).transpose()?;
    Ok(FollowUpRule {
        within: within.unwrap_or(default.within),
        assignee: section.get("assignee").map(|assignee| assignee.parsed("chen")).transpose()?,
        overdue: overdue.unwrap_or(default.overdue),
        issue: section.get("issue").map(|issue| issue.boolean()).transpose()?.unwrap_or_default(),
    })
}
