//! Backends to encode for.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::{
    error::EncodeError,
    media::Fetched,
    provider::{Capabilities, CompiledParams, Dialect, Encoded, Operation, Provider, ProviderKind, Target},
    request::Request,
};

/// Every provider of OpenAI's dialect, in the table's order.
pub(crate) const KINDS: [ProviderKind; 12] = [
    ProviderKind::OpenAI,
    ProviderKind::AzureOpenAI,
    ProviderKind::Mistral,
    ProviderKind::TogetherAI,
    ProviderKind::Groq,
    ProviderKind::FireworksAI,
    ProviderKind::Perplexity,
    ProviderKind::DeepSeek,
    ProviderKind::VLLM,
    ProviderKind::HuggingFaceTGI,
    ProviderKind::NvidiaNIM,
    ProviderKind::OpenAICompatible,
];

/// A backend.
pub(crate) struct Backend {
    pub(crate) kind: ProviderKind,
    pub(crate) model: &'static str,
    pub(crate) base_url: &'static str,
    pub(crate) api_version: Option<&'static str>,
    pub(crate) params: CompiledParams,
    pub(crate) drop_unsupported: bool,
    pub(crate) max_output_tokens: Option<u64>,
}

impl Backend {
    pub(crate) fn new(kind: ProviderKind, model: &'static str) -> Self {
        let own =
            if kind == ProviderKind::AzureOpenAI { "https://east.openai.azure.com" } else { "http://host:8000/v1" };
        Self {
            kind,
            model,
            base_url: kind.default_base_url().unwrap_or(own),
            api_version: None,
            params: CompiledParams::default(),
            drop_unsupported: false,
            max_output_tokens: None,
        }
    }

    /// `params` as the spec has them.
    pub(crate) fn with_params(kind: ProviderKind, model: &'static str, params: &Value) -> Self {
        let strings = |name: &str| -> BTreeMap<String, Value> {
            params.get(name).and_then(Value::as_object).cloned().unwrap_or_default().into_iter().collect()
        };
        let rename = strings("rename").into_iter().map(|(from, to)| (from, to.as_str().unwrap().to_owned())).collect();
        let drop: Vec<String> = serde_json::from_value(params.get("drop").cloned().unwrap_or(json!([]))).unwrap();
        let params = CompiledParams::compile(&strings("defaults"), &drop, &rename);
        Self { params, ..Self::new(kind, model) }
    }

    pub(crate) fn adapter(&self) -> &'static dyn Provider {
        self.kind.adapter().expect("speaks OpenAI's dialect")
    }

    pub(crate) fn encode(&self, operation: Operation, body: impl Into<Bytes>) -> Result<Encoded, EncodeError> {
        self.encode_for(operation, body, self.model)
    }

    /// For another model of this backend.
    pub(crate) fn encode_for(
        &self,
        operation: Operation,
        body: impl Into<Bytes>,
        model: &str,
    ) -> Result<Encoded, EncodeError> {
        let request = match operation.dialect() {
            Dialect::Gemini => Request::scan_contents(body.into(), false),
            _ => Request::scan(body.into()),
        };
        self.encode_scanned(operation, &request.unwrap(), model)
    }

    /// A request that is read already, such as a form.
    pub(crate) fn encode_request(&self, operation: Operation, request: &Request) -> Result<Encoded, EncodeError> {
        self.encode_scanned(operation, request, self.model)
    }

    fn encode_scanned(&self, operation: Operation, request: &Request, model: &str) -> Result<Encoded, EncodeError> {
        self.with_target(model, |target| {
            let drop_unsupported = target.drop_unsupported || request.drop_params() == Some(true);
            self.adapter().encode(operation, request, &Target { drop_unsupported, ..*target })
        })
    }

    /// The body sent for a chat request, parsed.
    pub(crate) fn chat(&self, body: &Value) -> Value {
        let encoded = self.encode(Operation::Chat, body.to_string()).unwrap();
        serde_json::from_slice(&encoded.body.to_bytes()).unwrap()
    }

    pub(crate) fn url(&self, operation: Operation, stream: bool) -> String {
        self.url_of(operation, stream, self.model)
    }

    /// For another model of this backend.
    pub(crate) fn url_of(&self, operation: Operation, stream: bool, model: &str) -> String {
        self.with_target(model, |target| self.adapter().url(operation, stream, target))
    }

    fn with_target<T>(&self, model: &str, act: impl FnOnce(&Target<'_>) -> T) -> T {
        act(&Target {
            base_url: &self.base_url.replace("{region}", "us-east-1"),
            model,
            api_version: self.api_version,
            region: Some("us-east-1"),
            project: Some("my-project"),
            params: &self.params,
            capabilities: &Capabilities::default(),
            drop_unsupported: self.drop_unsupported,
            max_output_tokens: self.max_output_tokens,
            fetched: Fetched::NONE,
        })
    }
}

/// Compares with a golden of `tests/golden/routes`.
pub(crate) fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../golden/routes", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}
