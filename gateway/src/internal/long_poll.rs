//! `GET /bundle?after=STATE&wait=30s`: what the gateway has loaded, as soon as it is something else than `STATE`.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, Uri};
use tokio::{sync::watch, time::timeout};
use turnpike_bundle::Report;
use turnpike_crds::duration;

use super::json;
use crate::config::{Live, sources::auth::Auth};

/// Longest wait; a longer one is cut.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What is reported, and to whom.
#[derive(Clone)]
pub struct Reports {
    /// The snapshot in force.
    pub live: Live,
    /// What the gateway has loaded; waits end when the sender is gone.
    pub latest: watch::Receiver<Arc<Report>>,
    /// Who may ask.
    pub auth: Arc<ArcSwap<Auth>>,
}

/// What a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    after: Option<String>,
    wait: Duration,
}

pub(super) async fn answer(State(mut reports): State<Reports>, uri: Uri) -> Response {
    let Query { after, wait } = match query(uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(fault) => return (StatusCode::BAD_REQUEST, fault).into_response(),
    };
    let other = |report: &Arc<Report>| after.as_ref().is_none_or(|after| report.state != *after);
    // Over time, or at shutdown, the answer is what it would have been without waiting.
    let _ = timeout(wait, reports.latest.wait_for(other)).await;
    let report = Arc::clone(&reports.latest.borrow());
    json(StatusCode::OK, &*report)
}

/// States and durations hold nothing that would be percent-encoded.
fn query(text: &str) -> Result<Query, String> {
    let mut query = Query::default();
    for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
        match name {
            "after" => query.after = Some(value.to_owned()),
            "wait" => query.wait = duration::parse(value).map_err(|error| format!("wait: {error}"))?.min(LONGEST_WAIT),
            _ => {}
        }
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_waits_bounded() {
        let read = |text| query(text).ok().map(|Query { after, wait }| (after, wait.as_secs()));
        assert_eq!(read(""), Some((None, 0)));
        assert_eq!(read("after=abc&wait=30s"), Some((Some("abc".to_owned()), 30)));
        assert_eq!(read("wait=5h&other=1"), Some((None, 60)));
        assert_eq!(read("wait=30"), None);
    }
}
