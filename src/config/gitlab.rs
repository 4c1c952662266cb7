//! What this version does not do yet: rules for it are refused and not passed over.

use super::problem::Problem;
use super::tree::Node;
use super::value::Value;

/// Where such rules stand, and what to do instead.
const LATER: &[(&str, &str)] = &[("publish", "take it out; the log has a README for people to read")];

/// Refuses them.
pub fn refuse(file: &Node) -> Result<(), Problem> {
    let file = Value::root(file);
    for (key, remedy) in LATER {
        if let Some(value) = file.entry(key) {
            return Err(value.wrong(format!("is for the release notes, which this version does not write; {remedy}")));
        }
    }
    Ok(())
}
