//! What GitLab's description leaves out though GitLab has it: users, members of groups, notes (docs.gitlab.com/api/users,
//! group_members, notes).

use super::description::places;

/// Method, path, parameters, and the fields of the answer.
#[rustfmt::skip]
const ABSENT: &[(&str, &str, &str, &str)] = &[
    ("GET", "/user", "", USER),
    ("GET", "/users", "username page per_page", USER),
    ("GET", "/users/{id}", "", USER),
    ("GET", "/groups/{id}/members/all", "user_ids query page per_page", MEMBER),
    ("GET", "/groups/{id}/members/all/{user_id}", "", MEMBER),
    ("GET", "/projects/{id}/merge_requests/{iid}/notes", "order_by sort activity_filter page per_page", NOTE),
    ("POST", "/projects/{id}/merge_requests/{iid}/notes", "body internal", NOTE),
    ("GET", "/projects/{id}/merge_requests/{iid}/notes/{note_id}", "", NOTE),
    ("PUT", "/projects/{id}/merge_requests/{iid}/notes/{note_id}", "body", NOTE),
    ("DELETE", "/projects/{id}/merge_requests/{iid}/notes/{note_id}", "", ""),
];

const USER: &str = "id username public_email name state locked avatar_url web_url created_at bio bot";

const MEMBER: &str = "id username public_email name state locked avatar_url web_url access_level created_at created_by expires_at membership_state";

const NOTE: &str = "id type body author created_at updated_at system noteable_id noteable_type noteable_iid project_id commit_id \
    resolvable resolved resolved_by resolved_at confidential internal imported imported_from commands_changes summary";

/// The parameters and the fields of the answer of what is left out.
pub fn find(method: &str, path: &str) -> Option<(&'static str, &'static str)> {
    let mut known = ABSENT.iter().filter(|(known, template, ..)| *known == method && places(template, path).is_some());
    known.next().map(|(.., parameters, fields)| (*parameters, *fields))
}
