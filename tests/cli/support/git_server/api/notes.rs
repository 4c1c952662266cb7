//! Notes on merge requests (docs.gitlab.com/api/notes).

use super::call::{Answer, Call, json, message};
use super::paging::page_of_visible;
use super::state::{Gitlab, timestamp};
use crate::support::git_server::http::Response;
use chrono::{DateTime, Utc};
use serde_json::{Value, json as to_json};

/// The most characters of a note.
const LONGEST: usize = 1_000_000;

/// From this level on internal notes are seen (Reporter).
const SEES_INTERNAL: u32 = 20;

/// A note: a person's comment, or one that GitLab itself wrote of what a person did.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its number, which only grows, over the whole instance.
    pub id: u64,
    /// On which merge request, by its number in the project.
    pub merge_request: u64,
    pub author: u64,
    pub body: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub system: bool,
    pub internal: bool,
    pub imported: bool,
    /// `DiscussionNote` or `DiffNote` where it stands in a thread.
    pub kind: Option<String>,
    pub resolved_by: Option<u64>,
}

impl Gitlab {
    /// Comments on a merge request; gives the note's number.
    pub fn note(&mut self, iid: u64, author: u64, body: &str) -> u64 {
        let (id, now) = (self.next_note, self.now());
        self.next_note += 1;
        self.merge_request_mut(iid).updated_at = now;
        self.notes.push(Note {
            id,
            merge_request: iid,
            author,
            body: body.to_owned(),
            created_at: now,
            updated_at: now,
            system: false,
            internal: false,
            imported: false,
            kind: None,
            resolved_by: None,
        });
        id
    }

    /// What GitLab writes of what a person did; gives the note's number.
    pub fn system_note(&mut self, iid: u64, author: u64, body: &str) -> u64 {
        let id = self.note(iid, author, body);
        self.note_mut(id).system = true;
        id
    }

    /// # Panics
    /// If there is no such note.
    pub fn note_mut(&mut self, id: u64) -> &mut Note {
        self.notes.iter_mut().find(|note| note.id == id).unwrap_or_else(|| panic!("there is no note {id}"))
    }

    /// Changes what a note says, as its author may at any time.
    pub fn edit_note(&mut self, id: u64, body: &str) {
        let earlier = self.note_mut(id).updated_at;
        let updated_at = self.after(earlier);
        let note = self.note_mut(id);
        note.body = body.to_owned();
        note.updated_at = updated_at;
    }

    /// Deletes a note, as its author may at any time.
    ///
    /// # Panics
    /// If there is no such note.
    pub fn delete_note(&mut self, id: u64) {
        self.note_mut(id);
        self.notes.retain(|note| note.id != id);
    }

    fn note_json(&self, note: &Note) -> Value {
        let iid = note.merge_request;
        let is_thread = note.kind.is_some();
        let mut body = to_json!({
            "id": note.id,
            "type": note.kind,
            "body": note.body,
            "author": self.basic_user(note.author),
            "created_at": timestamp(note.created_at),
            "updated_at": timestamp(note.updated_at),
            "system": note.system,
            "noteable_id": self.merge_requests.iter().find(|known| known.iid == iid).map(|known| known.id),
            "noteable_type": "MergeRequest",
            "project_id": self.project.id,
            "commit_id": null,
            "resolvable": is_thread,
            "confidential": note.internal,
            "internal": note.internal,
            "imported": note.imported,
            "imported_from": if note.imported { "github" } else { "none" },
            "noteable_iid": iid,
            "commands_changes": {},
        });
        if is_thread {
            body["resolved"] = note.resolved_by.is_some().into();
            body["resolved_by"] = self.basic_user(note.resolved_by);
            body["resolved_at"] = note.resolved_by.map(|_| timestamp(note.updated_at)).into();
        }
        body
    }

    /// Whether the caller may see the note.
    fn shows_note(&self, note: &Note, call: &Call) -> bool {
        !note.internal || self.level(call.caller.user()) >= SEES_INTERNAL
    }

    fn find_note(&self, call: &Call) -> Result<&Note, Response> {
        let (iid, id) = (self.find_merge_request(call)?.iid, call.number("note_id")?);
        let note = self.notes.iter().find(|note| note.merge_request == iid && note.id == id);
        let note = note.ok_or_else(|| message(404, "404 Not found"))?;
        if self.shows_note(note, call) { Ok(note) } else { Err(message(404, "404 Note Not Found")) }
    }

