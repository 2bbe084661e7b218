//! The console's pages: what they say, to whom, and what they never do.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "ui/pages.rs"]
mod pages;
#[path = "ui/world.rs"]
mod world;

use axum::{
    Router,
    body::{Body, to_bytes},
};
use http::{HeaderMap, Request, StatusCode, header};
use tower::ServiceExt;
use world::{ADMIN_KEY, Scripted};

const PAGES: [&str; 6] =
    ["/ui", "/ui/models", "/ui/keys", "/ui/budgets", "/ui/requests", "/ui/requests/1772366400000000/req-1"];

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What the browser would send back.
    fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
    }
}

async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(router: &Router, path: &str, cookie: &str) -> Answer {
    ask(router, Request::get(path).header(header::COOKIE, cookie).body(Body::empty()).unwrap()).await
}

async fn post(router: &Router, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
    let request = headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
    ask(router, request.body(Body::from(form.to_owned())).unwrap()).await
}

async fn signed_in(router: &Router) -> String {
    let answer = post(router, "/ui/sign-in", &[], &format!("key={ADMIN_KEY}")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/ui"));
    answer.cookie()
}

#[tokio::test]
async fn nobody_sees_a_page_without_signing_in() {
    let router = Scripted::router();
    for path in PAGES {
        for cookie in ["", "turnpike_session=", &format!("turnpike_session={}", "0".repeat(64))] {
            let answer = get(&router, path, cookie).await;
            assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/ui/sign-in"), "{path}");
            assert_eq!(answer.body, "", "{path}");
        }
    }
}

#[tokio::test]
async fn every_answer_has_a_strict_policy() {
    let router = Scripted::router();
    let cookie = signed_in(&router).await;
    let open = [
        "/ui/sign-in",
        "/ui/console.css",
        "/ui/console.js",
        "/ui/icon.svg",
        "/ui/requests/1/unknown",
        "/ui/requests/never/req-1",
    ];
    for path in PAGES.iter().chain(&open) {
        for cookie in ["", &cookie] {
            let answer = get(&router, path, cookie).await;
            let policy = answer.header("content-security-policy");
            for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
                assert!(policy.contains(rule), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{path}: {policy}");
            let others = ["x-content-type-options", "cache-control", "x-frame-options", "referrer-policy"];
            let others = others.map(|name| answer.header(name).to_owned());
            assert_eq!(others, ["nosniff", "no-store", "DENY", "no-referrer"], "{path}");
            assert!(!answer.body.contains("<style") && !answer.body.contains(" style="), "{path}");
            assert!(!answer.body.contains("<script>") && !answer.body.contains(" onclick="), "{path}");
        }
    }
}

#[tokio::test]
async fn signing_in_takes_the_admin_key_and_signing_out_ends_it() {
    let router = Scripted::router();
    let wrong = post(&router, "/ui/sign-in", &[], "key=sk-wrong").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (StatusCode::UNAUTHORIZED, ""));
    assert!(wrong.body.contains("That is not the admin key.") && !wrong.body.contains("sk-wrong"));
    let cookie = signed_in(&router).await;
    for path in PAGES {
        assert_eq!(get(&router, path, &cookie).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(get(&router, "/ui/sign-in", &cookie).await.header("location"), "/ui");
    let out = post(&router, "/ui/sign-out", &[("cookie", &cookie)], "").await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/ui/sign-in"));
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(get(&router, "/ui", &cookie).await.header("location"), "/ui/sign-in", "the cookie is worth nothing");
}

#[tokio::test]
async fn forms_of_other_sites_do_nothing() {
    let router = Scripted::router();
    let cookie = signed_in(&router).await;
    let foreign: [&[(&str, &str)]; 2] =
        [&[("sec-fetch-site", "cross-site")], &[("origin", "https://evil.example"), ("host", "gateway:4000")]];
    for headers in foreign {
        let headers = [headers, &[("cookie", cookie.as_str())]].concat();
        let answer = post(&router, "/ui/sign-in", &headers, &format!("key={ADMIN_KEY}")).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::FORBIDDEN, ""));
        assert_eq!(post(&router, "/ui/sign-out", &headers, "").await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(get(&router, "/ui", &cookie).await.status, StatusCode::OK, "still signed in");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let router = Scripted::router();
    for _ in 0..10 {
        assert_eq!(post(&router, "/ui/sign-in", &[], "key=guess").await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = post(&router, "/ui/sign-in", &[], &format!("key={ADMIN_KEY}")).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::TOO_MANY_REQUESTS, ""));
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_form_has_an_end() {
    let router = Scripted::router();
    let answer = post(&router, "/ui/sign-in", &[], &format!("key={}", "a".repeat(10_000))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn searches_reach_the_log_as_they_were_typed() {
    let router = Scripted::router();
    let cookie = signed_in(&router).await;
    let path = "/ui/requests?model=a%2Fb+c&key=vk_1&status=failure&request=%3Cid%3E";
    let page = get(&router, path, &cookie).await.body;
    for shown in [r#"value="a/b c""#, r#"value="vk_1""#, r#"value="failure" selected"#, "value=\"&#60;id&#62;\""] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
}

#[tokio::test]
async fn what_cannot_be_had_is_said() {
    let router = Scripted::router();
    let cookie = signed_in(&router).await;
    let missing = get(&router, "/ui/requests/1/unknown", &cookie).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let failing = get(&router, "/ui/requests/2/failing", &cookie).await;
    assert_eq!(failing.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(failing.body.contains("The spend database does not answer &#60;now&#62;"), "{}", failing.body);
}
