//! Texts that would act on a terminal, a page or a shell do so nowhere, and lines to paste are safe to paste.

use super::rig::{POLICY, Team, printed};
use crate::support::env::{Output, TestEnv};
use std::ffi::OsStr;

const ACTING: &str = "\u{1b}]0;owned\u{7}\u{1b}[31m\u{202e}a\rb";

/// Neither an escape nor anything else that acts is in there.
#[track_caller]
fn is_harmless(what: &str, text: &str) {
    let acts = |character: &char| (character.is_control() && *character != '\n') || *character == '\u{202e}';
    assert_eq!(text.chars().find(acts), None, "{what}: {text:?}");
}

#[track_caller]
fn is_harmless_output(output: &Output) {
    // the line ends of CSV are those of RFC 4180
    is_harmless("stdout", &output.stdout.replace("\r\n", "\n"));
    is_harmless("stderr", &output.stderr);
}

/// A deployment about which everything that somebody can name is hostile.
fn hostile() -> (Team, String) {
    let mut team = Team::laptop(&POLICY.replace("hotfix/*", "*pwned*"));
    team.deploy("1", &[]).expect(0);
    team.branch("$(touch${IFS}pwned)`id`'\";<b>|pwned");
    let path = format!("billing/{ACTING}\n**x** <img src=x> $(touch pwned).rs");
    let message = format!("Fix {ACTING} **it** [x](javascript:1)\n\nDeploy-Emergency: {ACTING} <script> | $(touch pwned)");
    let sha = team.commit(&[(&path, "2")], &message);
    (team, sha)
}

#[test]
fn nothing_acts_on_a_terminal_or_a_page() {
    let (team, sha) = hostile();
    let reason = format!("line one\n# {ACTING} **two** | <script>alert(1)</script> @all !12 #3");
    let flags = ["--emergency", &reason, "--ticket", ACTING, "--check", &format!("{ACTING}=ok")];
    let mut outputs = vec![team.deploy("2", &flags), team.run(&[&["check", "-e", "production"], &flags[..]].concat())];
    assert!(outputs.iter().all(|output| output.code == 1), "{outputs:#?}");
    outputs.push(team.deploy("3", &["--break-glass", &reason]));
    let approve = ["approve", "-e", "production", "--commit", &sha, "--reason", &reason, "--follow-up", ACTING];
    outputs.push(team.as_person("dana", &approve));
    for line in [&["log"][..], &["status"], &["show", "3"], &["show", "4"], &["show", "6"], &["explain", "--record", "3"]] {
        for format in ["table", "json", "csv", "markdown"] {
            outputs.push(team.run(&[line, &["--format", format]].concat()));
        }
    }
    outputs.push(team.run(&["explain", "-e", "production", "--emergency", &reason]));
    outputs.push(team.run(&["verify"]));
    outputs.iter().for_each(is_harmless_output);
    assert!(outputs[2..].iter().all(|output| output.code == 0), "{outputs:#?}");
    let page = team.env.git(&["show", "deploy-log:README.md"]);
    is_harmless("the page", &page);
    assert!(!page.contains("<script>") && !page.contains("<img") && !page.contains("](javascript"), "{page}");
    assert!(!team.env.path().join("pwned").exists());
}

#[test]
fn a_line_to_paste_is_one_command_whatever_is_in_it() {
    let (team, sha) = hostile();
    let project = "grp/$(touch pwned)'; touch pwned; '`touch pwned`";
    let log = format!("{}/a '$(touch pwned)' log.git", team.env.path().display());
    team.env.git(&["init", "--quiet", "--bare", &log]);
    let flags = ["--emergency", "it burns", "--project", project, "--commit", &sha, "--log", &log];
    let refused = team.deploy("2", &flags);
    let line = printed(refused.expect(1), "approve").pop().expect("a line to paste");
    let dana = team.machine_of("dana");
    let pasted = dana.run(OsStr::new("sh"), &["-c", &format!("{line} --reason fine")], b"");
    pasted.expect(0);
    for env in [&team.env, &dana] {
        assert!(!env.path().join("pwned").exists());
    }
    let approval = team.env.records(log.as_ref()).pop().expect("an approval");
    assert_eq!((&approval["kind"], &approval["project"]["path"]), (&"approval".into(), &project.into()));
    team.deploy("2", &flags).expect(0).says("approved: by dana");
}

#[test]
fn a_service_with_spaces_in_its_name_is_one_word_and_any_other_hostile_name_is_none() {
    let mut team = Team::laptop("approval: { approvers: [dana] }\nenvironments: { big prod: { approval_for: always } }\n");
    team.commit(&[], "A change");
    for name in ["a;touch pwned", "$(touch pwned)", "a\nb", "a\u{1b}[31m", "-x'", " a"] {
        let output = team.run(&["check", "-e", "big prod", "--service", name]);
        output.expect(2);
        is_harmless_output(&output);
    }
    let refused = team.run(&["run", "-e", "big prod", "--service", "pay roll", "--", "true"]);
    let line = printed(refused.expect(1), "approve").pop().expect("a line to paste");
    assert!(line.contains("--environment 'big prod' --service 'pay roll' --commit "), "{line}");
    let dana: TestEnv = team.machine_of("dana");
    dana.run(OsStr::new("sh"), &["-c", &format!("{line} --reason fine")], b"").expect(0);
    team.run(&["run", "-e", "big prod", "--service", "pay roll", "--", "true"]).expect(0).says("approved: by dana");
}
