//! The project and its files (docs.gitlab.com/api/projects, repository_files).

use super::call::{Answer, Call, json, message};
use super::commits::find_commit;
use super::state::Gitlab;
use crate::support::git_server::backend::git;
use crate::support::git_server::http::Response;
use serde_json::json as to_json;

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let project = &gitlab.project;
    let (group, name) = project.path.rsplit_once('/').unwrap_or(("", &project.path));
    let level = gitlab.level(call.caller.user());
    let access = (level > 0).then(|| to_json!({ "access_level": level, "notification_level": 3 }));
    let body = to_json!({
        "id": project.id,
        "description": null,
        "name": name,
        "name_with_namespace": format!("{group} / {name}"),
        "path": name,
        "path_with_namespace": project.path,
        "default_branch": "main",
        "visibility": "internal",
        "archived": false,
        "web_url": project.web_url(""),
        "http_url_to_repo": project.web_url(".git"),
        "ci_push_repository_for_job_token_allowed": true,
        "permissions": { "project_access": access, "group_access": null },
    });
    Ok(json(200, &body))
}

/// A file's bytes; without `ref`, those on the default branch.
pub fn raw_file(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let repository = &gitlab.project.repository;
    let reference = call.text("ref").unwrap_or_else(|| "HEAD".to_owned());
    let commit = find_commit(repository, &reference).ok_or_else(|| message(404, "404 Commit Not Found"))?;
    let (path, spec) = (call.place("file_path"), format!("{commit}:{}", call.place("file_path")));
    let output = git(repository).args(["cat-file", "blob", &spec]).output();
    let output = output.ok().filter(|output| output.status.success());
    let bytes = output.ok_or_else(|| message(404, "404 File Not Found"))?.stdout;
    let name = path.rsplit('/').next().unwrap_or_default();
    let answer = Response::new(200, "text/plain", bytes);
    Ok(answer.with("X-Gitlab-File-Path", &path).with("X-Gitlab-File-Name", name).with("X-Gitlab-Commit-Id", &commit))
}
