//! The team: its days, its people, its tickets, and what it keeps for how long.

use super::Config;
use super::problem::{Problem, quoted};
use super::value::{Section, Value};
use crate::core::record::{Link, Name};
use chrono::NaiveDate;
use regex::Regex;

/// How tickets look.
#[derive(Debug, Clone, Default)]
pub struct TicketConfig {
    /// A regular expression; all of each match is a ticket.
    pub pattern: Option<String>,
    /// A ticket's page, with `:id` where its name goes, as GitLab has it for external issue trackers.
    pub url: Option<String>,
}

/// What is kept, where and for how long: for those who ask, in the team's words.
#[derive(Debug, Clone)]
pub struct RetentionConfig {
    /// What it is.
    pub what: String,
    /// Where it is.
    pub place: String,
    /// Who can see it.
    pub viewers: String,
    /// For how long.
    pub keep: String,
}

const PEOPLE: &str = "{ chen: { git: [\"chen@acme.example\"] } }";
const PERSON: &str = "{ git: [\"chen@acme.example\"] }";
const TICKETS: &str = "{ pattern: \"[A-Z]+-[0-9]+\" }";
const PAGE: &str = "https://tickets.acme.example/browse/:id";
const RETENTION: &str = "[ { what: deploy records, where: deploy-log branch, viewers: engineers, keep: 3 years } ]";
const KEPT: &str = "{ what: deploy records, where: deploy-log branch, viewers: engineers, keep: 3 years }";

/// Reads them.
pub fn read(file: &Section, config: &mut Config) -> Result<(), Problem> {
    if let Some(zone) = file.get("time_zone") {
        config.rules.calendar.zone = zone.parsed("Europe/Berlin")?;
    }
    for value in file.get("holidays").map(|days| days.list("[\"2026-12-25\"]")).transpose()?.unwrap_or_default() {
        config.rules.calendar.holidays.insert(holiday(&value)?);
    }
    for (login, person) in file.get("people").map(|people| people.named(PEOPLE)).transpose()?.unwrap_or_default() {
        addresses(&login, &person, config)?;
    }
    if let Some(value) = file.get("tickets") {
        config.tickets = tickets(&value)?;
    }
    let retention = file.get("retention").map(|retention| retention.list(RETENTION)).transpose()?;
    config.retention = retention.unwrap_or_default().iter().map(kept).collect::<Result<_, _>>()?;
    Ok(())
}

fn holiday(value: &Value) -> Result<NaiveDate, Problem> {
    let text = value.text("2026-12-25")?;
    let day = text.parse().ok().filter(|_| text.len() == "2026-12-25".len());
    day.ok_or_else(|| value.wrong(format!("expected a day such as `2026-12-25`, found {}", quoted(text))))
}

fn addresses(login: &Name, person: &Value, config: &mut Config) -> Result<(), Problem> {
    let section = person.section(PERSON, &["git"])?;
    for value in section.required("git", PERSON)?.full_list("[\"chen@acme.example\"]")? {
        let address = value.text("chen@acme.example")?;
        if !address.contains('@') || address.contains([' ', '<', '>']) {
            return Err(value.wrong(format!("expected an address such as `chen@acme.example`, found {}", quoted(address))));
        }
        let wrong = |problem| value.wrong(format!("{problem}; an address is one person's, so take one out"));
        config.rules.people.add(address, login).map_err(wrong)?;
    }
    Ok(())
}

fn tickets(value: &Value) -> Result<TicketConfig, Problem> {
    let section = value.section(TICKETS, &["pattern", "url"])?;
    let (pattern, url) = (section.get("pattern"), section.get("url"));
    Ok(TicketConfig {
        pattern: pattern.map(|value| expression(&value)).transpose()?,
        url: url.map(|value| page(&value)).transpose()?,
    })
}

fn expression(value: &Value) -> Result<String, Problem> {
    let text = value.text("[A-Z]+-[0-9]+")?;
    match Regex::new(text) {
        Ok(expression) if expression.is_match("") => {
            Err(value
                .wrong("matches a text without any ticket too; write it so that it needs a character, as in `[A-Z]+-[0-9]+`"))
        }
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(value.wrong(format!("is no regular expression such as `[A-Z]+-[0-9]+`: {reason}")))
        }
    }
}

fn page(value: &Value) -> Result<String, Problem> {
    let text = value.text(PAGE)?;
    if text.matches(":id").count() != 1 {
        return Err(value.wrong(format!("needs `:id` once, where the ticket's name goes, as in `{PAGE}`")));
    }
    let wrong = |problem| value.wrong(format!("{problem}; write it like `{PAGE}`"));
    Link::new(text).map(|link| link.to_string()).map_err(wrong)
}

fn kept(value: &Value) -> Result<RetentionConfig, Problem> {
    let section = value.section(KEPT, &["what", "where", "viewers", "keep"])?;
    let text = |key, example| section.required(key, KEPT)?.text(example).map(str::to_owned);
    Ok(RetentionConfig {
        what: text("what", "deploy records")?,
        place: text("where", "deploy-log branch")?,
        viewers: text("viewers", "engineers")?,
        keep: text("keep", "3 years")?,
    })
}
