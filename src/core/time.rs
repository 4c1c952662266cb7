//! Times and lengths of time in words. Pure: the present is an argument.

use chrono::{DateTime, Utc};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long before `now` something was: `just now` (less than a minute), `9 minutes ago`, `3 hours ago`, `2 days ago`;
/// the other way round where it is still to come: `in 3 hours`.
pub fn ago(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds();
    let (count, unit) = match seconds.unsigned_abs() {
        ..MINUTE => return "just now".to_owned(),
        length @ MINUTE..HOUR => (length / MINUTE, "minute"),
        length @ HOUR..DAY => (length / HOUR, "hour"),
        length => (length / DAY, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if seconds < 0 { format!("in {count} {unit}{plural}") } else { format!("{count} {unit}{plural} ago") }
}

/// A length of time in its two greatest units, rounded down: `45 s`, `9 min`, `3 h 20 min`, `2 d 4 h`.
pub fn duration(seconds: u64) -> String {
    match seconds {
        ..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => two_units(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ => two_units(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    }
}

fn two_units(great: u64, great_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{great} {great_unit}"),
        _ => format!("{great} {great_unit} {small} {small_unit}"),
    }
}

/// Date and minute in UTC: `2026-11-20 14:05 UTC`.
pub fn readable(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-20T14:05:59Z".parse().unwrap()
    }

    #[test]
    fn ago_names_the_greatest_unit() {
        let cases = [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (9 * 60 + 59, "9 minutes ago"),
            (3_599, "59 minutes ago"),
            (3_600, "1 hour ago"),
            (3 * 3_600, "3 hours ago"),
            (86_399, "23 hours ago"),
            (86_400, "1 day ago"),
            (2 * 86_400 + 5, "2 days ago"),
            (400 * 86_400, "400 days ago"),
            (-59, "just now"),
            (-60, "in 1 minute"),
            (-3 * 3_600, "in 3 hours"),
        ];
        for (seconds, expected) in cases {
            let then = now() - TimeDelta::seconds(seconds);
            assert_eq!(ago(then, now()), expected, "{seconds}");
        }
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        let cases = [
            (0, "0 s"),
            (45, "45 s"),
            (59, "59 s"),
            (60, "1 min"),
            (9 * 60 + 30, "9 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (3 * 3_600 + 20 * 60, "3 h 20 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 d"),
            (2 * 86_400 + 4 * 3_600 + 59, "2 d 4 h"),
            (u64::MAX, "213503982334601 d 7 h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(duration(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_readable_time_is_in_utc_to_the_minute() {
        assert_eq!(readable(now()), "2026-11-20 14:05 UTC");
        let early = "0987-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(readable(early), "0987-01-02 03:04 UTC");
        for extreme in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert!(readable(extreme).ends_with(" UTC"));
            assert!(!ago(extreme, now()).is_empty());
        }
    }
}
