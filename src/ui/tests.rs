use anyhow::Context;

use super::*;

fn ui() -> Ui {
    Ui::new(0, Box::new(|text| text.replace("glpat-secret", "[redacted]")))
}

fn plain(text: &str) -> String {
    strip_str(text).to_string()
}

#[test]
fn messages_are_labelled_scrubbed_escaped_and_indented() {
    let cases = [
        ("recorded as 124", "deploy-record: recorded as 124\n"),
        ("recorded as 124\n", "deploy-record: recorded as 124\n"),
        ("token glpat-secret!", "deploy-record: token [redacted]!\n"),
        ("a\nb\nc", "deploy-record: a\n  b\n  c\n"),
        (
            "x\r\n\u{1b}[2Jdeploy-record: error: fake\u{202e}",
            "deploy-record: x\\r\n  \\u{1b}[2Jdeploy-record: error: fake\\u{202e}\n",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(plain(&ui().message("", WARNING, text)), expected, "{text:?}");
    }
    let warning = ui().message("warning: ", WARNING, "disk nearly full");
    assert_eq!(plain(&warning), "deploy-record: warning: disk nearly full\n");
    assert!(warning.contains("\u{1b}["));
    assert_eq!(plain(&ui().hint_line("run\n`x` glpat-secret")), "hint: run\n  `x` [redacted]\n");
}

#[test]
fn a_secret_spread_over_an_escape_is_still_scrubbed() {
    // Scrubbing after escaping would miss what the escape tore apart.
    let scrub = |text: &str| text.replace("key\u{200b}value", "[redacted]");
    let message = Ui::new(0, Box::new(scrub)).message("", WARNING, "key\u{200b}value");
    assert_eq!(plain(&message), "deploy-record: [redacted]\n");
}

#[test]
fn an_error_names_all_its_causes_once() {
    let root = || Err::<(), _>(io::Error::other("connection refused"));
    let cases = [
        (root().context("can't fetch the log"), "can't fetch the log: connection refused"),
        (root().context("can't reach `host`").context("can't fetch"), "can't fetch: can't reach `host`: connection refused"),
        (root().context("can't fetch: connection refused"), "can't fetch: connection refused"),
        (root().context("same").context("same"), "same: connection refused"),
    ];
    for (result, expected) in cases {
        assert_eq!(causes(&result.unwrap_err()), expected);
    }
    assert_eq!(causes(&anyhow::anyhow!("alone")), "alone");
}

#[test]
fn a_failure_to_print_is_kept_but_for_a_reader_that_has_gone() {
    let ui = ui();
    let failure = |kind| Err(io::Error::from(kind));
    ui.keep_failure(Ok(()));
    ui.keep_failure(failure(io::ErrorKind::BrokenPipe));
    assert!(ui.output_failure().is_none());
    ui.keep_failure(failure(io::ErrorKind::StorageFull));
    ui.keep_failure(failure(io::ErrorKind::Other));
    ui.keep_failure(Ok(()));
    let kept = ui.output_failure().unwrap();
    assert_eq!(kept.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn what_is_safe_passes_a_stream_without_colours_unchanged() {
    for text in ["a,\"b\nc\"\r\n", "日本語 é\u{301} 👩\u{200d}👧\n", "{\n  \"a\": \"\\u001b\"\n}\n", r"\u{9b}[31m"] {
        assert_eq!(plain(text), text);
    }
}
