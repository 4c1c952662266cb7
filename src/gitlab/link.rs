//! The `Link` header by which GitLab leads from page to page (RFC 8288; docs.gitlab.com/api/rest, "Pagination").

/// The address of the next page, among all that one header or several joined by commas name.
pub fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some(begin) = rest.find('<') {
        let (address, after) = rest[begin + 1..].split_once('>')?;
        // the parameters of this one end where the next address begins
        let end = after.find('<').unwrap_or(after.len());
        if after[..end].split([';', ',']).any(is_next) {
            return Some(address);
        }
        rest = &after[end..];
    }
    None
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let value = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("rel") && value.split(' ').any(|word| word.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    use super::next;
    use proptest::prelude::*;

    #[test]
    fn the_next_page_is_found() {
        let cases = [
            ("<https://g/a?page=2>; rel=\"next\", <https://g/a?page=1>; rel=\"first\"", Some("https://g/a?page=2")),
            ("<https://g/a?page=1>; rel=\"first\", <https://g/a?x=1,2&page=2>;rel=next", Some("https://g/a?x=1,2&page=2")),
            ("<https://g/a>; rel=\"last\"", None),
            ("<https://g/a>; title=\"next\"", None),
            ("<https://g/next>; rel=\"prev\"", None),
            ("<https://g/a; rel=\"next\"", None),
            ("", None),
        ];
        for (header, expected) in cases {
            assert_eq!(next(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(header in "[<>;,=\" a-z?é]{0,60}") {
            let _ = next(&header);
        }
    }
}
