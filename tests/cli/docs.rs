//! The documents say what the program does.

use crate::support::env::TestEnv;
use deploy_record::cli::Exit;
use deploy_record::core::finding::Code;
use deploy_record::core::gate;
use deploy_record::core::record::Record;
use deploy_record::core::record::kinds::{KINDS, KindRule};
use deploy_record::core::record::shape::FieldType as _;
use deploy_record::core::state::State;
use serde_json::Value;

const README: &str = include_str!("../../README.md");
const FORMAT: &str = include_str!("../../docs/format.md");

#[test]
fn every_code_stands_in_the_format() {
    let row = |code: &Code| format!("| `{code}` | {} | {} |", code.severity(), code.description());
    for code in Code::ALL {
        assert!(FORMAT.contains(&row(code)), "{}", row(code));
    }
    assert_eq!(FORMAT.matches(" | error | ").count() + FORMAT.matches(" | notice | ").count(), Code::ALL.len());
}

#[test]
fn the_exit_codes_stand_in_the_readme_and_in_the_help() {
    let help = TestEnv::new().deploy_record(&["--help"]);
    for (code, meaning) in Exit::TABLE {
        assert!(README.contains(&format!("| {code} | {meaning} |")), "{code}");
        assert!(help.stdout.contains(&format!("{code}  {meaning}")), "{code}");
    }
}

#[test]
fn the_version_asked_for_alone_is_the_one_that_the_parser_gives() {
    let env = TestEnv::new();
    let parsed = env.deploy_record(&["--verbose", "--version"]);
    parsed.expect(0).shows(concat!("deploy-record ", env!("CARGO_PKG_VERSION"), "\n"));
    for alone in ["--version", "-V"] {
        let quick = env.deploy_record(&[alone]);
        assert_eq!((&quick.stdout, &quick.stderr, quick.code), (&parsed.stdout, &parsed.stderr, parsed.code), "{alone}");
    }
}

#[test]
fn every_command_and_option_of_the_readme_exists() {
    let env = TestEnv::new();
    let help = env.deploy_record(&["--help"]).stdout;
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `--")?.split('`').next());
    for option in rows {
        assert!(help.contains(&format!("--{option}")), "--{option}");
    }
    let commands = help.split("Commands:").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("the commands");
    let commands =
        commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    for command in commands.filter(|command| *command != "help") {
        assert!(README.contains(&format!("`deploy-record {command}")), "{command}");
        let help = env.deploy_record(&[command, "--help"]);
        assert!(help.expect(0).stdout.contains("Example"), "{command} has no example");
    }
}

#[test]
fn the_gates_codes_are_those_of_the_code() {
    let row = |code: &gate::Code| format!("| `{code}` | {} |\n", code.description());
    let rows: String = gate::Code::ALL.iter().map(row).collect();
    stands_in("gate.md", "gate codes", &format!("\n| code | meaning |\n| --- | --- |\n{rows}\n"));
}

/// The part of a page between a marker and its end is what the code makes of it; `UPDATE_GOLDEN=1` writes it.
#[track_caller]
fn stands_in(page: &str, marker: &str, expected: &str) {
    let path = format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(&format!("<!-- {marker}")).expect("a marker");
    let (line, rest) = rest.split_once("-->\n").expect("the marker's end");
    let (found, after) = rest.split_once("<!-- end -->").expect("an end");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{before}<!-- {marker}{line}-->\n{expected}<!-- end -->{after}")).expect("written");
        return;
    }
    assert_eq!(found, expected, "{path} is not what the code makes of it; UPDATE_GOLDEN=1 writes it");
}

/// A value's type in words, and the objects in it that have a table of their own.
fn type_words(schema: &Value, objects: &mut Vec<Value>) -> String {
    let title = schema["title"].as_str().unwrap_or_default();
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", type_words(&schema["items"], objects)),
        Some("object") => {
            if !objects.iter().any(|known| known["title"] == title) {
                objects.push(schema.clone());
            }
            format!("[{title}](#{})", title.to_lowercase())
        }
        Some("string") => words_of(title),
        Some(other) => other.to_owned(),
        None => schema["enum"]
            .as_array()
            .expect("a choice")
            .iter()
            .map(|word| format!("`{}`", word.as_str().expect("a word")))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn words_of(title: &str) -> String {
    match title {
        "CommitId" => "commit".to_owned(),
        "Base64" => "base64".to_owned(),
        other => other.to_lowercase(),
    }
}

/// Tables of an object and of all objects in it, each once, in the order in which they come up; those of `objects` have theirs.
fn tables(objects: &mut Vec<Value>, schema: Value) -> String {
    let mut next = objects.len();
    objects.push(schema);
    let mut text = String::new();
    while let Some(object) = objects.get(next).cloned() {
        let title = object["title"].as_str().expect("a title");
        text.push_str(&format!("\n### {title}\n\n| field | value | meaning |\n| --- | --- | --- |\n"));
        let required: Vec<_> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in object["properties"].as_object().expect("fields") {
            let star = if required.contains(&name.as_str()) { "*" } else { "" };
            let words = type_words(field, objects);
            text.push_str(&format!("| `{name}`{star} | {words} | {} |\n", field["description"].as_str().expect("a meaning")));
        }
        next += 1;
    }
    text + "\n"
}

#[test]
fn the_tables_of_the_format_are_the_codes() {
    let mut objects = Vec::new();
    stands_in("format.md", "fields", &tables(&mut objects, Record::schema()));
    stands_in("format.md", "state", &tables(&mut objects, State::schema()));
    let names = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let row = |rule: &KindRule| format!("| `{}` | {} | {} |\n", rule.kind, names(rule.required), names(rule.allowed));
    let rows: String = KINDS.iter().map(row).collect();
    stands_in("format.md", "kinds", &format!("\n| kind | required | allowed |\n| --- | --- | --- |\n{rows}\n"));
}
