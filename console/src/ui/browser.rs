//! What a browser sends, and what it is told of every answer.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::session::LASTS;

/// The cookie that holds a session.
const COOKIE: &str = "turnpike_session";

/// Scripts and styles from here only, none inline; nobody may frame a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// On every answer, whatever it is.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// An answer with all of [`HEADERS`].
pub(super) fn answer(status: StatusCode, content: &'static str, body: impl Into<Body>) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, content)], body.into()).into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A page.
pub(super) fn page(status: StatusCode, html: String) -> Response {
    answer(status, "text/html; charset=utf-8", html)
}

/// Elsewhere, by GET.
pub(super) fn see(path: &'static str) -> Response {
    let mut response = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", "");
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(path));
    response
}

/// What the session's cookie holds.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, token)| token)
}

/// The cookie of a session; `None` = one that takes it away.
pub(super) fn cookie(token: Option<&str>, headers: &HeaderMap) -> String {
    let secure = if is_tls(headers) { "; Secure" } else { "" };
    let lasts = token.map_or(0, |_| LASTS.as_secs());
    let token = token.unwrap_or_default();
    format!("{COOKIE}={token}; Path=/ui; HttpOnly; SameSite=Strict; Max-Age={lasts}{secure}")
}

/// The gateway itself speaks no TLS; a proxy in front of it says whether it does.
fn is_tls(headers: &HeaderMap) -> bool {
    let said = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    said.and_then(|value| value.split(',').next()).is_some_and(|first| first.trim().eq_ignore_ascii_case("https"))
}

/// Whether a form may come from one of these pages: the browser says that it comes from no other site. What is no browser
/// says neither, and has no cookies of its own accord.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text(&HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(&header::ORIGIN) else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(&header::HOST)
}

/// A field of a form, or of a URL's query.
pub(super) fn field(form: &str, name: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(form.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_form_of_another_site_is_not_ours() {
        let cases: [(&[_], bool); 7] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "http://a"), ("host", "a")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://a:4000"), ("host", "a:4000")], true),
            (&[("origin", "https://b"), ("host", "a")], false),
            (&[("origin", "null"), ("host", "a")], false),
        ];
        for (all, own) in cases {
            assert_eq!(is_own(&headers(all)), own, "{all:?}");
        }
    }

    #[test]
    fn cookies_are_strict_and_secure_behind_tls() {
        let plain = cookie(Some("ab"), &headers(&[]));
        assert_eq!(plain, "turnpike_session=ab; Path=/ui; HttpOnly; SameSite=Strict; Max-Age=43200");
        let secure = cookie(None, &headers(&[("x-forwarded-proto", "https, http")]));
        assert_eq!(secure, "turnpike_session=; Path=/ui; HttpOnly; SameSite=Strict; Max-Age=0; Secure");
        assert_eq!(token(&headers(&[("cookie", "a=b; turnpike_session=cd; x_turnpike_session=ef")])), Some("cd"));
        assert_eq!(token(&headers(&[("cookie", "turnpike_sessions=cd")])), None);
    }

    #[test]
    fn fields_are_decoded() {
        assert_eq!(field("a=1&key=sk-%2B+x+&key=no", "key"), "sk-+ x");
        assert_eq!(field("a=1", "key"), "");
    }
}