    /// The number of a note that the caller may change: their own, or any where they are Maintainer, but none of GitLab's own.
    fn find_editable(&self, call: &Call) -> Result<u64, Response> {
        let (note, caller) = (self.find_note(call)?, call.caller.user());
        let may = !note.system && (note.author == caller || self.level(caller) >= 40);
        if may { Ok(note.id) } else { Err(message(403, "403 Forbidden")) }
    }
}

/// By `created_at` means by number, also where a note says that it is older. What the caller may not see is taken out of the page
/// and not of the list: a page can be short, or empty, with others behind it (GitLab's `lib/api/notes.rb`).
pub fn list(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let iid = gitlab.find_merge_request(call)?.iid;
    let mut notes: Vec<&Note> = gitlab.notes.iter().filter(|note| note.merge_request == iid).collect();
    match call.choice("activity_filter", &["all_notes", "only_comments", "only_activity"])? {
        "only_comments" => notes.retain(|note| !note.system),
        "only_activity" => notes.retain(|note| note.system),
        _ => {}
    }
    match call.choice("order_by", &["created_at", "updated_at"])? {
        "updated_at" => notes.sort_by_key(|note| (note.updated_at, note.id)),
        _ => notes.sort_by_key(|note| note.id),
    }
    if call.choice("sort", &["desc", "asc"])? == "desc" {
        notes.reverse();
    }
    page_of_visible(gitlab, call, &notes, |note| gitlab.shows_note(note, call).then(|| gitlab.note_json(note)))
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    Ok(json(200, &gitlab.note_json(gitlab.find_note(call)?)))
}

/// Lines that begin with a slash are quick actions: they are done, and are not part of the note.
pub fn create(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let iid = gitlab.find_merge_request(call)?.iid;
    let body = checked_body(call)?;
    let is_internal = call.flag("internal")?.unwrap_or_default();
    if is_internal && gitlab.level(call.caller.user()) < SEES_INTERNAL {
        return Err(message(403, "403 Forbidden"));
    }
    let (actions, text): (Vec<&str>, Vec<&str>) = body.lines().partition(|line| line.starts_with('/'));
    let text = text.join("\n").trim().to_owned();
    let done = gitlab.act(iid, call.caller.user(), &actions);
    if text.is_empty() && !actions.is_empty() {
        let changes: serde_json::Map<String, Value> = done.iter().map(|name| ((*name).to_owned(), true.into())).collect();
        return Ok(json(202, &to_json!({ "commands_changes": changes, "summary": ["Applied commands."] })));
    }
    let id = gitlab.note(iid, call.caller.user(), &text);
    gitlab.note_mut(id).internal = is_internal;
    let note = gitlab.note_mut(id).clone();
    Ok(json(201, &gitlab.note_json(&note)))
}

pub fn update(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let id = gitlab.find_editable(call)?;
    call.required("body")?;
    let body = checked_body(call)?;
    gitlab.edit_note(id, &body);
    show(gitlab, call)
}

pub fn delete(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let id = gitlab.find_editable(call)?;
    gitlab.delete_note(id);
    Ok(Response { status: 204, headers: Vec::new(), body: Vec::new() })
}

fn checked_body(call: &Call) -> Result<String, Response> {
    let body = call.text("body").ok_or_else(|| super::call::error(400, "body is missing"))?;
    let problem = match body.chars().count() {
        0 => "can't be blank".to_owned(),
        count if count > LONGEST => format!("is too long (maximum is {LONGEST} characters)"),
        _ if body.trim().is_empty() => "can't be blank".to_owned(),
        _ => return Ok(body),
    };
    Err(message(400, &format!("400 Bad request - Note {{:note=>[\"{problem}\"]}}")))
}

impl Gitlab {
    /// Does the quick actions that matter here; gives their names.
    fn act(&mut self, iid: u64, user: u64, actions: &[&str]) -> Vec<&'static str> {
        let mut done = Vec::new();
        for action in actions {
            match *action {
                "/approve" => {
                    self.approve(iid, user);
                    done.push("approve");
                }
                "/unapprove" => {
                    self.unapprove(iid, user);
                    done.push("unapprove");
                }
                _ => {}
            }
        }
        done
    }
}
