//! Users (docs.gitlab.com/api/users).

use super::call::{Answer, Call, json, message};
use super::paging::page;
use super::state::{Gitlab, timestamp};
use chrono::{DateTime, Utc};
use serde_json::{Value, json as to_json};

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    pub id: u64,
    pub username: String,
    pub name: String,
    /// `active`, `blocked` or `deactivated`.
    pub state: String,
    /// Whether it is the bot of an access token of a project or group.
    pub bot: bool,
    pub created_at: DateTime<Utc>,
}

impl Gitlab {
    /// Adds a user.
    pub fn user(&mut self, id: u64, username: &str) -> &mut User {
        let name = match username {
            "ann" => "Ann Ö.".to_owned(),
            _ => username[..1].to_uppercase() + &username[1..],
        };
        let (username, state) = (username.to_owned(), "active".to_owned());
        self.users.push(User { id, username, name, state, bot: false, created_at: self.now() });
        self.users.last_mut().expect("one was added")
    }

    /// Blocks a user: their tokens and jobs may do nothing more.
    pub fn block(&mut self, id: u64) {
        self.user_mut(id).state = "blocked".to_owned();
    }

    /// # Panics
    /// If there is no such user.
    pub fn user_mut(&mut self, id: u64) -> &mut User {
        self.users.iter_mut().find(|user| user.id == id).unwrap_or_else(|| panic!("there is no user {id}"))
    }

    pub(super) fn find_user(&self, id: u64) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// A user as part of something else, which does not tell whether it is a bot; `null` where there is none.
    pub(super) fn basic_user(&self, id: impl Into<Option<u64>>) -> Value {
        let Some(user) = id.into().and_then(|id| self.find_user(id)) else { return Value::Null };
        to_json!({
            "id": user.id,
            "username": user.username,
            "name": user.name,
            "state": user.state,
            "locked": false,
            "avatar_url": null,
            "web_url": format!("{}/{}", self.url, user.username),
        })
    }

    /// A user, asked for as such.
    pub(super) fn full_user(&self, user: &User) -> Value {
        let mut full = self.basic_user(user.id);
        full["created_at"] = timestamp(user.created_at).into();
        full["bot"] = user.bot.into();
        full["public_email"] = "".into();
        full["bio"] = "".into();
        full
    }
}

pub fn show(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let id = call.number("user_id")?;
    let user = gitlab.find_user(id).ok_or_else(|| message(404, "404 User Not Found"))?;
    Ok(json(200, &gitlab.full_user(user)))
}

pub fn show_own(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let user = gitlab.find_user(call.caller.user()).ok_or_else(|| message(401, "401 Unauthorized"))?;
    Ok(json(200, &gitlab.full_user(user)))
}

pub fn list(gitlab: &mut Gitlab, call: &Call) -> Answer {
    let name = call.text("username").map(|name| name.to_lowercase());
    let mut users: Vec<&User> =
        gitlab.users.iter().filter(|user| name.as_ref().is_none_or(|name| user.username.to_lowercase() == *name)).collect();
    users.sort_by_key(|user| std::cmp::Reverse(user.id));
    page(gitlab, call, &users, |user| gitlab.basic_user(user.id))
}
