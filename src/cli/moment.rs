//! Times on the command line: a moment, a day in UTC, or how long ago.

use crate::core::record::Time;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use std::str::FromStr;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// A moment as people name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// To the second.
    At(DateTime<Utc>),
    /// A whole day, in UTC.
    Day(NaiveDate),
    /// So long ago.
    Ago(TimeDelta),
}

impl Moment {
    /// Where it begins: a day with its first second.
    pub fn begin(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::At(at) => at,
            Moment::Day(day) => midnight(day),
            Moment::Ago(ago) => now.checked_sub_signed(ago).unwrap_or(DateTime::<Utc>::MIN_UTC),
        }
    }

    /// Where it ends: a day with the first second of the next one, which is not part of it.
    pub fn end(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::Day(day) => day.checked_add_days(Days::new(1)).map_or(DateTime::<Utc>::MAX_UTC, midnight),
            other => other.begin(now),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a time like 7d, 12h, 30m, 2w, 2026-11-20 or 2026-11-20T14:05:11Z (UTC)".to_owned();
        if let Ok(time) = text.parse::<Time>() {
            return Ok(Moment::At(time.utc()));
        }
        let has_shape = text.len() == "2026-11-20".len();
        if let (true, Ok(day)) = (has_shape, NaiveDate::parse_from_str(text, "%Y-%m-%d")) {
            return Ok(Moment::Day(day));
        }
        let unit = text.chars().last().ok_or_else(wrong)?;
        let number = &text[..text.len() - unit.len_utf8()];
        let seconds = match unit {
            'w' => WEEK,
            'd' => DAY,
            'h' => HOUR,
            'm' => MINUTE,
            _ => return Err(wrong()),
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let length = number.parse::<i64>().ok().and_then(|number| number.checked_mul(seconds));
        length.and_then(TimeDelta::try_seconds).map(Moment::Ago).ok_or_else(wrong)
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-20T14:05:11Z".parse().expect("a time")
    }

    fn span(text: &str) -> (String, String) {
        let moment: Moment = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        (Time::new(moment.begin(now())).to_string(), Time::new(moment.end(now())).to_string())
    }

    #[test]
    fn a_moment_begins_and_ends() {
        for (text, begin, end) in [
            ("30m", "2026-11-20T13:35:11Z", "2026-11-20T13:35:11Z"),
            ("12h", "2026-11-20T02:05:11Z", "2026-11-20T02:05:11Z"),
            ("7d", "2026-11-13T14:05:11Z", "2026-11-13T14:05:11Z"),
            ("2w", "2026-11-06T14:05:11Z", "2026-11-06T14:05:11Z"),
            ("0m", "2026-11-20T14:05:11Z", "2026-11-20T14:05:11Z"),
            ("2026-11-19", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z"),
            ("2026-11-19T01:02:03Z", "2026-11-19T01:02:03Z", "2026-11-19T01:02:03Z"),
            ("9999-12-31", "9999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(span(text), (begin.to_owned(), end.to_owned()), "{text}");
        }
        assert!("100000000d".parse::<Moment>().expect("long ago").begin(now()) < now(), "no overflow");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "7",
            "d",
            "-7d",
            "+7d",
            "7 d",
            "7y",
            "7ö",
            "yesterday",
            "2026-11-31",
            "2026-1-2",
            "20261120",
            "2026-11-20T14:05Z",
            "2026-11-20T14:05:11+01:00",
            "99999999999999999999d",
            "9223372036854775807w",
        ] {
            let error = text.parse::<Moment>().expect_err(text);
            assert!(error.contains("2026-11-20T14:05:11Z"), "{error}");
        }
    }
}
