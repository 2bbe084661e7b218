//! The routes that clients call, by what they do.

use crate::error::EncodeError;

/// The route that a client called, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// chat/completions.
    Chat,
    /// Legacy completions.
    Completions,
    /// embeddings.
    Embeddings,
    /// Anthropic's messages.
    Messages,
    /// Anthropic's `messages/count_tokens`.
    CountTokens,
    /// OpenAI's responses.
    Responses,
    /// Gemini's `generateContent` and `streamGenerateContent`, which name the model in the path.
    GenerateContent,
    /// Gemini's `countTokens`.
    CountContent,
    /// rerank, in Cohere's shape.
    Rerank,
    /// moderations.
    Moderations,
    /// images/generations.
    Images,
    /// images/edits: a form with images in, images out.
    ImageEdits,
    /// audio/speech: text in, sound out.
    Speech,
    /// audio/transcriptions: a form with sound in, text out.
    Transcriptions,
    /// audio/translations: likewise, into English.
    Translations,
    /// A provider's own API under its own paths, where that is no call of one of the others; no adapter is asked for it.
    PassThrough,
}

/// How a route's clients are spoken to, in errors too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's, and of what has no dialect of its own.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// OpenAI's Responses.
    Responses,
    /// Gemini's.
    Gemini,
}

impl Operation {
    /// Every one that adapters serve, in the order of their declaration.
    pub const ALL: [Self; 15] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Messages,
        Self::CountTokens,
        Self::Responses,
        Self::GenerateContent,
        Self::CountContent,
        Self::Rerank,
        Self::Moderations,
        Self::Images,
        Self::ImageEdits,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
    ];

    /// Where clients call those whose body names the model, below the version.
    pub const PATHS: [(&'static str, Self); 13] = [
        ("/chat/completions", Self::Chat),
        ("/completions", Self::Completions),
        ("/embeddings", Self::Embeddings),
        ("/messages", Self::Messages),
        ("/messages/count_tokens", Self::CountTokens),
        ("/responses", Self::Responses),
        ("/rerank", Self::Rerank),
        ("/moderations", Self::Moderations),
        ("/images/generations", Self::Images),
        ("/images/edits", Self::ImageEdits),
        ("/audio/speech", Self::Speech),
        ("/audio/transcriptions", Self::Transcriptions),
        ("/audio/translations", Self::Translations),
    ];

    /// What its clients speak.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::Responses => Dialect::Responses,
            Self::GenerateContent | Self::CountContent => Dialect::Gemini,
            Self::Chat
            | Self::Completions
            | Self::Embeddings
            | Self::Rerank
            | Self::Moderations
            | Self::Images
            | Self::ImageEdits
            | Self::Speech
            | Self::Transcriptions
            | Self::Translations
            | Self::PassThrough => Dialect::OpenAi,
        }
    }

    /// Whether a model writes text: the answer may be streamed, costs output tokens, and can be told how many.
    pub fn generates(self) -> bool {
        match self {
            Self::Chat | Self::Completions | Self::Messages | Self::Responses | Self::GenerateContent => true,
            Self::Embeddings
            | Self::CountTokens
            | Self::CountContent
            | Self::Rerank
            | Self::Moderations
            | Self::Images
            | Self::ImageEdits
            | Self::Speech
            | Self::Transcriptions
            | Self::Translations
            | Self::PassThrough => false,
        }
    }

    /// Whether requests and answers go through as they are but for the model's name: no provider has a dialect of its own for it.
    pub fn is_relayed(self) -> bool {
        match self {
            Self::Moderations
            | Self::Images
            | Self::ImageEdits
            | Self::Speech
            | Self::Transcriptions
            | Self::Translations
            | Self::PassThrough => true,
            Self::Chat
            | Self::Completions
            | Self::Embeddings
            | Self::Messages
            | Self::CountTokens
            | Self::Responses
            | Self::GenerateContent
            | Self::CountContent
            | Self::Rerank => false,
        }
    }

    /// Whether tokens are counted and nothing is made.
    pub fn counts(self) -> bool {
        matches!(self, Self::CountTokens | Self::CountContent)
    }

    /// Whether its requests are forms (`multipart/form-data`) instead of JSON.
    pub fn is_form(self) -> bool {
        matches!(self, Self::ImageEdits | Self::Transcriptions | Self::Translations)
    }

    /// Whether its answers are images, each of which is counted.
    pub fn draws(self) -> bool {
        matches!(self, Self::Images | Self::ImageEdits)
    }

    /// Whether its answers go out as they come in: asked for by the request's `stream`, or always, as sound is.
    pub fn is_streamed(self, asked: bool) -> bool {
        let may = self.generates() || self.draws() || self == Self::Transcriptions;
        self == Self::Speech || (asked && may)
    }
}

/// A route that a provider lacks; `name` as in messages to people.
pub(crate) fn no_route(name: &str, operation: Operation) -> EncodeError {
    let what = match operation {
        Operation::Chat => "chat completions",
        Operation::Completions => "legacy completions; use chat completions",
        Operation::Embeddings => "embeddings; ask for an embedding model of another provider",
        Operation::Messages => "messages",
        Operation::CountTokens | Operation::CountContent => "counts of tokens",
        Operation::Responses => "responses",
        Operation::GenerateContent => "generated content",
        Operation::Rerank => "reranking; ask for a reranking model of another provider",
        Operation::Moderations => "moderations; ask for a moderation model of another provider",
        Operation::Images => "image generation on this route; ask for an image model of another provider",
        Operation::ImageEdits => "edits of images; ask for an image model of another provider",
        Operation::Speech => "speech; ask for a speech model of another provider",
        Operation::Transcriptions => "transcriptions; ask for a transcription model of another provider",
        Operation::Translations => "translations of sound; ask for a transcription model of another provider",
        Operation::PassThrough => "calls of other providers",
    };
    EncodeError {
        message: format!("{} serves no {what}.", capitalized(name)).into(),
        param: Some("model".into()),
        code: "unsupported_operation",
    }
}

fn capitalized(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    // vLLM keeps its spelling.
    if name.chars().nth(1).is_some_and(char::is_uppercase) {
        name.to_owned()
    } else {
        first.into_iter().chain(chars).collect()
    }
}
