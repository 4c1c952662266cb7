//! Freezes: times at which nothing goes forward.

use super::Calendar;
use crate::core::record::Name;
use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _, Utc, Weekday};
use std::fmt;

/// A time at which nothing goes forward: every week, or once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    window: Window,
    /// The environments that it is for; empty for all.
    pub environments: Vec<Name>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    /// From and to a minute of the week, the end not included.
    Weekly(WeekMinute, WeekMinute),
    /// From and to a minute, the end not included.
    Once(NaiveDateTime, NaiveDateTime),
}

/// Minutes since Monday, midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct WeekMinute(u32);

#[derive(Debug, Clone, Copy)]
enum Edge {
    Weekly(WeekMinute),
    At(NaiveDateTime),
    Day(NaiveDate),
}

impl Freeze {
    /// A freeze between two edges: `Fri 16:00`, `2026-12-24 12:00`, or `2026-12-24`, all of that day.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn new(from: &str, to: &str, environments: Vec<Name>) -> Result<Self, String> {
        let end_of = |day: NaiveDate| (day + Days::new(1)).and_time(NaiveTime::MIN);
        let window = match (edge(from)?, edge(to)?) {
            (Edge::Weekly(from), Edge::Weekly(to)) => Window::Weekly(from, to),
            (Edge::At(from), Edge::At(to)) => Window::Once(from, to),
            (Edge::At(from), Edge::Day(to)) => Window::Once(from, end_of(to)),
            (Edge::Day(from), Edge::At(to)) => Window::Once(from.and_time(NaiveTime::MIN), to),
            (Edge::Day(from), Edge::Day(to)) => Window::Once(from.and_time(NaiveTime::MIN), end_of(to)),
            _ => return Err(format!("`{from}` and `{to}` are a weekday and a date; both have to be the one or the other")),
        };
        match window {
            Window::Weekly(start, end) if start == end => Err(format!("from `{from}` to `{to}` is no time at all")),
            Window::Once(start, end) if start >= end => Err(format!("`{to}` is not after `{from}`")),
            _ => Ok(Freeze { window, environments }),
        }
    }

    /// Whether it is on at this moment in this environment.
    pub fn is_on(&self, at: DateTime<Utc>, environment: &Name, calendar: &Calendar) -> bool {
        let local = calendar.zone.local(at);
        let is_for = self.environments.is_empty() || self.environments.contains(environment);
        is_for
            && match self.window {
                Window::Once(from, to) => from <= local && local < to,
                Window::Weekly(from, to) => {
                    let now = WeekMinute::of(local.weekday(), local.time());
                    if from < to { from <= now && now < to } else { from <= now || now < to }
                }
            }
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self.window {
            Window::Weekly(from, to) => write!(formatter, "{from} to {to}"),
            Window::Once(from, to) => write!(formatter, "{} to {}", from.format("%Y-%m-%d %H:%M"), to.format("%Y-%m-%d %H:%M")),
        }
    }
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl WeekMinute {
    fn of(day: Weekday, time: NaiveTime) -> Self {
        WeekMinute(day.num_days_from_monday() * 24 * 60 + time.hour() * 60 + time.minute())
    }
}

impl fmt::Display for WeekMinute {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let (day, minute) = (self.0 / (24 * 60), self.0 % (24 * 60));
        let name = DAYS.get(day as usize).copied().unwrap_or_default();
        write!(formatter, "{name} {:02}:{:02}", minute / 60, minute % 60)
    }
}

fn edge(text: &str) -> Result<Edge, String> {
    let wrong = || format!("expected a time such as `Fri 16:00`, `2026-12-24` or `2026-12-24 12:00`, found `{text}`");
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Edge::Day(day));
    }
    let (day, time) = text.split_once(' ').ok_or_else(wrong)?;
    let time = NaiveTime::parse_from_str(time.trim(), "%H:%M").map_err(|_| wrong())?;
    match (day.parse::<NaiveDate>(), day.parse::<Weekday>()) {
        (Ok(day), _) => Ok(Edge::At(day.and_time(time))),
        (_, Ok(day)) => Ok(Edge::Weekly(WeekMinute::of(day, time))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_on(freeze: &Freeze, at: &str) -> bool {
        let calendar = Calendar { zone: "Europe/Berlin".parse().expect("zone"), ..Calendar::default() };
        freeze.is_on(at.parse().expect(at), &Name::new("production").expect("name"), &calendar)
    }

    #[test]
    fn a_weekly_freeze_goes_over_the_weekend() {
        let freeze = Freeze::new("Fri 16:00", "Mon 07:00", Vec::new()).expect("freeze");
        for (at, expected) in [
            ("2026-11-20T14:59:59Z", false), // Friday, 15:59 in Berlin
            ("2026-11-20T15:00:00Z", true),
            ("2026-11-22T12:00:00Z", true),
            ("2026-11-23T05:59:59Z", true),
            ("2026-11-23T06:00:00Z", false),
            ("2026-07-03T14:00:00Z", true), // Friday, 16:00 in summer
            ("2026-07-03T13:59:00Z", false),
        ] {
            assert_eq!(is_on(&freeze, at), expected, "{at}");
        }
        assert_eq!(freeze.to_string(), "Fri 16:00 to Mon 07:00");
        let night = Freeze::new("Wednesday 01:00", "Wed 05:00", Vec::new()).expect("freeze");
        assert!(is_on(&night, "2026-11-18T02:00:00Z") && !is_on(&night, "2026-11-19T02:00:00Z"));
    }

    #[test]
    fn a_freeze_of_days_includes_the_last() {
        let freeze = Freeze::new("2026-12-24 12:00", "2026-12-26", Vec::new()).expect("freeze");
        assert!(!is_on(&freeze, "2026-12-24T10:59:00Z") && is_on(&freeze, "2026-12-24T11:00:00Z"));
        assert!(is_on(&freeze, "2026-12-26T22:59:00Z") && !is_on(&freeze, "2026-12-26T23:00:00Z"));
        let elsewhere = Freeze::new("2026-12-24", "2026-12-24", vec![Name::new("eu-1").expect("name")]).expect("freeze");
        assert!(!is_on(&elsewhere, "2026-12-24T12:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for (from, to, because) in [
            ("Fri", "Mon 07:00", "such as `Fri 16:00`"),
            ("Fri 25:00", "Mon 07:00", "such as `Fri 16:00`"),
            ("Fri 16:00", "2026-12-24", "a weekday and a date"),
            ("Fri 16:00", "Fri 16:00", "no time at all"),
            ("2026-12-24", "2026-12-23", "is not after"),
            ("2026-13-01", "2026-12-23", "such as `Fri 16:00`"),
        ] {
            let problem = Freeze::new(from, to, Vec::new()).expect_err(from);
            assert!(problem.contains(because), "{from} {to}: {problem}");
        }
    }
}
