//! The arrows between the layers point down only: see the crate's documentation.

use std::path::Path;

/// Each layer with what it may use of the crate; `core` stands for itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &["core"]),
    ("config", &["config", "core"]),
    ("ci.rs", &["core"]),
    ("http.rs", &[]),
    ("keys", &["child", "core", "keys"]),
    ("signer.rs", &["core", "keys"]),
    ("command.rs", &[]),
    ("spool.rs", &[]),
    ("scratch.rs", &[]),
    ("child.rs", &[]),
    ("git", &["child", "git", "http"]),
    ("gitlab", &["core", "gitlab", "http"]),
    ("repo", &["core", "git", "http", "repo", "scratch"]),
    ("store", &["core", "git", "http", "scratch", "store"]),
    ("recorder.rs", &["core", "http", "signer", "store"]),
    ("recorder", &["core", "http", "recorder", "signer", "spool", "store"]),
    ("ui.rs", &["core", "ui"]),
    ("ui", &["core", "ui"]),
];

/// What the core and the pure layers never touch.
const WORLD: &[&str] =
    &["std::fs", "std::env", "std::process", "std::net", "std::io::std", "SystemTime", "Utc::now", "git2", "reqwest", "clap"];

#[test]
fn arrows_point_down() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (layer, allowed) in LAYERS {
        for (path, text) in sources(&source.join(layer)) {
            for used in text.split("crate::").skip(1) {
                let name: String =
                    used.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
                let is_module = source.join(&name).exists() || source.join(format!("{name}.rs")).exists();
                assert!(!is_module || allowed.contains(&name.as_str()), "{path} uses crate::{name}");
            }
        }
    }
}

#[test]
fn the_core_knows_no_world() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for layer in ["core", "config", "ci.rs"] {
        for (path, text) in sources(&source.join(layer)) {
            for word in WORLD {
                assert!(!text.contains(word), "{path} uses {word}");
            }
        }
    }
}

#[test]
fn one_place_prints() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (path, text) in sources(&source) {
        if !path.contains("/ui.rs") && !path.contains("/ui/") && !path.contains("/tests") {
            for word in ["println!", "eprintln!", "print!(", "io::stdout", "io::stderr"] {
                assert!(!text.contains(word), "{path} has {word}");
            }
        }
    }
}

fn sources(path: &Path) -> Vec<(String, String)> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
        return entries.flat_map(|path| sources(&path)).collect();
    }
    let name = path.display().to_string();
    if !name.ends_with(".rs") || name.ends_with("/tests.rs") || name.contains("/tests/") {
        return Vec::new();
    }
    let text = std::fs::read_to_string(path).expect("a source");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
    vec![(name, text)]
}
