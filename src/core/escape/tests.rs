use proptest::prelude::*;

use super::*;

/// Characters that must never reach a terminal, whatever stands around them.
const FORBIDDEN: [(char, char); 18] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200b}'),
    ('\u{200e}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{e0000}', '\u{e00ff}'),
    ('\u{e01f0}', '\u{e0fff}'),
];

fn is_forbidden(character: char) -> bool {
    FORBIDDEN.iter().any(|&(first, last)| (first..=last).contains(&character))
}

/// What is special somewhere, alone or with the next.
const SPECIAL: &str = "http:// https:// www. mailto:a@b.c :x: :100: 14:05 {+ +} [- -] [x] [TOC] [[ ]] /close @all #1 !1 \
    &1 %1 ~x $1 $$ ^1 [^1] ]( <a> <!-- &lt; &#35; 1. 1) - + * > # --- === ``` | \\| \\ a 7 é 中 👩\u{200d}👧 a\u{200d}b \
    \u{fe0f} = @ \u{ff1d} , \" ;";

/// Any text, and text made of what is special somewhere.
fn hostile() -> impl Strategy<Value = String> {
    let forbidden = proptest::sample::select(&FORBIDDEN[..]);
    let forbidden = forbidden.prop_map(|(first, last)| format!("{first}{last}"));
    let special = SPECIAL.split(' ').chain([" ", "\n", "\r", "\t"]);
    let special: Vec<String> = special.map(str::to_owned).collect();
    let piece = prop_oneof![
        8 => proptest::sample::select(special),
        2 => forbidden,
        1 => any::<String>(),
        1 => "[ -~]{0,3}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

#[test]
fn what_acts_unseen_becomes_visible() {
    let cases = [
        ("\u{1b}[31mred\u{1b}[0m", r"\u{1b}[31mred\u{1b}[0m"),
        ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
        ("\u{9b}31m", r"\u{9b}31m"),
        ("a\0b\u{8}c\u{7f}", r"a\u{0}b\u{8}c\u{7f}"),
        ("over\rwritten", r"over\rwritten"),
        ("one\ttwo", r"one\ttwo"),
        ("abc\u{202e}txt.exe", r"abc\u{202e}txt.exe"),
        ("\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
        ("\u{200e}\u{200f}\u{61c}", r"\u{200e}\u{200f}\u{61c}"),
        ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
        ("pay\u{200b}ment\u{feff}", r"pay\u{200b}ment\u{feff}"),
        ("x\u{e0041}\u{e007f}", r"x\u{e0041}\u{e007f}"),
        ("soft\u{ad}hyphen", r"soft\u{ad}hyphen"),
        ("\u{3164}\u{ffa0}\u{115f}", r"\u{3164}\u{ffa0}\u{115f}"),
        ("1\u{2060}2\u{2064}3", r"1\u{2060}2\u{2064}3"),
        // Joiners and variation selectors where they have nothing to do.
        ("pay\u{200d}ment", r"pay\u{200d}ment"),
        ("pay\u{200c}ment", r"pay\u{200c}ment"),
        ("\u{200d}", r"\u{200d}"),
        ("é\u{200d}", r"é\u{200d}"),
        ("é\u{200d}\u{200d}é", r"é\u{200d}\u{200d}é"),
        ("a\u{fe00}b\u{fe0f}", r"a\u{fe00}b\u{fe0f}"),
        ("😀\u{fe0f}\u{fe0e}", "😀\u{fe0f}\\u{fe0e}"),
        ("😀\u{e0101}", r"😀\u{e0101}"),
        (" \u{fe0f}", r" \u{fe0f}"),
    ];
    for (text, expected) in cases {
        assert_eq!(terminal(text), expected, "{text:?}");
    }
}

#[test]
fn ordinary_text_stays_as_it_is() {
    let cases = [
        "",
        "plain ASCII: ~!@#$%^&*()_+`-={}|[]\\:\";'<>?,./",
        r"a text that says \u{1b} and \n",
        "Grüße aus Köln, naïve café",
        "e\u{301}\u{323}",
        "Привет Ελλάδα",
        "שלום עולם",
        "مرحبا بالعالم",
        "می\u{200c}خواهم",
        "ක්\u{200d}ෂ",
        "ಕ್\u{200c}ಷ",
        "日本語 中文 한국어",
        "葛\u{e0100}飾区",
        "ᠮᠣᠩᠭᠣᠯ\u{180b}",
        "ไทย",
        "😀 👍🏽 ❤\u{fe0f} 1\u{fe0f}\u{20e3} 🇩🇪",
        "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f}\u{200d}🔥 🏳\u{fe0f}\u{200d}🌈",
        "no\u{a0}break\u{3000}wide",
    ];
    for text in cases {
        assert!(matches!(terminal(text), Cow::Borrowed(same) if same == text), "{text:?}");
    }
}

#[test]
fn line_feeds_stay_only_in_several_lines() {
    assert_eq!(terminal("a\nb\r\nc"), r"a\nb\r\nc");
    assert_eq!(terminal_lines("a\nb\r\nc\u{2028}"), "a\nb\\r\nc\\u{2028}");
    assert!(matches!(terminal_lines("a\nb"), Cow::Borrowed(_)));
}

#[test]
fn markdown_is_escaped() {
    let cases = [
        ("plain words, v1.4.1; isn't it?", "plain words, v1.4.1; isn't it?"),
        ("*bold* _em_ `code`", r"\*bold\* \_em\_ \`code\`"),
        ("fix(api)", r"fix\(api\)"),
        ("[text](http://x)", r"\[text\]\(http<span>:</span>//x\)"),
        ("![i](x)", r"\!<span>\[</span>i\]\(x\)"),
        ("<b onclick=x>", r"&lt;b onclick\=x<span>&gt;</span>"),
        ("a|b", "a&#124;b"),
        (r"a\|b", r"a\\&#124;b"),
        ("# heading", r"\# heading"),
        ("> quote", "&gt; quote"),
        ("- item - more", r"\- item - more"),
        ("+ item", r"\+ item"),
        ("1. item 2. more", r"1\. item 2. more"),
        ("12) item", r"12\) item"),
        ("1.", r"1\."),
        ("1.4.1 is out", "1.4.1 is out"),
        ("---", r"\---"),
        ("===", r"\=\=\="),
        (": defined", r"\: defined"),
        ("/close", r"\/close"),
        ("  \n/close", r"\/close"),
        ("a\n/close", "a /close"),
        ("    code", "code"),
        ("@all #1 !1 &1 %1 ~x $1 ^1", r"\@all \#1 \!1 \&1 \%1 \~x \$1 \^1"),
        ("&copy; &#35;", r"\&copy; \&\#35;"),
        ("www.example.com WwW.x", "www<span>.</span>example.com WwW<span>.</span>x"),
        (":tada: 14:05 a:b", "<span>\\:</span>tada: 14:05 a<span>:</span>b"),
        ("1:100: 1:00x", "1<span>:</span>100: 1<span>:</span>00x"),
        ("{+new+} [-old-]", r"<span>\{</span>+new+\} <span>\[</span>-old-\]"),
        ("[TOC] [[page]] [x] [JIRA-1]", r"<span>\[</span>TOC\] <span>\[</span>\[page\]\] <span>\[</span>x\] \[JIRA-1\]"),
        ("group/project>", "group/project<span>&gt;</span>"),
        ("[^1]: note", r"<span>\[</span>\^1\]: note"),
        ("~~gone~~ $`a`$ $$b$$", r"\~\~gone\~\~ \$\`a\`\$ \$\$b\$\$"),
        ("\u{1b}[0m\u{202e}", r"\\u\{1b\}\[0m\\u\{202e\}"),
        ("  two\t\tblanks\r\n", "two blanks"),
    ];
    for (text, expected) in cases {
        assert_eq!(markdown_inline(text), expected, "{text:?}");
    }
}

#[test]
fn markdown_takes_long_hostile_texts_in_no_time() {
    let start = std::time::Instant::now();
    for piece in ["1", "1)", ":1", "[", "w.", "\u{200d}", ">", "{+", ":11"] {
        markdown_inline(&piece.repeat(100_000));
    }
    assert!(start.elapsed().as_secs() < 10);
}

/// What GitLab's filters see of the escaped text: one string for each text node, `<span>` and escaped reference characters
/// being elements. Fails on markup that is not escaped.
fn text_nodes(markdown: &str) -> Vec<String> {
    let mut nodes = vec![String::new()];
    let mut rest = markdown;
    while let Some(character) = rest.chars().next() {
        let node = nodes.last_mut().unwrap();
        let entity = [("&lt;", '<'), ("&gt;", '>'), ("&#124;", '|')];
        if let Some(after) = rest.strip_prefix("<span>").or_else(|| rest.strip_prefix("</span>")) {
            nodes.push(String::new());
            rest = after;
        } else if let Some((name, meant)) = entity.into_iter().find(|(name, _)| rest.starts_with(name)) {
            node.push(meant);
            rest = &rest[name.len()..];
        } else if let Some(escaped) = rest.strip_prefix('\\') {
            let character = escaped.chars().next().unwrap();
            assert!(character.is_ascii_punctuation(), "{markdown:?}");
            if "$%#&@!~^".contains(character) {
                nodes.extend([character.to_string(), String::new()]);
            } else {
                node.push(character);
            }
            rest = &escaped[1..];
        } else {
            assert!(!"\\`*_{}[]()<>#!|~^$%&@=\n\r\t".contains(character), "{character:?} in {markdown:?}");
            node.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    nodes
}

fn has_emoji(node: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c));
    let parts: Vec<&str> = node.split(':').collect();
    parts.len() > 2 && parts[1..parts.len() - 1].iter().any(|part| is_name(part))
}

#[test]
fn csv_cells_are_quoted_and_never_formulas() {
    let cases = [
        ("", ""),
        ("plain text", "plain text"),
        ("a,b", "\"a,b\""),
        ("say \"hi\"", "\"say \"\"hi\"\"\""),
        ("two\nlines\r\nmore", "\"two\nlines\nmore\""),
        ("a;b", "\"a;b\""),
        (" padded ", "\" padded \""),
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", r"'\tx"),
        ("\rx", r"'\rx"),
        ("  =1", "'  =1"),
        ("\n=1", "\"'\n=1\""),
        ("\u{a0}=1", "'\u{a0}=1"),
        ("\u{3000}\u{ff1d}1", "'\u{3000}\u{ff1d}1"),
        ("\u{ff0b}1", "'\u{ff0b}1"),
        ("\u{ff0d}1", "'\u{ff0d}1"),
        ("\u{ff20}x", "'\u{ff20}x"),
        ("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""),
        ("a=b", "a=b"),
        ("'quoted", "'quoted"),
        ("a\u{1b}[0m", r"a\u{1b}[0m"),
        ("1.4.1", "1.4.1"),
    ];
    for (text, expected) in cases {
        assert_eq!(csv_cell(text), expected, "{text:?}");
    }
}

/// The cells of one CSV record.
fn parse_csv(record: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut characters = record.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut().unwrap();
        match character {
            '"' if !quoted && cell.is_empty() => quoted = true,
            '"' if quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' if quoted => quoted = false,
            ',' if !quoted => cells.push(String::new()),
            '\n' | '\r' | '"' if !quoted => panic!("{record:?}"),
            other => cell.push(other),
        }
    }
    assert!(!quoted, "{record:?}");
    cells
}

proptest! {
    #[test]
    fn nothing_forbidden_reaches_a_terminal(text in hostile()) {
        let escaped = terminal(&text);
        prop_assert!(!escaped.contains(is_forbidden), "{escaped:?}");
        prop_assert_eq!(terminal(&escaped), &*escaped);
        let lines = terminal_lines(&text);
        prop_assert!(!lines.contains(|c| c != '\n' && is_forbidden(c)), "{lines:?}");
        prop_assert_eq!(lines.matches('\n').count(), text.matches('\n').count());
    }

    #[test]
    fn every_forbidden_character_is_shown_by_its_number(index in 0..FORBIDDEN.len(), offset in any::<u32>()) {
        let (first, last) = FORBIDDEN[index];
        let number = u32::from(first) + offset % (u32::from(last) - u32::from(first) + 1);
        let character = char::from_u32(number).unwrap();
        let escaped = terminal(&format!("é{character}é")).into_owned();
        prop_assert_eq!(escaped, format!("é{}é", character.escape_default()));
    }

    #[test]
    fn markdown_shows_the_text_and_nothing_else(text in hostile()) {
        let markdown = markdown_inline(&text);
        let nodes = text_nodes(&markdown);
        let line = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(nodes.concat(), &*terminal(&line));
        for node in &nodes {
            for shortcut in ["://", "www.", "{+", "{-", "[+", "[-", "[[", "[ ]", "[x]", "[TOC]", "mailto:a"] {
                prop_assert!(!node.contains(shortcut), "{shortcut} in {node:?}, {markdown:?}");
            }
            prop_assert!(!has_emoji(node), "{node:?}, {markdown:?}");
        }
        prop_assert!(!markdown.starts_with(['-', '+', '/', ':', '=', ' ', '#', '>', '|']), "{markdown:?}");
    }

    #[test]
    fn a_csv_cell_parses_back_and_is_no_formula(text in hostile(), next in hostile()) {
        let record = format!("{},{}", csv_cell(&text), csv_cell(&next));
        let cells = parse_csv(&record);
        prop_assert_eq!(cells.len(), 2);
        for (cell, text) in cells.iter().zip([&text, &next]) {
            let shown = terminal_lines(&text.replace("\r\n", "\n")).into_owned();
            prop_assert!(*cell == shown || *cell == format!("'{shown}"), "{cell:?} {shown:?}");
            let first = cell.trim_start().chars().next();
            prop_assert!(!first.is_some_and(|c| "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(c)), "{cell:?}");
            prop_assert!(!cell.contains(|c| c != '\n' && is_forbidden(c)));
        }
    }
}
