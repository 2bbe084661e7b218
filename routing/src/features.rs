//! What of a request decides where it can and should go.

/// What a request needs. Made only where a group asks for it: counting words costs time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Prompt tokens, estimated.
    pub prompt_tokens: u64,
    /// Output tokens that the client asks for; `None` = it does not say.
    pub output_tokens: Option<u64>,
    /// It has images.
    pub vision: bool,
    /// It has tools.
    pub tools: bool,
    /// It wants an answer in a JSON schema.
    pub json_schema: bool,
    /// It wants a stream.
    pub stream: bool,
    /// Embeddings are wanted, not text.
    pub embeddings: bool,
    /// Tags of the request and of its key: plain ones, `&required`, `!excluded`.
    pub tags: Vec<Box<str>>,
    /// Hash of what keeps its sender on one target (key, user or header); `None` = nothing does.
    pub sender: Option<u64>,
    /// Hash of the prompt's beginning, as far as an engine's cache would know it again; `None` = not asked for.
    pub prefix: Option<u64>,
    /// Words that the user wrote.
    pub words: u64,
    /// Among them is one that the group calls complex, or code; or reasoning is asked for.
    pub complex: bool,
}
