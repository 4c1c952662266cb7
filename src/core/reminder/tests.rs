use super::*;
use crate::core::record::tests::example;
use crate::core::record::{ApprovalSource, Line, Link, Override, Time};
use proptest::prelude::*;

fn berlin() -> Calendar {
    Calendar { zone: "Europe/Berlin".parse().expect("zone"), ..Calendar::default() }
}

fn owed(kind: Kind) -> Record {
    let mut record = example(kind);
    let follow_up = record.follow_up.get_or_insert_default();
    follow_up.due = Some("2026-11-23T22:59:59Z".parse::<Time>().expect("time"));
    follow_up.assignee = Some(Name::new("dana").expect("login"));
    record
}

fn composed(record: &Record) -> Reminder {
    let mark = mark(&record.id).expect("a mark");
    compose(record, 12, &mark, "deploy-record review 12", &berlin())
}

#[test]
fn it_says_what_when_and_what_to_do() {
    let mut record = owed(Kind::Deployment);
    record.class.as_mut().expect("a class").name = ClassName::Emergency;
    let reminder = composed(&record);
    assert_eq!(reminder.title, "Review the emergency deployment of billing-api 1.4.2 to production (record 12)");
    assert_eq!(reminder.due, NaiveDate::from_ymd_opt(2026, 11, 23));
    assert_eq!(reminder.assignee.as_ref().map(Name::as_str), Some("dana"));
    for words in
        ["`deploy-record review 12`", "`deployrecordreviewfedcba9876543210`", "Mon 2026-11-23 23:59 Europe/Berlin", "dana"]
    {
        assert!(reminder.description.contains(words), "{words}: {}", reminder.description);
    }
    assert!(has_mark(&reminder.description, "deployrecordreviewfedcba9876543210"));
    let rollback = composed(&owed(Kind::Rollback));
    assert!(rollback.title.starts_with("Review the rollback to billing-api 1.4.2 in production"), "{}", rollback.title);
}

/// Ten minutes to midnight in UTC is the next day in Berlin.
#[test]
fn the_day_is_that_of_the_team() {
    let mut record = owed(Kind::Deployment);
    let follow_up = record.follow_up.as_mut().expect("a follow-up");
    follow_up.due = Some("2026-11-23T23:50:00Z".parse().expect("time"));
    assert_eq!(composed(&record).due, NaiveDate::from_ymd_opt(2026, 11, 24));
}

#[test]
fn a_mark_is_one_word_and_only_the_very_word() {
    let id = Id::from_bits([0xab; 16]);
    let mark = mark(&id).expect("a mark");
    assert_eq!(mark, "deployrecordreviewabababababababab");
    assert_eq!(super::mark(&Id::from_bits([0; 16])), None, "a draft has no id yet");
    for text in ["by `deployrecordreviewabababababababab`.", "deployrecordreviewabababababababab"] {
        assert!(has_mark(text, &mark), "{text}");
    }
    for text in ["deployrecordreviewababababababababab", "xdeployrecordreviewabababababababab", "deployrecordreviewab", ""] {
        assert!(!has_mark(text, &mark), "{text}");
    }
}

/// What acts in GitLab: none of it may stand in the text as it was written.
const HOSTILE: &[&str] = &[
    "/close",
    "\n/assign @eve",
    "@all",
    "#1",
    "!2",
    "~bug",
    "%3",
    "$4",
    "&5",
    "<img src=x>",
    "<!--",
    "```",
    "</details>",
    "`",
    "![a](b)",
    "[a](javascript:b)",
    "| x |",
    "\n\n",
    "\r/approve",
    "\u{85}/merge",
    "\u{2028}/merge",
    "&#64;all",
    ":100:",
    "- [x] a",
    "https://evil.example/",
    "deployrecordreviewfedcba9876543210",
    "é",
    "plain words",
];

