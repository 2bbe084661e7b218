//! Chats of models that OpenAI serves by Responses alone, in front of a fake that refuses them as chats.

use serde_json::{Value, json};
use turnpike_testkit::provider::{OpenAiResponses, SEALED};

use crate::stage::{MODEL, Stage, chat, text, with, with_tools};

async fn stage(model: &str) -> Stage {
    Stage::under("/v1", "OpenAI", model, &OpenAiResponses, |model| model).await
}

fn path(stage: &Stage) -> String {
    stage.upstream.log().pop().unwrap().target.clone()
}

#[tokio::test]
async fn a_model_without_chats_answers_one() {
    let stage = stage("gpt-5.5-pro").await;
    let answer = stage.chat(&chat()).await;
    assert_eq!(path(&stage), "/v1/responses");
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!(MODEL)));
    let choice = &answer["choices"][0];
    assert!(
        !choice["message"]["content"].as_str().unwrap().is_empty() && choice["finish_reason"] == "stop",
        "{answer}"
    );
    assert_eq!(answer["usage"]["total_tokens"], 15);
    let chunks = stage.stream(&with(chat(), "stream", json!(true))).await;
    assert_eq!(text(&chunks), choice["message"]["content"].as_str().unwrap());
}

#[tokio::test]
async fn tools_are_called_and_the_reasoning_before_it_comes_back_to_the_model() {
    let stage = stage("gpt-5.6").await;
    let called = with(with_tools(), "tool_choice", json!("required"));
    for stream in [false, true] {
        let message = if stream {
            let chunks = stage.stream(&with(called.clone(), "stream", json!(true))).await;
            said(&chunks)
        } else {
            stage.chat(&called).await["choices"][0]["message"].clone()
        };
        let call = &message["tool_calls"][0];
        assert_eq!(call["function"], json!({"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}), "{message}");
        let mut next = with_tools();
        let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "5 C"});
        next["messages"].as_array_mut().unwrap().extend([message, result]);
        stage.chat(&next).await;
        assert_eq!(path(&stage), "/v1/responses");
        let sent = stage.sent();
        let reasoning = json!({"type": "reasoning", "id": "rs_up", "summary": [], "encrypted_content": SEALED});
        assert!(sent["input"].as_array().unwrap().contains(&reasoning), "{sent}");
        assert_eq!((&sent["store"], &sent["tools"][0]["strict"]), (&json!(false), &json!(false)));
    }
}

/// The message that chunks make.
fn said(chunks: &[Value]) -> Value {
    let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
    let mut message = json!({"role": "assistant", "content": null, "thinking_blocks": [], "tool_calls": []});
    for delta in deltas {
        let blocks = delta["thinking_blocks"].as_array().into_iter().flatten().cloned();
        message["thinking_blocks"].as_array_mut().unwrap().extend(blocks);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            if call["id"].is_string() {
                message["tool_calls"].as_array_mut().unwrap().push(call.clone());
            } else {
                let at = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                let arguments = &mut message["tool_calls"][at]["function"]["arguments"];
                *arguments =
                    format!("{}{}", arguments.as_str().unwrap(), call["function"]["arguments"].as_str().unwrap())
                        .into();
            }
        }
    }
    message
}

#[tokio::test]
async fn what_chat_completions_serve_stays_there() {
    let stage = stage("gpt-5.6").await;
    for body in [chat(), with(with_tools(), "reasoning_effort", json!("none"))] {
        stage.chat(&body).await;
        assert_eq!(path(&stage), "/v1/chat/completions");
    }
}

#[tokio::test]
async fn clients_of_messages_reach_it_too() {
    let stage = stage("gpt-5.6").await;
    let body = json!({
        "model": MODEL, "max_tokens": 64, "tool_choice": {"type": "any"},
        "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "Oslo?"}],
    });
    let reply = stage.post("/v1/messages", &body).await;
    assert_eq!((reply.status, path(&stage).as_str()), (200, "/v1/responses"), "{reply:?}");
    let answer = reply.json();
    let sealed = format!("openai:rs_up:{SEALED}");
    let call = json!({"type": "tool_use", "id": "call_up", "name": "get_weather", "input": {"city": "Oslo"}});
    assert_eq!(answer["content"], json!([{"type": "redacted_thinking", "data": sealed}, call]), "{answer}");
    assert_eq!(answer["stop_reason"], "tool_use");
}

#[tokio::test]
async fn refusals_are_told_as_of_a_chat() {
    let stage = stage("gpt-5.5-pro").await;
    let (status, error) = stage.failure(&with(chat(), "max_tokens", json!(5))).await;
    assert_eq!(status, 400, "{error}");
    assert!(error["message"].as_str().unwrap().contains("max_output_tokens"), "{error}");
    let (status, error) = stage.failure(&with(chat(), "seed", json!(5))).await;
    assert_eq!((status, error["param"].as_str().unwrap()), (400, "seed"), "{error}");
}
