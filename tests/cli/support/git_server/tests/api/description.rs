//! Requests and answers are held against GitLab's own description, where it is at hand.

use super::Client;
use crate::support::git_server::api::description::{self, Description};
use crate::support::git_server::http::{Head, Response};
use crate::support::git_server::{Failure, Fault, GitServer, Step, job};
use serde_json::{Value, json};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A description in miniature.
const SMALL: &str = r##"
paths:
  /api/v4/projects/{id}/boats:
    get:
      parameters:
        - { in: path, name: id, type: integer, required: true }
        - { in: query, name: harbour, type: string, required: true }
        - { in: query, name: sort, type: string, enum: [asc, desc] }
        - { in: query, name: length, type: integer }
        - { in: query, name: built_after, type: string, format: date-time }
        - { in: query, name: sails, type: array, items: { type: integer } }
      responses:
        "200": { schema: { $ref: "#/definitions/Boat" } }
    post:
      parameters:
        - { in: body, name: boat, required: true, schema: { $ref: "#/definitions/postBoat" } }
      responses:
        "201": { schema: { $ref: "#/definitions/Boat" } }
  /api/v4/projects/{id}/boats/{number}:
    get:
      parameters:
        - { in: path, name: number, type: integer, required: true }
      responses:
        "200": { schema: { $ref: "#/definitions/Boat" } }
definitions:
  Boat:
    type: object
    properties:
      id: { type: integer }
      name: { type: string }
      built_at: { type: string, format: date-time }
      sails: { type: array, items: { type: integer } }
      owner: { $ref: "#/definitions/Owner" }
      _links: { type: object }
  Owner: { type: object, properties: { id: { type: integer } } }
  postBoat:
    type: object
    required: [name]
    properties:
      name: { type: string }
      length: { type: integer }
      afloat: { type: boolean }
      sails: { type: array, items: { type: string } }
"##;

fn head(method: &str, target: &str, content_type: &str) -> Head {
    let text = format!("{method} {target} HTTP/1.1\r\nContent-Type: {content_type}\r\n\r\n");
    Head::read(&mut text.as_bytes()).unwrap().unwrap()
}

fn small() -> Description {
    serde_yaml::from_str(SMALL).unwrap()
}

#[track_caller]
fn judge(found: Result<(), String>, expected: &str) {
    match found {
        Ok(()) => assert_eq!(expected, "", "nothing was found"),
        Err(text) => assert!(!expected.is_empty() && text.contains(expected), "{text}"),
    }
}

