//! One exchange with an upstream: authenticated, sent, and its answer read as far as it is wanted.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use turnpike_llm::splice::Splices;

use super::upstream_of;
use crate::{
    config::snapshot::Model,
    error::Error,
    pipeline::stream::Decoding,
    upstream::{
        Endpoint,
        connect::ConnectError,
        pool::{Pool, SendError, UpstreamBody},
    },
};

/// As much of an error answer as is read.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Authenticates a call and sends it; gives the head of whatever answer there is. `owed` as of [`Pool::send`].
///
/// # Errors
/// No valid credential, no connection, or none that lasted until the answer.
pub async fn exchange(
    pool: &Pool,
    model: &Model,
    (method, endpoint): (&Method, &Endpoint),
    (headers, body): (&mut HeaderMap, &Splices),
    owed: &mut bool,
) -> Result<Response<UpstreamBody>, Error> {
    let upstream = upstream_of(model)?;
    if let Some(proof) = &upstream.proof
        && let Err(failure) = proof.add(method, endpoint, headers, body).await
    {
        tracing::debug!(model = %model.id, reason = %failure.reason, "no valid cloud credential");
        return Err(Error::Unauthenticated);
    }
    match pool.send((method, endpoint), (&*headers, body), upstream.policy, owed).await {
        Ok(response) => Ok(response),
        Err(SendError::Connect(error)) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(model = %model.id, %error, source, "cannot connect to upstream");
            Err(match error {
                ConnectError::Timeout => Error::Timeout { what: "connect", after: upstream.policy.connect },
                other => Error::Connect(other.text()),
            })
        }
        Err(SendError::Broken(_)) => Err(Error::Broken),
    }
}

/// As much of an error's body as is read; empty where it cannot be.
pub async fn error_body(decoding: &mut Decoding, body: UpstreamBody) -> Bytes {
    let body = collect(body, MAX_ERROR_BODY).await.map_or_else(|_| Bytes::new(), Collected::bytes);
    decoding.take(body, MAX_ERROR_BODY).unwrap_or_default()
}

/// As much of a body as was asked for.
pub enum Collected {
    /// All of it.
    Whole(Bytes),
    /// Its start, and where the rest comes from.
    Larger(Bytes, UpstreamBody),
}

impl Collected {
    /// What was read.
    pub fn bytes(self) -> Bytes {
        match self {
            Self::Whole(bytes) | Self::Larger(bytes, _) => bytes,
        }
    }
}

/// Reads a body as far as `most` bytes or a little more.
///
/// # Errors
/// It broke off.
pub async fn collect(mut body: UpstreamBody, most: usize) -> Result<Collected, Error> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Error::Broken)?.into_data() else {
            continue;
        };
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        if first.len().max(rest.len()) > most {
            let start = if rest.is_empty() { first } else { rest.freeze() };
            return Ok(Collected::Larger(start, body));
        }
    }
    Ok(Collected::Whole(if rest.is_empty() { first } else { rest.freeze() }))
}
