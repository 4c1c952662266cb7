//! Lists, a page at a time (docs.gitlab.com/api/rest, "Offset-based pagination").

use super::ROOT;
use super::call::{Answer, Call, error, json};
use super::state::Gitlab;
use serde_json::Value;

/// The elements on a page where nothing is said.
const USUAL: usize = 20;

/// The most elements on a page; who asks for more gets so many.
const MOST: usize = 100;

/// The page of the list that is asked for, with the headers that lead to the others.
///
/// The elements are made into JSON where they are on the page.
pub fn page<T>(gitlab: &Gitlab, call: &Call, elements: &[T], to_json: impl Fn(&T) -> Value) -> Answer {
    page_of_visible(gitlab, call, elements, |element| Some(to_json(element)))
}

/// As [`page`], without those on it that become `None`.
pub fn page_of_visible<T>(gitlab: &Gitlab, call: &Call, elements: &[T], to_json: impl Fn(&T) -> Option<Value>) -> Answer {
    let number = |name: &str, usual: usize| match call.text(name).map(|text| text.parse::<usize>()) {
        None => Ok(usual),
        Some(Ok(number @ 1..)) => Ok(number),
        Some(_) => Err(error(400, &format!("{name} is invalid"))),
    };
    let (page, size) = (number("page", 1)?, number("per_page", USUAL)?.min(MOST));
    let last = elements.len().div_ceil(size).max(1);
    let shown = elements.iter().skip((page - 1).saturating_mul(size)).take(size).filter_map(to_json).collect();
    let (before, after) = ((page > 1).then(|| page - 1), (page < last).then(|| page + 1));
    let link = |to: usize, rel: &str| format!("<{}>; rel=\"{rel}\"", address(gitlab, call, to, size));
    let mut links = Vec::new();
    links.extend(before.map(|to| link(to, "prev")));
    links.extend(after.map(|to| link(to, "next")));
    links.push(link(1, "first"));
    let text = |number: Option<usize>| number.map_or_else(String::new, |number| number.to_string());
    let mut response = json(200, &Value::Array(shown))
        .with("X-Page", &page.to_string())
        .with("X-Per-Page", &size.to_string())
        .with("X-Prev-Page", &text(before))
        .with("X-Next-Page", &text(after));
    if gitlab.sends_totals {
        links.push(link(last, "last"));
        response = response.with("X-Total", &elements.len().to_string()).with("X-Total-Pages", &last.to_string());
    }
    Ok(response.with("Link", &links.join(", ")))
}

fn address(gitlab: &Gitlab, call: &Call, page: usize, size: usize) -> String {
    let others = call.query.iter().filter(|(name, _)| !matches!(name.as_str(), "page" | "per_page"));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(others);
    query.append_pair("page", &page.to_string()).append_pair("per_page", &size.to_string());
    format!("{}{ROOT}{}?{}", gitlab.url, call.path, query.finish())
}
