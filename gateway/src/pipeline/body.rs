//! Reads a request's body within its limits, decoding gzip.

use std::{future::poll_fn, io::Read, pin::Pin, task::Poll, time::Duration};

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt;
use turnpike_llm::{
    provider::{Dialect, Operation},
    request::Request,
};

use super::admit::{Budget, Permit};
use crate::error::Error;

/// Work on more bytes than this leaves the runtime.
pub const INLINE: usize = 64 * 1024;

/// Limits on bodies.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Largest body, decoded.
    pub most: usize,
    /// Longest silence between two parts.
    pub idle: Duration,
    /// Process-wide bytes of buffered bodies.
    pub buffered: Budget,
}

/// A scanned body, and its share of the process-wide buffer: held until the first byte of the answer.
pub struct Buffered {
    /// The request.
    pub request: Request,
    /// Give back as soon as the bytes are no longer needed.
    pub permit: Permit,
}

/// Reads, decodes and scans; `stream` = what the path says where the body says nothing of it.
///
/// # Errors
/// Too large, too slow, cut short, encoded in an unknown way, not a request, or no room.
pub async fn read<B>(
    (operation, stream): (Operation, bool),
    headers: &HeaderMap,
    body: B,
    limits: &BodyLimits,
) -> Result<Buffered, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let gzip = is_gzip(headers)?;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limits.most {
        return Err(Error::BodyTooLarge { limit: limits.most });
    }
    let mut permit = limits.buffered.take(announced)?;
    let mut bytes = collect(body, announced, limits, &mut permit).await?;
    if gzip {
        // What it decodes to is not known before: reserve the most it may be.
        permit.grow(&limits.buffered, limits.most.min(bytes.len().saturating_mul(MOST_GZIP_RATIO)))?;
        let most = limits.most;
        bytes = tokio::task::spawn_blocking(move || gunzip(&bytes, most)).await.map_err(|_| Error::Internal)??;
    }
    let length = bytes.len();
    let form = operation.is_form().then(|| form_of(headers));
    let is_opaque = operation == Operation::PassThrough;
    let is_contents = operation.dialect() == Dialect::Gemini;
    let scan = move || match form {
        None if is_opaque => Ok(Request::opaque(bytes)),
        None if is_contents => Request::scan_contents(bytes, stream),
        Some(content_type) => Request::scan_form(bytes, &content_type),
        None => Request::scan(bytes),
    };
    let request = if length <= INLINE {
        scan()?
    } else {
        tokio::task::spawn_blocking(scan).await.map_err(|_| Error::Internal)??
    };
    Ok(Buffered { request, permit })
}

/// What the client says that its form is.
fn form_of(headers: &HeaderMap) -> String {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.unwrap_or_default().to_owned()
}

/// Reads and forgets what a refused client still sends: a connection that is closed with bytes unread takes the answer with
/// it, and one that is closed without a word fails the client's next request. Most bodies are here in a moment; the rest
/// of a large or slow one is left.
pub async fn forget<B>(mut body: B)
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return;
    }
    let rest = async {
        let mut left = MOST_FORGOTTEN;
        while let Some(Ok(frame)) = body.frame().await
            && let Some(less) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len))
        {
            left = less;
        }
    };
    tokio::time::timeout(FORGETTING, rest).await.ok();
}

/// Most bytes, and the longest time, that a refused client's body is read.
const MOST_FORGOTTEN: usize = 256 * 1024;
const FORGETTING: Duration = Duration::from_secs(1);

/// Deflate's highest ratio is 1032 to 1 (zlib's technical notes).
const MOST_GZIP_RATIO: usize = 1032;

fn is_gzip(headers: &HeaderMap) -> Result<bool, Error> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(encoding.as_bytes());
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(false),
        "gzip" | "x-gzip" => Ok(true),
        _ => Err(Error::EncodingUnsupported(text.chars().take(64).collect())),
    }
}

async fn collect<B>(mut body: B, announced: usize, limits: &BodyLimits, permit: &mut Permit) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut total = 0usize;
    loop {
        // Most bodies are there already, and need no timer.
        let there = poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
        let frame = match there {
            Poll::Ready(frame) => frame,
            Poll::Pending => tokio::time::timeout(limits.idle, body.frame()).await.map_err(|_| Error::BodyTimeout)?,
        };
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Error::BodyIncomplete)?.into_data() else {
            continue;
        };
        let before = total;
        total = total.saturating_add(data.len());
        if total > limits.most {
            return Err(Error::BodyTooLarge { limit: limits.most });
        }
        if total > announced {
            permit.grow(&limits.buffered, total - announced.max(before))?;
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(announced.max(total));
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn gunzip(bytes: &[u8], most: usize) -> Result<Bytes, Error> {
    let mut out = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut out).map_err(|_| Error::Invalid {
        message: "The request body is not valid gzip, as its Content-Encoding says.".into(),
        param: None,
    })?;
    if out.len() > most { Err(Error::BodyTooLarge { limit: most }) } else { Ok(Bytes::from(out)) }
}
