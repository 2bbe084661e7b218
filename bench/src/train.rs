//! What a profile-guided build learns from: the bench's own loads, and chats of every dialect with every dialect, on a
//! gateway that counts what runs (`scripts/release.sh`).
//!
//! The loads come to nearly all of the counts, so what they need is optimised first. Of the dialects it is enough to be
//! seen: what never ran would be taken for code that is not used, and built for size.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::LazyLock,
    time::Duration,
};

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use turnpike_testkit::{
    Client, Script, Upstream,
    manifest::{self, Manifest},
    provider::{Anthropic, Bedrock, Cohere, Dialect, Gemini, Ollama, OpenAi, OpenAiResponses, Vertex},
    sigv4::Account,
    upstream::Demands,
};

use crate::{
    args::TrainOptions,
    gateway::{self, Gateway, KEY, model},
    load::{self, Plan},
    script::{MODEL, PACED_MODEL, Traffic},
    upstream,
};

/// The providers' key, and of AWS both parts.
const UPSTREAM_KEY: &str = "sk-upstream-of-the-bench";
static BEDROCK: LazyLock<Bedrock> =
    LazyLock::new(|| Bedrock { account: Some(Account::bedrock(UPSTREAM_KEY, UPSTREAM_KEY)) });

/// Connections and traffic of the loads.
const LOADS: [(Traffic, u32); 3] = [(Traffic::Plain, 16), (Traffic::Burst, 16), (Traffic::Paced, 50)];

const CHAT: &str = "chat";
const EMBEDDINGS: &str = "embeddings";

/// A provider's type, the path of its base URL, a model of its, and what speaks its dialect.
type Served = (&'static str, &'static str, &'static str, &'static dyn Dialect);

/// Models that chat, and models that embed; their names here, which say which, are those that clients ask for.
fn served() -> Vec<(String, Served)> {
    let chat: [Served; 8] = [
        ("OpenAICompatible", "/v1", "gpt-4o", &OpenAi),
        ("OpenAI", "/v1", "gpt-5.5-pro", &OpenAiResponses),
        ("Anthropic", "", "claude-sonnet-4-5", &Anthropic),
        ("Gemini", "", "gemini-2.5-flash", &Gemini),
        ("VertexAI", "", "gemini-2.5-pro", &Vertex),
        ("Bedrock", "", "us.anthropic.claude-sonnet-4-20250514-v1:0", &*BEDROCK),
        ("Cohere", "", "command-a-03-2025", &Cohere),
        ("Ollama", "", "llama3.2", &Ollama),
    ];
    let embeddings: [Served; 5] = [
        ("OpenAICompatible", "/v1", "text-embedding-3-small", &OpenAi),
        ("Gemini", "", "gemini-embedding-001", &Gemini),
        ("Bedrock", "", "cohere.embed-english-v3", &*BEDROCK),
        ("Cohere", "", "embed-v4.0", &Cohere),
        ("Ollama", "", "nomic-embed-text", &Ollama),
    ];
    let named = |what: &'static str, served: Vec<Served>| {
        served.into_iter().enumerate().map(move |(at, served)| (format!("{what}-{at}"), served))
    };
    named(CHAT, chat.into()).chain(named(EMBEDDINGS, embeddings.into())).collect()
}

/// Runs all of it on one gateway, which then ends by itself, as only so it writes down what it counted; needs a `LocalSet`.
///
/// # Errors
/// Anything does not start, or any answer is none.
pub async fn run(options: &TrainOptions) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("turnpike-train-").tempdir()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let scripted = listener.local_addr()?;
    let mut ours = JoinSet::new();
    ours.spawn_local(upstream::serve(listener));
    let mut manifests = vec![manifest::secret("upstream", "api-key", UPSTREAM_KEY)];
    let served = served();
    let mut upstreams = Vec::with_capacity(served.len());
    for (name, served) in &served {
        let upstream = Demands::default().speaks(served.3).start().await;
        if name.starts_with(CHAT) {
            upstream.always(served.2, Script::words(30));
        }
        manifests.push(deployment(name, served, &upstream));
        upstreams.push(upstream);
    }
    let bench = [MODEL, PACED_MODEL].map(|name| model(name, name, scripted, "")).concat();
    let models = format!("{bench}{}\n---\n", manifest::documents(&manifests));
    let Gateway { process, address, .. } = gateway::start(&options.gateway, folder.path(), &models).await?;
    dialects(address, &served, options.requests).await?;
    for (traffic, connections) in LOADS {
        let measure = Duration::from_secs_f64(options.seconds);
        let plan = Plan {
            target: address,
            key: KEY.to_owned(),
            traffic,
            connections,
            rate: None,
            warm_up: Duration::ZERO,
            measure,
            watch: Vec::new(),
        };
        let outcome = load::run(&plan).await?;
        eprintln!("{traffic:?}: {} requests", outcome.requests_in_all);
    }
    process.stop().await
}

fn deployment(name: &str, (kind, base, model, _): &Served, upstream: &Upstream) -> Manifest {
    let secret = json!({"secretRef": {"name": "upstream", "key": "api-key"}});
    let manifest = manifest::provider(kind, name, &format!("{}{base}", upstream.root())).with("provider.model", *model);
    match *kind {
        "Bedrock" => manifest
            .with("provider.region", "us-east-1")
            .with("provider.credentials", json!({"aws": {"accessKeyId": secret, "secretAccessKey": secret}})),
        "VertexAI" => manifest
            .with("provider.project", "my-project")
            .with("provider.region", "europe-west4")
            .with("provider.credentials", secret),
        _ => manifest.with("provider.credentials", secret),
    }
}

/// Every chat model in every dialect of clients, whole and streamed, and every embedding model.
async fn dialects(address: SocketAddr, served: &[(String, Served)], requests: u32) -> anyhow::Result<()> {
    let client = Client::new(address).with_key(KEY);
    let mut connection = client.connect().await;
    for _ in 0..requests {
        for (name, _) in served {
            let asked = if name.starts_with(CHAT) { chats(name) } else { vec![embedding(name)] };
            for (path, body) in asked {
                let reply = connection.send(client.json(&path, &body, &[])).await?;
                ensure!(reply.status == 200, "POST {path} {body}: {reply:?}");
            }
        }
    }
    Ok(())
}

fn embedding(model: &str) -> (String, Value) {
    ("/v1/embeddings".to_owned(), json!({"model": model, "input": ["a", "b"]}))
}

fn chats(model: &str) -> Vec<(String, Value)> {
    let question = json!([{"role": "user", "content": "Weather in Oslo?"}]);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let mut all = vec![
        (format!("/v1beta/models/{model}:generateContent"), contents()),
        (format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), contents()),
    ];
    for stream in [false, true] {
        let chat = json!({"model": model, "stream": stream, "max_tokens": 64, "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather in Oslo?"},
            {"role": "assistant", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "5 C"},
        ], "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]});
        all.push(("/v1/chat/completions".to_owned(), chat));
        let messages = json!({"model": model, "stream": stream, "max_tokens": 64, "messages": question});
        all.push(("/v1/messages".to_owned(), messages));
        let response = json!({"model": model, "stream": stream, "store": false, "input": question});
        all.push(("/v1/responses".to_owned(), response));
    }
    all
}

fn contents() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]}, "generationConfig": {"maxOutputTokens": 64},
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    })
}