fn is_escaped(text: &str, sign: char) -> bool {
    let characters: Vec<_> = text.chars().collect();
    characters.iter().enumerate().all(|(at, character)| {
        *character != sign || characters[..at].iter().rev().take_while(|before| **before == '\\').count() % 2 == 1
    })
}

proptest! {
    /// Whatever people wrote, the lines are ours, and what they wrote is text in them.
    #[test]
    fn nothing_that_people_wrote_acts(parts in prop::collection::vec(prop::sample::select(HOSTILE), 1..8)) {
        let hostile = parts.join(" ");
        let mut record = owed(Kind::Deployment);
        let (line, text) = (Line::clean(&hostile), Text::clean(&hostile));
        prop_assume!(line.is_some() && text.is_some());
        record.version = line.clone();
        record.commit.as_mut().expect("a commit").title = line.clone();
        record.actor.as_mut().expect("an actor").name = line.clone();
        let class = record.class.as_mut().expect("a class");
        class.because = line.iter().cloned().collect();
        let approval = record.approval.as_mut().expect("an approval");
        (approval.source, approval.note) = (ApprovalSource::MergeRequestNote, text.clone());
        record.break_glass.as_mut().expect("the glass").reason = text.clone().expect("text");
        let (rule, reason) = (line.expect("a line"), text.clone().expect("text"));
        record.overrides = vec![Override { rule, reason, newer: Default::default() }];
        record.follow_up.as_mut().expect("a follow-up").note = text;
        record.job.as_mut().expect("a job").url = Link::new("https://gitlab.example/a/-/jobs/1").ok();
        let reminder = composed(&record);

        let clean = composed(&owed(Kind::Deployment));
        let (own, other) = (reminder.description.lines().count(), clean.description.lines().count());
        prop_assert!(own.abs_diff(other) <= 4, "{}", reminder.description);
        for line in reminder.description.lines() {
            prop_assert!(line.is_empty() || line.starts_with("- **") || line.starts_with(['`', 'R', 'T', 'd']), "{line}");
            prop_assert!(!line.starts_with('/'), "{line}");
            if let Some((_, value)) = line.strip_prefix("- **").and_then(|line| line.split_once("**: ")) {
                let value = value.replace("&lt;", "").replace("&gt;", "").replace("&#124;", "");
                for sign in ['@', '#', '!', '~', '%', '`', '[', '*', '&'] {
                    prop_assert!(value.starts_with("<https://gitlab") || is_escaped(&value, sign), "{sign} in {value}");
                }
                let html = value.replace("<span>", "").replace("</span>", "");
                prop_assert!(value.starts_with("<https://gitlab") || !html.contains('<'), "{value}");
            }
        }
        prop_assert!(!reminder.title.contains(['@', '#', '!', '~', '%', '$', '&', '[', '<', '\n', '\r', '\u{2028}']), "{}", reminder.title);
        prop_assert!(reminder.title.chars().count() <= 255 && reminder.title.ends_with("(record 12)"));
    }

    #[test]
    fn no_text_is_too_long(length in 1usize..5000) {
        let mut record = owed(Kind::Deployment);
        record.version = Line::clean(&"ü".repeat(length));
        record.service = Name::new("s".repeat(length.min(255))).ok();
        record.environment.as_mut().expect("one").name = Name::new("e".repeat(length.min(255))).expect("a name");
        record.break_glass.as_mut().expect("the glass").reason = Text::clean(&"ü".repeat(length)).expect("text");
        let reminder = composed(&record);
        prop_assert!(reminder.title.chars().count() <= 255);
        prop_assert!(reminder.description.len() < 30_000);
    }

    #[test]
    fn a_command_does_not_leave_its_code(command in "[`a \n'/@#]{0,20}") {
        let code = markdown_code(&command);
        let fence = code.chars().take_while(|character| *character == '`').count();
        let inner = &code[fence..code.len() - fence];
        let runs = inner.split(|character| character != '`').map(str::len);
        prop_assert!(!code.contains('\n') && runs.into_iter().all(|run| run < fence), "{code}");
    }
}
