//! Branches and tags of the real repository (docs.gitlab.com/api/branches, docs.gitlab.com/api/tags).

use super::call::{Answer, Call};
use super::commits::describe;
use super::paging::page;
use super::state::Gitlab;
use crate::support::git_server::backend::git;
use serde_json::{Value, json as to_json};

impl Gitlab {
    fn references(&self, folder: &str, call: &Call) -> Vec<String> {
        let output = git(&self.project.repository).args(["for-each-ref", "--format=%(refname)", folder]).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        let search = call.text("search").unwrap_or_default();
        let is_found = |name: &str| match (search.strip_prefix('^'), search.strip_suffix('$')) {
            (Some(_), Some(_)) => name == &search[1..search.len() - 1],
            (Some(begin), None) => name.starts_with(begin),
            (None, Some(end)) => name.ends_with(end),
            (None, None) => name.contains(&search),
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let names = text.lines().filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/'));
        names.filter(|name| is_found(name)).map(str::to_owned).collect()
    }

    fn is_protected(&self, name: &str) -> bool {
        !self.project.unprotected.iter().any(|unprotected| unprotected == name)
    }
}

pub fn branches(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let all = gitlab.references("refs/heads", call);
    page(gitlab, call, &all, |name| {
        to_json!({
            "name": name,
            "commit": describe(&gitlab.project, &format!("refs/heads/{name}")),
            "merged": false,
            "protected": gitlab.is_protected(name),
            "developers_can_push": false,
            "developers_can_merge": false,
            "can_push": true,
            "default": name == "main",
            "web_url": gitlab.project.web_url(&format!("/-/tree/{name}")),
        })
    })
}

pub fn tags(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let all = gitlab.references("refs/tags", call);
    page(gitlab, call, &all, |name| {
        let commit = describe(&gitlab.project, &format!("refs/tags/{name}"));
        to_json!({
            "name": name,
            "message": "",
            "target": commit.as_ref().map_or(Value::Null, |commit| commit["id"].clone()),
            "commit": commit,
            "protected": gitlab.is_protected(name),
        })
    })
}
