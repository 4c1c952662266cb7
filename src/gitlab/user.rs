//! Users (docs.gitlab.com/api/users) and their place in the project (docs.gitlab.com/api/members).

use super::answer::{Answer, Fields};
use super::call::{ACCESS, Call, READ};
use super::{ApiError, Gitlab};
use crate::core::record::{Line, Name, Person};
use crate::http::Deadline;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The number, which stays when the name changes.
    pub id: u64,
    /// The login.
    pub username: String,
    /// The name as people write it.
    pub name: Option<String>,
    /// `active`, `blocked`, `deactivated` or another word.
    pub state: Option<String>,
    /// Whether it is a bot or a service account; the user that stands in another answer does not tell.
    pub bot: Option<bool>,
}

impl User {
    /// Whether the account can be used: a blocked or deactivated one can't.
    pub fn is_active(&self) -> bool {
        self.state.as_deref().is_none_or(|state| state == "active")
    }

    /// The person, as records have them.
    ///
    /// # Errors
    /// Where the login is none.
    pub fn person(&self) -> Result<Person, String> {
        Ok(Person {
            login: Some(Name::new(self.username.as_str()).map_err(|problem| format!("a login {problem}"))?),
            id: Some(self.id),
            name: self.name.as_deref().and_then(Line::clean),
            bot: (self.bot == Some(true)).then_some(true),
            ..Person::default()
        })
    }
}

/// A membership, with what is inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: User,
    /// 10 Guest, 20 Reporter, 30 Developer, 40 Maintainer, 50 Owner; between them others.
    pub access_level: u64,
}

impl Answer for User {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(User {
            id: fields.number("id")?,
            username: fields.text("username")?,
            name: fields.optional_text("name")?,
            state: fields.optional_text("state")?,
            bot: fields.flag("bot")?,
        })
    }
}

impl Answer for Member {
    fn read(fields: Fields) -> Result<Self, String> {
        Ok(Member { user: User::read(fields)?, access_level: fields.number("access_level")? })
    }
}

impl Gitlab {
    /// Whose access token it is.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn own_user(&self, deadline: Deadline) -> Result<User, ApiError> {
        let call = Call { what: "whose token it is", path: &["user"], query: &[], tokens: ACCESS, scope: READ };
        self.get(&call, deadline)
    }

    /// A user by number, with whether it is a bot.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn user(&self, id: u64, deadline: Deadline) -> Result<User, ApiError> {
        let id = id.to_string();
        let call = Call { what: "about a user", path: &["users", &id], query: &[], tokens: ACCESS, scope: READ };
        self.get(&call, deadline)
    }

    /// A user by login; `None` where there is none of that name.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn user_named(&self, login: &str, deadline: Deadline) -> Result<Option<User>, ApiError> {
        let query = [("username", login)];
        let call = Call { what: "about a user", path: &["users"], query: &query, tokens: ACCESS, scope: READ };
        let found: Vec<User> = self.first(&call, deadline)?;
        Ok(found.into_iter().find(|user| user.username.eq_ignore_ascii_case(login)))
    }

    /// What a user may do in the project, by whatever way; `None` where it is no member.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn member(&self, id: u64, deadline: Deadline) -> Result<Option<Member>, ApiError> {
        self.membership("projects", &self.project, id, "who is a member of the project", deadline)
    }

    /// What a user may do in a group; `None` where it is no member.
    ///
    /// # Errors
    /// As [`ApiError`] says; an access token is needed.
    pub fn group_member(&self, group: &str, id: u64, deadline: Deadline) -> Result<Option<Member>, ApiError> {
        self.membership("groups", group, id, "who is a member of the group", deadline)
    }

    fn membership(
        &self,
        of: &str,
        whose: &str,
        id: u64,
        what: &'static str,
        deadline: Deadline,
    ) -> Result<Option<Member>, ApiError> {
        let id = id.to_string();
        let call = Call { what, path: &[of, whose, "members", "all", &id], query: &[], tokens: ACCESS, scope: READ };
        match self.get(&call, deadline) {
            Err(ApiError::Untold { code: 404, .. }) => Ok(None),
            told => told.map(Some),
        }
    }
}
