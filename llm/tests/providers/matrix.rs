//! Every case of `tests/cases` to every provider: URL, headers, authentication and body, one golden per provider.
//!
//! A case is a client's body as it comes. Its model is the upstream's too, but `any` stands for the provider's own below.

use std::{fmt::Write, fs, path::Path};

use turnpike_llm::provider::{Operation, ProviderKind};

use super::fixture::Backend;

const OPERATIONS: [(&str, Operation); 3] =
    [("chat", Operation::Chat), ("completions", Operation::Completions), ("embeddings", Operation::Embeddings)];

/// A provider, with a chat and an embedding model that it serves.
fn golden(kind: ProviderKind, chat: &'static str, embedding: &'static str) {
    let mut text = String::new();
    let mut cases = 0;
    for (folder, operation) in OPERATIONS {
        let own = if operation == Operation::Embeddings { embedding } else { chat };
        for (name, body) in bodies(folder) {
            cases += 1;
            writeln!(text, "{folder}/{name}").unwrap();
            case(&mut text, &Backend::new(kind, own), operation, &body);
        }
    }
    assert!(cases > 60, "the cases are missing");
    insta::with_settings!({ snapshot_path => "../golden/encode", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("{kind:?}"), text);
    });
}

/// Every case of a client that speaks another dialect, likewise.
fn clients(folder: &str, operation: Operation, kind: ProviderKind, model: &'static str) {
    let mut text = String::new();
    for (name, body) in bodies(folder) {
        writeln!(text, "{folder}/{name}").unwrap();
        case(&mut text, &Backend::new(kind, model), operation, &body);
    }
    let path = format!("../golden/{folder}");
    insta::with_settings!({ snapshot_path => path, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("{kind:?}"), text);
    });
}

fn case(text: &mut String, backend: &Backend, operation: Operation, body: &str) {
    let asked: serde_json::Value = serde_json::from_str(body).unwrap();
    // Clients of Gemini name it in the path.
    let model = asked["model"].as_str().unwrap_or("any");
    let model = if model == "any" { backend.model } else { model };
    let stream = asked["stream"] == true;
    let encoded = backend.encode_for(operation, body.to_owned(), model);
    let called = encoded.as_ref().map_or(operation, |encoded| encoded.recall.called(operation));
    writeln!(text, "  POST {} {:?}", backend.url_of(called, stream, model), backend.adapter().auth()).unwrap();
    match encoded {
        Err(error) => {
            let param = error.param.as_deref().unwrap_or("-");
            writeln!(text, "  refused: {} [{param}] {error}", error.code).unwrap();
        }
        Ok(encoded) => {
            for (header, value) in encoded.headers.iter().filter(|(name, _)| *name != "content-type") {
                writeln!(text, "  {header}: {}", value.to_str().unwrap()).unwrap();
            }
            let sent = encoded.body.to_bytes();
            assert_eq!(sent.len(), encoded.body.len(), "Content-Length of {:?}", backend.kind);
            let sent = std::str::from_utf8(&sent).unwrap();
            serde_json::from_str::<serde_json::Value>(sent).expect("valid JSON");
            writeln!(text, "  {}", if sent == body { "(as it came)" } else { sent }).unwrap();
            for further in &encoded.further {
                writeln!(text, "  then {}", str::from_utf8(&further.to_bytes()).unwrap()).unwrap();
            }
        }
    }
}

/// The bodies of a folder by name, in order.
fn bodies(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let mut bodies: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap().trim_end().to_owned())
        })
        .collect();
    bodies.sort();
    bodies
}

macro_rules! providers {
    ($($name:ident: $kind:ident, $chat:literal, $embedding:literal;)*) => {
        $(
            #[test]
            fn $name() {
                golden(ProviderKind::$kind, $chat, $embedding);
            }
        )*
    };
}

