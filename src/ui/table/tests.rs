use super::*;

fn deployments() -> Table {
    let mut table = Table::new(&["#", "version", "reason"]).right_aligned(&[0]);
    table.row(["9", "1.4.1", "card payments fail for customers in the EU"]);
    table.row(["10", "日本語", "é | \u{1b}[31m=1"]);
    table
}

#[test]
fn columns_are_straight_also_with_wide_and_hostile_text() {
    let expected = concat!(
        " #  version  reason\n",
        " 9  1.4.1    card payments fail for customers in the EU\n",
        "10  日本語   é | \\u{1b}[31m=1\n",
    );
    assert_eq!(deployments().render(None), expected);
    assert_eq!(deployments().render(Some(200)), expected);
}

#[test]
fn a_narrow_terminal_cuts_the_widest_text() {
    let expected = concat!(" #  version  reason\n", " 9  1.4.1    card payments fail…\n", "10  日本語   é | \\u{1b}[31m=1\n",);
    assert_eq!(deployments().render(Some(32)), expected);

    let wide = "日本語日本語日本語";
    let mut table = Table::new(&["a", "b"]);
    table.row([wide, "short"]);
    table.row(["abcdefghijklmnop", "xyz"]);
    assert_eq!(table.render(Some(17)), "a           b\n日本語日…   short\nabcdefghi…  xyz\n");
}

#[test]
fn every_line_fits_as_far_as_columns_can_give() {
    let mut table = Table::new(&["#", "one", "two"]).right_aligned(&[0]);
    table.row(["1234567890", &"long text ".repeat(30), &"é\u{301}日👩\u{200d}👧".repeat(50)]);
    for width in 30..150 {
        let text = table.render(Some(width));
        assert!(text.contains("1234567890"));
        assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
        assert!(text.lines().any(|line| line.width() + 3 >= width), "{width}: {text}");
    }
    // Numbers stay whole, texts keep eight columns.
    let least = table.render(Some(1));
    assert_eq!(least.lines().nth(1), Some("1234567890  long te…  é\u{301}日👩\u{200d}👧é\u{301}…"));
}

#[test]
fn rows_have_as_many_cells_as_the_header() {
    let mut table = Table::new(&["a", "b"]);
    table.row(["1"]);
    table.row(["1", "2", "3"]);
    table.row(Vec::<String>::new());
    assert_eq!(table.render(None), "a  b\n1\n1  2\n\n");
    assert_eq!(table.render_csv(), "a,b\r\n1,\r\n1,2\r\n,\r\n");
}

#[test]
fn a_table_without_columns_or_rows_is_no_trouble() {
    assert_eq!(Table::new(&[]).render(Some(0)), "\n");
    assert_eq!(Table::new(&["a"]).render(Some(0)), "a\n");
    assert_eq!(Table::new(&["a"]).render_markdown(), "| a |\n| --- |\n");
}

#[test]
fn markdown_and_csv_are_escaped_for_their_place() {
    let markdown = concat!(
        "| \\# | version | reason |\n",
        "| ---: | --- | --- |\n",
        "| 9 | 1.4.1 | card payments fail for customers in the EU |\n",
        "| 10 | 日本語 | é &#124; \\\\u\\{1b\\}\\[31m\\=1 |\n",
    );
    assert_eq!(deployments().render_markdown(), markdown);
    let csv = concat!(
        "#,version,reason\r\n",
        "9,1.4.1,card payments fail for customers in the EU\r\n",
        "10,日本語,é | \\u{1b}[31m=1\r\n",
    );
    assert_eq!(deployments().render_csv(), csv);
}
