//! Streamed answers: frames from an upstream in, bytes for the client out.

use bytes::Bytes;

use crate::{error::UpstreamError, tokens::BYTES_PER_TOKEN, usage::Usage};

mod chunk;
mod framing;
mod lines;
mod openai;
mod output;
mod pattern;
mod phase;
mod responses;
mod tape;
mod translated;

pub(crate) use framing::Framing;
pub use openai::OpenAiStream;
pub(crate) use openai::{one_line, write_data};
pub(crate) use output::Output;
pub(crate) use phase::Phase;
pub(crate) use responses::ResponsesStream;
pub use tape::Tape;
pub(crate) use translated::{Events, Translated};

/// Nano-USD of a call; `None` = price unknown.
pub type CostFn = Box<dyn Fn(&Usage) -> Option<i64> + Send>;

/// Turns one upstream's stream into the client's dialect. Where frames are cut makes no difference to the bytes given.
pub trait StreamDecoder: Send {
    /// Takes the next frame; gives the bytes that are ready for the client: the very same frame where nothing changes,
    /// possibly none. Comments may come before the first event.
    ///
    /// # Errors
    /// The upstream failed within its stream. Bytes ready before the failure are given first and the error with the
    /// next call; [`StreamDecoder::finished`] is true in between.
    fn push(&mut self, frame: Bytes) -> Result<Bytes, UpstreamError>;

    /// The upstream closed the stream (or [`StreamDecoder::finished`] says that it is over); gives what is left.
    ///
    /// # Errors
    /// An error not given yet, or an answer that ended early.
    fn end(&mut self) -> Result<Bytes, UpstreamError>;

    /// A real event came: the upstream has accepted the request and 200 may be committed.
    fn started(&self) -> bool;

    /// Nothing more will come of frames: the caller should stop reading and call [`StreamDecoder::end`].
    fn finished(&self) -> bool;

    /// Tokens as reported so far; `None` = the upstream said nothing.
    fn usage(&self) -> Option<Usage>;

    /// Output text so far, for an estimate where nothing is reported.
    fn tape(&self) -> &Tape;

    /// Adds `usage.cost` to the usage chunk shown to a client that asked for usage.
    fn set_cost(&mut self, cost: CostFn);
}

/// What is known of the tokens: of an answer that was cut, the upstream counted the prompt at best, and its output is what was
/// heard.
pub(crate) fn so_far(reported: Option<Usage>, complete: bool, tape: &Tape) -> Option<Usage> {
    let heard = tape.len() / BYTES_PER_TOKEN;
    reported.map(|usage| match usage {
        usage if complete || usage.completion >= heard => usage,
        usage => Usage { completion: heard, estimated: true, ..usage },
    })
}
