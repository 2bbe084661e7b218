//! Every chat of the golden matrix to each provider of OpenAI's dialect, in front of a fake that refuses what the provider
//! refuses: it is taken, or the client is told what is wrong. One golden for each provider.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use serde_json::{Value, json};
use turnpike_testkit::{
    Script,
    manifest::Manifest,
    provider::{OpenAi, OpenAiLike},
};

use crate::stage::{MODEL, Stage, chat, text, with};

const CHAT: &str = "/v1/chat/completions";

/// The bodies of `llm/tests/cases/chat` by name.
fn cases() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../llm/tests/cases/chat");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let mut body: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        body["model"] = MODEL.into();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), body)
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

/// What became of a request.
async fn outcome(stage: &Stage, body: &Value) -> String {
    let before = stage.upstream.log().len();
    let reply = stage.post(CHAT, body).await;
    let log = stage.upstream.log();
    if reply.status == 200 {
        assert_eq!(log.last().unwrap().refused, None, "{body}");
        return "taken".to_owned();
    }
    let error = &reply.json()["error"];
    let told = error["message"].as_str().unwrap();
    assert!((400..=422).contains(&reply.status) && !told.is_empty(), "{reply:?}");
    let by = match log.get(before).map(|seen| seen.refused.clone()) {
        None => format!("by the gateway: {}", error["code"].as_str().unwrap()),
        Some(refused) => {
            let refused = refused.unwrap();
            assert!(told.contains(&refused), "{told} hides {refused}");
            "by the provider:".to_owned()
        }
    };
    format!("{} {by} [{}] {told}", reply.status, error["param"].as_str().unwrap_or("-"))
}

async fn golden(kind: &str) {
    let rules = OpenAiLike::ALL.iter().find(|rules| rules.kind == kind).unwrap();
    let stage = Stage::under(rules.base, rules.kind, rules.model, rules, |model| model).await;
    let cases = cases();
    assert!(cases.len() > 60, "the cases are missing");
    let mut text = String::new();
    for (name, body) in cases {
        writeln!(text, "{name}: {}", outcome(&stage, &body).await).unwrap();
    }
    insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(kind, text);
    });
}

macro_rules! providers {
    ($($name:ident: $kind:literal;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                golden($kind).await;
            }
        )*

        #[test]
        fn none_is_left_out() {
            let kinds: Vec<&str> = OpenAiLike::ALL.iter().map(|rules| rules.kind).collect();
            assert_eq!(kinds, [$($kind),*]);
        }
    };
}

providers! {
    openai: "OpenAI";
    azure: "AzureOpenAI";
    mistral: "Mistral";
    together: "TogetherAI";
    groq: "Groq";
    fireworks: "FireworksAI";
    perplexity: "Perplexity";
    deepseek: "DeepSeek";
    vllm: "VLLM";
    tgi: "HuggingFaceTGI";
    nim: "NvidiaNIM";
}

#[tokio::test]
async fn thinking_in_the_content_is_told_apart_of_a_model_that_is_said_to_reason() {
    for reasons in [true, false] {
        let edit = |model: Manifest| model.with("capabilities", json!({"reasoning": reasons}));
        let stage = Stage::under("/v1", "OpenAICompatible", "upstream-model", &OpenAi, edit).await;
        let said = "<think>\u{e6}</think>\nHei";
        stage.upstream.next(Script::chat(said));
        let message = &stage.chat(&chat()).await["choices"][0]["message"];
        let expected = if reasons { (json!("Hei"), json!("\u{e6}")) } else { (json!(said), Value::Null) };
        assert_eq!((message["content"].clone(), message["reasoning_content"].clone()), expected);
        stage.upstream.next(Script::chat(said));
        let chunks = stage.stream(&with(chat(), "stream", json!(true))).await;
        assert_eq!(text(&chunks), if reasons { "Hei" } else { said });
    }
}