providers! {
    openai: OpenAI, "gpt-4o", "text-embedding-3-small";
    azure_openai: AzureOpenAI, "gpt-4o-deployment", "embedder";
    anthropic: Anthropic, "claude-sonnet-4-5-20250929", "none";
    mistral: Mistral, "mistral-small-latest", "mistral-embed";
    together: TogetherAI, "meta-llama/Llama-3.3-70B-Instruct-Turbo", "BAAI/bge-large-en-v1.5";
    groq: Groq, "llama-3.3-70b-versatile", "none";
    fireworks: FireworksAI, "llama-v3p1-8b-instruct", "nomic-ai/nomic-embed-text-v1.5";
    perplexity: Perplexity, "sonar", "none";
    deepseek: DeepSeek, "deepseek-chat", "none";
    vllm: VLLM, "Qwen/Qwen2.5-7B-Instruct", "BAAI/bge-m3";
    tgi: HuggingFaceTGI, "tgi", "tgi";
    nim: NvidiaNIM, "meta/llama-3.1-8b-instruct", "nvidia/nv-embedqa-e5-v5";
    cohere: Cohere, "command-a-03-2025", "embed-v4.0";
    ollama: Ollama, "llama3.2", "nomic-embed-text";
    openai_compatible: OpenAICompatible, "m", "embedder";
    bedrock: Bedrock, "us.anthropic.claude-sonnet-4-20250514-v1:0", "amazon.titan-embed-text-v2:0";
    gemini: Gemini, "gemini-2.5-flash", "gemini-embedding-001";
    vertex: VertexAI, "gemini-3-pro-preview", "text-embedding-005";
}

/// Chats that go out as Responses: those of a model that has nothing else, and those with tools of one that reasons.
#[test]
fn chats_as_responses() {
    for (model, folder, operation) in
        [("gpt-5.5-pro", "chat", Operation::Chat), ("gpt-5.6", "messages", Operation::Messages)]
    {
        let mut text = String::new();
        for (name, body) in bodies(folder) {
            writeln!(text, "{folder}/{name}").unwrap();
            let mut body: serde_json::Value = serde_json::from_str(&body).unwrap();
            body["model"] = "any".into();
            case(&mut text, &Backend::new(ProviderKind::OpenAI, model), operation, &body.to_string());
        }
        insta::with_settings!({ snapshot_path => "../golden/as_responses", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(folder, text);
        });
    }
}

#[test]
fn clients_of_messages() {
    for (kind, model) in [
        (ProviderKind::Anthropic, "claude-sonnet-4-5-20250929"),
        (ProviderKind::Bedrock, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (ProviderKind::Cohere, "command-a-03-2025"),
        (ProviderKind::OpenAI, "gpt-5"),
        (ProviderKind::DeepSeek, "deepseek-chat"),
        (ProviderKind::Mistral, "mistral-small-latest"),
    ] {
        clients("messages", Operation::Messages, kind, model);
    }
}

#[test]
fn clients_of_contents() {
    for (kind, model) in [
        (ProviderKind::Gemini, "gemini-2.5-flash"),
        (ProviderKind::VertexAI, "gemini-2.5-flash"),
        (ProviderKind::OpenAI, "gpt-4o"),
        (ProviderKind::Anthropic, "claude-sonnet-4-5-20250929"),
        (ProviderKind::Bedrock, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (ProviderKind::Mistral, "mistral-small-latest"),
        (ProviderKind::Ollama, "llama3.2"),
    ] {
        clients("contents", Operation::GenerateContent, kind, model);
    }
}

#[test]
fn clients_of_responses() {
    for (kind, model) in [
        (ProviderKind::OpenAI, "gpt-5"),
        (ProviderKind::AzureOpenAI, "gpt-5-deployment"),
        (ProviderKind::VLLM, "Qwen/Qwen2.5-7B-Instruct"),
        (ProviderKind::Anthropic, "claude-sonnet-4-5-20250929"),
        (ProviderKind::Bedrock, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ] {
        clients("responses", Operation::Responses, kind, model);
    }
}
