//! Commits of the real repository, and what brought them (docs.gitlab.com/api/commits).

use super::Project;
use super::call::{Answer, Call, json, message};
use super::paging::page;
use super::state::Gitlab;
use crate::support::git_server::backend::git;
use serde_json::{Value, json as to_json};
use std::path::Path;

/// Each field of a commit between zero bytes.
const FORMAT: &str = "--format=%H%x00%h%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%s%x00%B";

/// The full id of a commit, given as an id, branch or tag.
pub fn find_commit(repository: &Path, reference: &str) -> Option<String> {
    let wanted = format!("{reference}^{{commit}}");
    let output = git(repository).args(["rev-parse", "--quiet", "--verify", "--end-of-options", &wanted]).output().ok()?;
    let id = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| id.trim().to_owned())
}

/// A commit as part of something else; `None` where the repository does not have it.
pub fn describe(project: &Project, sha: &str) -> Option<Value> {
    let id = find_commit(&project.repository, sha)?;
    let output = git(&project.repository).args(["log", "-1", FORMAT, &id]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let fields: Vec<&str> = text.split('\0').collect();
    let &[id, _, parents, author, author_email, authored, committer, committer_email, committed, title, body] =
        fields.as_slice()
    else {
        return None;
    };
    Some(to_json!({
        "id": id,
        "short_id": &id[..8],
        "created_at": committed,
        "parent_ids": parents.split_whitespace().collect::<Vec<_>>(),
        "title": title,
        "message": body.trim_end_matches('\n').to_owned() + "\n",
        "author_name": author,
        "author_email": author_email,
        "authored_date": authored,
        "committer_name": committer,
        "committer_email": committer_email,
        "committed_date": committed,
        "trailers": {},
        "extended_trailers": {},
        "web_url": project.web_url(&format!("/-/commit/{id}")),
    }))
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let commit = describe(&gitlab.project, &call.place("sha"));
    let mut commit = commit.ok_or_else(|| message(404, "404 Commit Not Found"))?;
    if call.flag("stats")?.unwrap_or(true) {
        commit["stats"] = stats(&gitlab.project.repository, commit["id"].as_str().unwrap_or_default());
    }
    commit["status"] = Value::Null;
    commit["project_id"] = gitlab.project.id.into();
    commit["last_pipeline"] = Value::Null;
    Ok(json(200, &commit))
}

fn stats(repository: &Path, id: &str) -> Value {
    let output = git(repository).args(["show", "--format=", "--numstat", id]).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let (mut added, mut deleted) = (0, 0);
    for line in String::from_utf8_lossy(&text).lines() {
        let mut numbers = line.split('\t').map(|number| number.parse::<u64>().unwrap_or_default());
        added += numbers.next().unwrap_or_default();
        deleted += numbers.next().unwrap_or_default();
    }
    to_json!({ "additions": added, "deletions": deleted, "total": added + deleted })
}

/// The merge requests that brought a commit; it is known by the repository, or by one of them.
pub fn merge_requests(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let asked = call.place("sha");
    let sha = find_commit(&gitlab.project.repository, &asked);
    let is_known = sha.is_some();
    let sha = sha.unwrap_or(asked);
    let mut found: Vec<_> = gitlab.merge_requests.iter().filter(|merge_request| merge_request.has(&sha)).collect();
    if found.is_empty() && !is_known {
        return Err(message(404, "404 Commit Not Found"));
    }
    let state = call.text("state").filter(|state| matches!(state.as_str(), "opened" | "closed" | "locked" | "merged"));
    found.retain(|merge_request| state.as_ref().is_none_or(|state| merge_request.state == *state));
    found.sort_by_key(|merge_request| std::cmp::Reverse(merge_request.id));
    page(gitlab, call, &found, |merge_request| gitlab.merge_request_json(merge_request))
}
