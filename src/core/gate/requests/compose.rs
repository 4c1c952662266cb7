//! The comment by which somebody approves, made so that it is read as it was meant.

use super::note::{self, KEY, Saying, WITHDRAWN, Words};
use crate::core::record::Text;

/// The comment that says these words. Texts become one line each: so no line of theirs begins a quote, code, another field, or one
/// of GitLab's quick actions (docs.gitlab.com/user/project/quick_actions), and none ends the approval.
///
/// # Errors
/// Says why no comment can say it.
pub fn approving(words: &Words) -> Result<String, String> {
    let meant = Words {
        reason: words.reason.as_ref().and_then(one_line),
        follow_up: words.follow_up.as_ref().and_then(one_line),
        ..words.clone()
    };
    if meant.environment.eq_ignore_ascii_case(WITHDRAWN) {
        return Err(format!("a comment can't approve for an environment of the name `{WITHDRAWN}`: that takes approvals back"));
    }
    let covers: Vec<_> = meant.covers.iter().map(|iid| format!("!{iid}")).collect();
    let lines = [
        Some(format!("{KEY}: {}", meant.environment)),
        meant.reason.as_ref().map(|reason| format!("Reason: {reason}")),
        meant.service.as_ref().map(|service| format!("Service: {service}")),
        (!covers.is_empty()).then(|| format!("Covers: {}", covers.join(" "))),
        meant.follow_up.as_ref().map(|follow_up| format!("Follow-up: {follow_up}")),
    ];
    let text = lines.into_iter().flatten().collect::<Vec<_>>().join("\n");
    match note::read(&text) {
        Saying::Approves(read) if read == meant => Ok(text),
        Saying::Malformed(problem) => Err(problem.to_owned()),
        _ => Err("its words would be read as others".to_owned()),
    }
}

/// The comment that takes back what its author said before.
pub fn withdrawing(reason: Option<&Text>) -> String {
    let reason = reason.and_then(one_line).map(|reason| format!("\nReason: {reason}")).unwrap_or_default();
    format!("{KEY}: {WITHDRAWN}{reason}")
}

fn one_line(text: &Text) -> Option<Text> {
    let line: String = text.as_str().chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    Text::clean(&line.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(reason: &str) -> Words {
        Words {
            environment: "production".to_owned(),
            service: None,
            reason: Text::clean(reason),
            covers: Vec::new(),
            follow_up: None,
        }
    }

    #[test]
    fn all_of_it() {
        let words = Words {
            service: Some("api".to_owned()),
            covers: vec![120, 123],
            follow_up: Text::clean("dana looks\nat it"),
            ..words("EU cards fail;\n\ndana agreed")
        };
        let text = "Deploy-Approval: production\nReason: EU cards fail; dana agreed\nService: api\nCovers: !120 !123\n\
                    Follow-up: dana looks at it";
        assert_eq!(approving(&words).as_deref(), Ok(text));
        assert_eq!(withdrawing(None), "Deploy-Approval: withdrawn");
        assert_eq!(
            withdrawing(Text::clean("it\n/close\nbroke").as_ref()),
            "Deploy-Approval: withdrawn\nReason: it /close broke"
        );
    }

    #[test]
    fn what_can_not_be_said_is_not() {
        let other = |environment: &str| approving(&Words { environment: environment.to_owned(), ..words("x") });
        for environment in ["withdrawn", "Withdrawn", "", " production", "a\nb", "a\n/close"] {
            assert!(other(environment).is_err(), "{environment:?}");
        }
        let many = Words { covers: (1..=101).collect(), ..words("x") };
        assert!(approving(&many).is_err_and(|problem| problem.contains("at most 100")));
    }

    /// What would break the grammar, or act in GitLab, at the beginning of a line.
    const PARTS: &str = "(\n|\r|\r\n|\u{b}|\u{85}|\u{2028}| |\t|>|>>>|```|~~~|<!--|-->|<pre>|/close|/approve|Covers: !1|Reason: y|\
                         Deploy-Approval: staging|Service: web|Follow-up: z|:|-|# a|---|é|x|    ){1,12}";

    proptest! {
        #[test]
        fn it_is_read_as_it_was_meant(
            reason in PARTS, follow_up in proptest::option::of(PARTS), covers in prop::collection::vec(1u64..1 << 53, 0..4),
            service in proptest::option::of("[a-z][a-z0-9._:/ -]{0,10}[a-z0-9]"), environment in "[a-zA-Z][a-zA-Z0-9._:/ -]{0,12}[a-z0-9]",
        ) {
            let follow_up = follow_up.as_deref().and_then(Text::clean);
            let meant = Words { environment, service, covers, follow_up, ..words(&reason) };
            let text = approving(&meant).expect("whatever is said can be said on lines");
            let flat = |text: &Option<Text>| {
                text.as_ref().map(|text| text.as_str().split(|c: char| c.is_whitespace() || c.is_control()).collect::<String>())
            };
            let Saying::Approves(read) = note::read(&text) else { panic!("{text}") };
            prop_assert_eq!(flat(&read.reason), flat(&meant.reason).filter(|reason| !reason.is_empty()));
            prop_assert_eq!(flat(&read.follow_up), flat(&meant.follow_up).filter(|text| !text.is_empty()));
            prop_assert_eq!((&read.environment, &read.service, &read.covers), (&meant.environment, &meant.service, &meant.covers));
            prop_assert!(text.lines().all(|line| !line.trim_start().starts_with('/')), "{text}");
            prop_assert!(!text.contains(['\r', '\u{85}', '\u{2028}', '\u{b}']), "{text:?}");
            prop_assert!(matches!(note::read(&withdrawing(meant.reason.as_ref())), Saying::Withdraws));
        }
    }
}