#[test]
fn finds_what_is_wrong_with_a_request() {
    let description = small();
    for (method, target, body, expected) in [
        ("GET", "/projects/42/boats?harbour=kiel", "", ""),
        ("GET", "/projects/grp%2Fapp/boats?harbour=kiel&length=7&sort=asc&sails=1,2", "", ""),
        ("GET", "/projects/42/boats?harbour=kiel&sails[]=1&built_after=2031-01-02T03:04:05%2B02:00", "", ""),
        ("GET", "/projects/42/boats/7", "", ""),
        ("GET", "/projects/42/boats?harbor=kiel", "", "no parameter `harbor`"),
        ("GET", "/projects/42/boats?length=7", "", "`harbour` is missing"),
        ("GET", "/projects/42/boats?harbour=kiel&sort=up", "", "`sort` is \"up\""),
        ("GET", "/projects/42/boats?harbour=kiel&length=long", "", "`length` is \"long\", not integer"),
        ("GET", "/projects/42/boats?harbour=kiel&sails=a", "", "`sails` is \"a\", not integer"),
        ("GET", "/projects/42/boats?harbour=kiel&built_after=2031-01-02T03:04:05+02:00", "", "`built_after`"),
        ("GET", "/projects/42/boats?harbour=kiel", "{\"length\":7}", "a GET with a body"),
        ("GET", "/projects/42/boats/seven", "", "`number` is \"seven\""),
        ("GET", "/projects/42/ships", "", "no such path"),
        ("GET", "/projects/42/boats/7/sails", "", "no such path"),
        ("DELETE", "/projects/42/boats/7", "", "no such path"),
        ("POST", "/projects/42/boats", r#"{"name":"Ida","length":7,"afloat":true,"sails":"a,b"}"#, ""),
        ("POST", "/projects/42/boats", r#"{"name":"Ida","sails":["a"]}"#, ""),
        ("POST", "/projects/42/boats", r#"{"name":"Ida","lenght":7}"#, "no parameter `lenght`"),
        ("POST", "/projects/42/boats", r#"{"length":7}"#, "`name` is missing"),
        ("POST", "/projects/42/boats", r#"{"name":"Ida","length":"7"}"#, "`length` is \"7\", not integer"),
        ("POST", "/projects/42/boats", r#"{"name":"Ida","afloat":"yes"}"#, "`afloat`"),
        ("POST", "/projects/42/boats", "", "`name` is missing"),
        ("POST", "/projects/42/boats", "[]", "no JSON object"),
        // what the description leaves out
        ("GET", "/projects/42/merge_requests/7/notes?sort=asc&per_page=100", "", ""),
        ("GET", "/projects/42/merge_requests/7/notes?order=asc", "", "no parameter `order`"),
        ("POST", "/projects/42/merge_requests/7/notes", r#"{"text":"x"}"#, "no parameter `text`"),
    ] {
        let head = head(method, &format!("/api/v4{target}"), "application/json");
        let path = target.split('?').next().unwrap();
        judge(description.check_request(&head, path, body.as_bytes()), expected);
    }
    let form = head("POST", "/api/v4/projects/42/boats", "application/x-www-form-urlencoded");
    judge(description.check_request(&form, "/projects/42/boats", b"name=Ida&length=7&sails[]=a"), "");
    judge(description.check_request(&form, "/projects/42/boats", b"name=Ida&length=long"), "`length`");
}

#[test]
fn finds_what_is_wrong_with_an_answer() {
    let description = small();
    let path = "/projects/42/boats/7";
    for (status, answer, expected) in [
        (200, json!({ "id": 7, "name": "Ida", "built_at": "2031-01-02T03:04:05.678Z", "owner": { "id": 1 } }), ""),
        (200, json!([{ "id": 7, "owner": null, "sails": [1], "_links": { "self": "x" } }]), ""),
        (200, json!({ "name": ["called", "a text", 7] }), ""),
        (404, json!({ "message": "404 Not Found" }), ""),
        (200, json!({ "id": 7, "colour": "red" }), "no field `colour`"),
        (200, json!([{ "owner": { "id": 1, "age": 7 } }]), "no field `age` in `owner`"),
        (200, json!({ "id": "7" }), "`id` is \"7\", not integer"),
        (200, json!({ "built_at": "yesterday" }), "`built_at`"),
        (200, json!({ "sails": [1, "2"] }), "`sails`"),
        (200, json!({ "id": {} }), "`id` is an object"),
    ] {
        let response = Response::new(status, "application/json", answer.to_string());
        judge(description.check_answer("GET", path, &response), expected);
    }
    let note = Response::new(200, "application/json", json!([{ "id": 7, "web_url": "x" }]).to_string());
    judge(description.check_answer("GET", "/projects/42/merge_requests/7/notes", &note), "no field `web_url`");
}

#[test]
fn it_is_read_from_a_folder_where_it_is_there() {
    let folder = tempfile::TempDir::new().unwrap();
    assert!(Description::read(folder.path()).is_none());
    std::fs::write(folder.path().join("openapi_v2.yaml"), SMALL).unwrap();
    let description = Description::read(folder.path()).unwrap();
    judge(description.check_request(&head("GET", "/api/v4/projects/42/boats/7", ""), "/projects/42/boats/7", b""), "");
    std::fs::write(folder.path().join("openapi_v2.yaml"), "paths: 7").unwrap();
    assert!(catch_unwind(|| Description::read(folder.path())).is_err());
}

/// Whether the test can say something: on a machine without the description it can't.
fn is_at_hand() -> bool {
    let is_at_hand = description::at_hand().is_some();
    if !is_at_hand {
        let folder = description::folder();
        let text = format!("NOT CHECKED against GitLab's description of its API: there is none in {}\n", folder.display());
        // past what the test harness catches
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    is_at_hand
}

#[test]
fn gitlabs_own_description_finds_it_too() {
    if !is_at_hand() {
        return;
    }
    let server = GitServer::http();
    let client = Client::user(&server, 7, &["api"]);
    for (method, path, body, expected) in [
        ("GET", "/projects/42/deployments?enviroment=production", Value::Null, "no parameter `enviroment`"),
        ("GET", "/projects/42/deployments?status=succeeded", Value::Null, "`status` is \"succeeded\""),
        ("POST", "/projects/42/issues", json!({ "description": "x" }), "`title` is missing"),
        ("POST", "/projects/42/releases", json!({ "tag_name": "v1", "descripton": "x" }), "no parameter `descripton`"),
        ("GET", "/projects/42/releaes", Value::Null, "no such path"),
        ("GET", "/projects/42/members/all/ann", Value::Null, "`user_id` is \"ann\""),
    ] {
        let answer = client.send(method, path, &body).expect(500);
        assert!(answer.text.contains(expected), "{}", answer.text);
        assert_eq!(server.violations(), [answer.text]);
    }
    // also where something else answers
    server.inject(Fault { step: Step::Api, failure: Failure::HtmlError(503), times: 2 });
    client.get("/projects/42/deployments?enviroment=production").expect(500);
    assert_eq!(server.violations().len(), 1);
    client.get("/projects/42/deployments").expect(503);
    server.set_job({
        let mut job = job(&"a".repeat(40));
        job["approved"] = json!(true);
        job
    });
    let answer = Client::job(&server).get("/job").expect(500);
    assert!(answer.text.contains("no field `approved`"), "{}", answer.text);
    server.violations();
}

#[test]
fn a_violation_fails_the_test_that_did_it() {
    let server = GitServer::http();
    let answer = Client::job(&server).get("/projects/42/deployments?enviroment=production").expect(500);
    assert!(answer.text.contains("`enviroment`"), "{}", answer.text);
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(server)));
    let text = dropped.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("GET /api/v4/projects/42/deployments?enviroment=production: "), "{text}");

    let server = GitServer::http();
    Client::job(&server).get("/projects/42/repository/archive").expect(500);
    assert_eq!(server.violations().len(), 1);
}
