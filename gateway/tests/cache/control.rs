//! What a request may say about caching, and what it is told when it says it wrong.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header::CACHE_CONTROL};
use serde_json::{Value, json};
use turnpike_gateway::cache::control::Control;
use turnpike_llm::request::Request;

fn control(cache: &Value, header: &[&str]) -> Result<Control, String> {
    let request = Request::scan(Bytes::from(json!({"model": "m", "cache": cache}).to_string())).unwrap();
    let mut headers = HeaderMap::new();
    for value in header {
        headers.append(CACHE_CONTROL, value.parse().unwrap());
    }
    Control::of(&request, &headers).map_err(|error| error.to_string())
}

#[test]
fn members_are_those_of_litellm() {
    let off = Control { read: false, write: false, ..Control::default() };
    let said = [
        (json!(null), Control::default()),
        (json!({}), Control::default()),
        (json!({"no-cache": true}), Control { read: false, ..Control::default() }),
        (json!({"no-store": true}), Control { write: false, ..Control::default() }),
        (json!({"no-cache": false, "no-store": null}), Control::default()),
        (json!({"no-cache": true, "no-store": true}), off.clone()),
        (json!({"use-cache": true}), Control::default()),
        (json!({"use-cache": false}), off),
        (json!({"ttl": 60}), Control { ttl: Some(Duration::from_mins(1)), ..Control::default() }),
        (json!({"s-maxage": 1.5}), Control { max_age: Some(Duration::from_millis(1500)), ..Control::default() }),
        (json!({"s-max-age": 0}), Control { max_age: Some(Duration::ZERO), ..Control::default() }),
        (json!({"namespace": "a"}), Control { namespace: Some("a".into()), ..Control::default() }),
        (json!({"tool-calls": true}), Control { tool_calls: true, ..Control::default() }),
    ];
    for (cache, expected) in said {
        assert_eq!(control(&cache, &[]), Ok(expected), "{cache}");
    }
}

#[test]
fn headers_are_those_of_http() {
    let said: [(&[&str], Control); 5] = [
        (&["no-cache"], Control { read: false, ..Control::default() }),
        (&["No-Store"], Control { write: false, ..Control::default() }),
        (&["no-cache, no-store"], Control { read: false, write: false, ..Control::default() }),
        (
            &["no-cache", "max-age=5"],
            Control { read: false, max_age: Some(Duration::from_secs(5)), ..Control::default() },
        ),
        (&["max-age=x, private"], Control::default()),
    ];
    for (headers, expected) in said {
        assert_eq!(control(&json!(null), headers), Ok(expected), "{headers:?}");
    }
    // Neither takes back what the other says.
    let both = control(&json!({"no-cache": false}), &["no-cache"]).unwrap();
    assert!(!both.read);
}

#[test]
fn wrong_values_are_named() {
    let wrong = [
        json!(true),
        json!("no-cache"),
        json!({"no-cache": "true"}),
        json!({"no-store": 1}),
        json!({"use-cache": []}),
        json!({"ttl": "60"}),
        json!({"ttl": -1}),
        json!({"ttl": 1e300}),
        json!({"s-maxage": true}),
        json!({"namespace": 5}),
        json!({"namespace": "n".repeat(257)}),
        json!({"tool-calls": "yes"}),
        json!({"nocache": true}),
    ];
    let told: Vec<String> = wrong.iter().map(|cache| control(cache, &[]).unwrap_err()).collect();
    assert_eq!(
        told,
        [
            "'cache' must be an object such as {\"no-cache\": true}.",
            "'cache' must be an object such as {\"no-cache\": true}.",
            "'cache.no-cache' must be true or false.",
            "'cache.no-store' must be true or false.",
            "'cache.use-cache' must be true or false.",
            "'cache.ttl' must be a number of seconds, 0 or more.",
            "'cache.ttl' must be a number of seconds, 0 or more.",
            "'cache.ttl' must be a number of seconds, 0 or more.",
            "'cache.s-maxage' must be a number of seconds, 0 or more.",
            "'cache.namespace' must be a text of at most 256 bytes.",
            "'cache.namespace' must be a text of at most 256 bytes.",
            "'cache.tool-calls' must be true or false.",
            "'cache' has no member 'nocache'. It takes no-cache, no-store, use-cache, ttl, s-maxage, namespace and \
             tool-calls.",
        ]
    );
}
