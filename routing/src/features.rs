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
    /// Tags of the request and of its key.
    pub tags: Vec<Box<str>>,
    /// Hash of what keeps its sender on one target (key, user or header); `None` = nothing does.
    pub sender: Option<u64>,
    /// Hashes of the prompt's beginnings, the shortest first.
    pub prefixes: Vec<u64>,
    /// Words of the prompt.
    pub words: u64,
    /// The prompt has a word that the group calls complex, or looks like code, tools or reasoning.
    pub complex: bool,
}
