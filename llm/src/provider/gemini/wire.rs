//! What Google answers, whole or as one event of a stream.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::usage::{Service, Usage};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    #[serde(default)]
    pub(super) candidates: Vec<Candidate>,
    pub(super) prompt_feedback: Option<Feedback>,
    pub(super) usage_metadata: Option<Counts>,
    #[serde(rename = "responseId")]
    pub(super) id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    pub(super) content: Option<Said>,
    pub(super) finish_reason: Option<String>,
    #[serde(default)]
    pub(super) index: u32,
    pub(super) grounding_metadata: Option<Grounding>,
    pub(super) citation_metadata: Option<Citations>,
    pub(super) logprobs_result: Option<Logprobs>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) thought: bool,
    pub(super) thought_signature: Option<String>,
    pub(super) inline_data: Option<Blob>,
    pub(super) file_data: Option<FileData>,
    pub(super) function_call: Option<Call>,
    pub(super) executable_code: Option<Code>,
    pub(super) code_execution_result: Option<CodeResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob {
    #[serde(default)]
    pub(super) mime_type: String,
    #[serde(default)]
    pub(super) data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FileData {
    pub(super) file_uri: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: String,
    pub(super) args: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Code {
    #[serde(default)]
    pub(super) language: String,
    #[serde(default)]
    pub(super) code: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct CodeResult {
    #[serde(default)]
    pub(super) output: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback {
    pub(super) block_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Grounding {
    #[serde(default, rename = "groundingChunks")]
    pub(super) chunks: Vec<Chunk>,
    #[serde(default, rename = "groundingSupports")]
    pub(super) supports: Vec<Supported>,
    #[serde(default)]
    pub(super) web_search_queries: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk {
    web: Option<Page>,
    retrieved_context: Option<Page>,
    maps: Option<Page>,
}

impl Chunk {
    pub(super) fn page(&self) -> Option<&Page> {
        self.web.as_ref().or(self.retrieved_context.as_ref()).or(self.maps.as_ref())
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) uri: String,
    pub(super) title: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Supported {
    #[serde(default)]
    pub(super) grounding_chunk_indices: Vec<usize>,
    pub(super) segment: Option<Segment>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Segment {
    /// In bytes, as the end.
    #[serde(default)]
    pub(super) start_index: usize,
    #[serde(default)]
    pub(super) end_index: usize,
    #[serde(default)]
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Citations {
    /// AI Studio has the first name, Vertex AI the second.
    #[serde(default, alias = "citationSources")]
    pub(super) citations: Vec<Citation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Citation {
    #[serde(default)]
    pub(super) start_index: usize,
    #[serde(default)]
    pub(super) end_index: usize,
    #[serde(default)]
    pub(super) uri: String,
    pub(super) title: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Logprobs {
    #[serde(default)]
    pub(super) chosen_candidates: Vec<Token>,
    #[serde(default)]
    pub(super) top_candidates: Vec<Top>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Top {
    #[serde(default)]
    pub(super) candidates: Vec<Token>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Token {
    #[serde(default)]
    pub(super) token: String,
    #[serde(default)]
    pub(super) log_probability: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Counts {
    prompt_token_count: u64,
    cached_content_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    /// What tools of Google's own found for the model to read.
    tool_use_prompt_token_count: u64,
    total_token_count: u64,
    prompt_tokens_details: Vec<Modality>,
    candidates_tokens_details: Vec<Modality>,
    /// The class of service: AI Studio's word.
    service_tier: Option<String>,
    /// Vertex AI's.
    traffic_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Modality {
    #[serde(default)]
    modality: String,
    #[serde(default)]
    token_count: u64,
}

impl Counts {
    /// Thoughts are counted beside the answer, tool results beside the prompt. `None` = it counts nothing.
    pub(super) fn usage(&self, queries: u64) -> Option<Usage> {
        let prompt = self.prompt_token_count.saturating_add(self.tool_use_prompt_token_count);
        let beside = self.candidates_token_count.saturating_add(self.thoughts_token_count);
        // Some models count thoughts in the answer; the total gives it away.
        let within = self.total_token_count == prompt.saturating_add(self.candidates_token_count);
        let completion = if within { self.candidates_token_count } else { beside };
        let usage = Usage {
            prompt,
            completion,
            cached: self.cached_content_token_count.min(prompt),
            reasoning: self.thoughts_token_count.min(completion),
            audio_input: audio(&self.prompt_tokens_details).min(prompt),
            audio_output: audio(&self.candidates_tokens_details).min(completion),
            queries,
            service: self
                .service_tier
                .as_deref()
                .or(self.traffic_type.as_deref())
                .map_or(Service::Standard, Service::named),
            ..Usage::default()
        };
        (usage.total() > 0).then_some(usage)
    }
}

fn audio(details: &[Modality]) -> u64 {
    details.iter().filter(|detail| detail.modality == "AUDIO").map(|detail| detail.token_count).sum()
}
