//! Members of the project and of groups (docs.gitlab.com/api/project_members, group_members).

use super::call::{Answer, Call, json, message};
use super::paging::page;
use super::state::{Gitlab, timestamp};
use crate::support::git_server::http::Response;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A user's role.
#[derive(Clone, Debug)]
pub struct Member {
    pub user: u64,
    /// Such as 30 (Developer) or 40 (Maintainer).
    pub access_level: u32,
    pub created_at: DateTime<Utc>,
    /// The last day of it, as `YYYY-MM-DD`.
    pub expires_at: Option<String>,
    /// `active` or `awaiting`.
    pub membership_state: String,
}

/// A group.
pub struct Group {
    pub id: u64,
    /// Such as `grp`.
    pub path: String,
    pub members: Vec<Member>,
}

impl Gitlab {
    /// Makes a user a member of the project, or changes the level of one.
    pub fn member(&mut self, user: u64, access_level: u32) -> &mut Member {
        let member = self.new_member(user, access_level);
        put(&mut self.members, member)
    }

    /// Makes a user a member of a group, which is made where it is not there.
    pub fn group_member(&mut self, group: &str, user: u64, access_level: u32) -> &mut Member {
        let member = self.new_member(user, access_level);
        if !self.groups.iter().any(|known| known.path == group) {
            let id = self.groups.iter().map(|group| group.id).max().unwrap_or_default() + 1;
            self.groups.push(Group { id, path: group.to_owned(), members: Vec::new() });
        }
        let group = self.groups.iter_mut().find(|known| known.path == group).expect("it was made");
        put(&mut group.members, member)
    }

    /// Takes a user's own membership in the project away.
    pub fn remove_member(&mut self, user: u64) {
        self.members.retain(|member| member.user != user);
    }

    fn new_member(&self, user: u64, access_level: u32) -> Member {
        let (created_at, membership_state) = (self.now(), "active".to_owned());
        Member { user, access_level, created_at, expires_at: None, membership_state }
    }

    /// A user's level in the project, own or inherited from its groups; 0 for none.
    pub(super) fn level(&self, user: u64) -> u32 {
        let all = effective(self.groups_of(&self.project.path).chain([self.members.as_slice()]));
        all.iter().find(|member| member.user == user).map_or(0, |member| member.access_level)
    }

    /// The members of the groups above a path.
    fn groups_of<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a [Member]> {
        let above = self.groups.iter().filter(move |group| path.starts_with(&format!("{}/", group.path)));
        above.map(|group| group.members.as_slice())
    }

    fn member_json(&self, member: &Member) -> Value {
        let mut json = self.basic_user(member.user);
        json["access_level"] = member.access_level.into();
        json["created_at"] = timestamp(member.created_at).into();
        json["expires_at"] = member.expires_at.clone().into();
        json["membership_state"] = member.membership_state.clone().into();
        json
    }
}

fn put(members: &mut Vec<Member>, member: Member) -> &mut Member {
    members.retain(|known| known.user != member.user);
    members.push(member);
    members.last_mut().expect("one was added")
}

/// Each user once, with the highest level, by number.
fn effective<'a>(lists: impl Iterator<Item = &'a [Member]>) -> Vec<Member> {
    let mut all: Vec<Member> = lists.flatten().cloned().collect();
    all.sort_by_key(|member| (member.user, std::cmp::Reverse(member.access_level)));
    all.dedup_by_key(|member| member.user);
    all
}

fn of_project(gitlab: &Gitlab) -> Vec<Member> {
    effective(gitlab.groups_of(&gitlab.project.path).chain([gitlab.members.as_slice()]))
}

fn of_group(gitlab: &Gitlab, call: &Call) -> Result<Vec<Member>, Response> {
    let asked = call.place("id");
    let group = gitlab.groups.iter().find(|group| group.path == asked || group.id.to_string() == asked);
    let group = group.ok_or_else(|| message(404, "404 Group Not Found"))?;
    Ok(effective(gitlab.groups_of(&group.path).chain([group.members.as_slice()])))
}

pub fn list(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let members = of_project(gitlab);
    answer_list(gitlab, call, members)
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let members = of_project(gitlab);
    answer_one(gitlab, call, &members)
}

pub fn list_of_group(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let members = of_group(gitlab, call)?;
    answer_list(gitlab, call, members)
}

pub fn show_of_group(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let members = of_group(gitlab, call)?;
    answer_one(gitlab, call, &members)
}

fn answer_list(gitlab: &Gitlab, call: &Call, mut members: Vec<Member>) -> Answer {
    if let Some(wanted) = call.numbers("user_ids")? {
        members.retain(|member| wanted.contains(&member.user));
    }
    if let Some(part) = call.text("query") {
        members.retain(|member| gitlab.find_user(member.user).is_some_and(|user| user.username.contains(&part)));
    }
    page(gitlab, call, &members, |member| gitlab.member_json(member))
}

fn answer_one(gitlab: &Gitlab, call: &Call, members: &[Member]) -> Answer {
    let user = call.number("user_id")?;
    let member = members.iter().find(|member| member.user == user);
    Ok(json(200, &gitlab.member_json(member.ok_or_else(|| message(404, "404 Not found"))?)))
}
