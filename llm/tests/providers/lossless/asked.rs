//! Requests of every client's dialect to every provider: each thing that is said is told to the model, in its order.
//!
//! What is said is marked with words that occur nowhere else, and looked for in what is sent.

use proptest::{array, collection::vec, prelude::*};
use serde_json::{Value, json};
use turnpike_llm::provider::{Operation, ProviderKind};

use super::clients::OPERATIONS;
use crate::providers::fixture::Backend;

/// Providers, each with a model that takes tools and system messages.
const PROVIDERS: &[(ProviderKind, &str)] = &[
    (ProviderKind::OpenAI, "gpt-4o"),
    (ProviderKind::AzureOpenAI, "deployment"),
    (ProviderKind::Anthropic, "claude-sonnet-4-5-20250929"),
    (ProviderKind::Bedrock, "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    (ProviderKind::Bedrock, "amazon.nova-pro-v1:0"),
    (ProviderKind::VertexAI, "gemini-2.5-flash"),
    (ProviderKind::VertexAI, "claude-sonnet-4-5@20250929"),
    (ProviderKind::Gemini, "gemini-2.5-flash"),
    (ProviderKind::Cohere, "command-a-03-2025"),
    (ProviderKind::Mistral, "mistral-small-latest"),
    (ProviderKind::TogetherAI, "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    (ProviderKind::Groq, "llama-3.3-70b-versatile"),
    (ProviderKind::FireworksAI, "llama-v3p1-8b-instruct"),
    (ProviderKind::DeepSeek, "deepseek-chat"),
    (ProviderKind::Ollama, "llama3.2"),
    (ProviderKind::VLLM, "Qwen/Qwen2.5-7B-Instruct"),
    (ProviderKind::HuggingFaceTGI, "tgi"),
    (ProviderKind::NvidiaNIM, "meta/llama-3.1-8b-instruct"),
    (ProviderKind::OpenAICompatible, "m"),
];

/// A conversation in which tools were called, in no dialect.
#[derive(Clone, Debug)]
struct Talk {
    system: String,
    question: Vec<String>,
    answer: String,
    /// Each an argument's value and the call's result.
    calls: Vec<[String; 2]>,
    more: String,
    /// The tool's name and description, its argument's name and description.
    tool: [String; 4],
    stop: String,
    own: String,
}

/// A word that occurs once, with letters of any script around it.
fn word() -> impl Strategy<Value = String> {
    "[a-zæøå😀]{0,6}"
}

fn talk() -> impl Strategy<Value = Talk> {
    let texts = array::uniform4(word());
    (texts, vec(word(), 1..4), vec(array::uniform2(word()), 1..4), array::uniform4("[a-z]{1,6}")).prop_map(
        |([system, answer, more, own], question, calls, tool)| {
            let mut count = 0;
            let mut mark = |word: String| {
                count += 1;
                format!("mark{count}_{word}")
            };
            Talk {
                system: mark(system),
                question: question.into_iter().map(&mut mark).collect(),
                answer: mark(answer),
                calls: calls.into_iter().map(|call| call.map(&mut mark)).collect(),
                more: mark(more),
                tool: tool.map(&mut mark),
                stop: mark("stop".to_owned()),
                own: mark(own),
            }
        },
    )
}

impl Talk {
    /// What is said, in its order.
    fn turns(&self) -> Vec<&String> {
        let calls = self.calls.iter();
        let mut out: Vec<&String> = self.question.iter().collect();
        out.push(&self.answer);
        out.extend(calls.clone().map(|[argument, _]| argument));
        out.extend(calls.map(|[_, result]| result));
        out.push(&self.more);
        out
    }

    fn schema(&self) -> Value {
        let [_, _, name, description] = &self.tool;
        json!({"type": "object", "properties": {name: {"type": "string", "description": description}}, "required": [name]})
    }

    fn input(&self, argument: &str) -> Value {
        json!({ self.tool[2].clone(): argument })
    }

    /// In the words of a client.
    fn request(&self, operation: Operation) -> Value {
        match operation {
            Operation::Messages => self.message(),
            Operation::Responses => self.response(),
            Operation::GenerateContent => self.contents(),
            _ => self.chat(),
        }
    }

    fn calls(&self) -> impl Iterator<Item = (String, &String, &String)> {
        self.calls.iter().enumerate().map(|(at, [argument, result])| (format!("call_{at}"), argument, result))
    }

    fn chat(&self) -> Value {
        let [name, description, ..] = &self.tool;
        let parts: Vec<Value> = self.question.iter().map(|text| json!({"type": "text", "text": text})).collect();
        let calls: Vec<Value> = self
            .calls()
            .map(|(id, argument, _)| {
                json!({"id": id, "type": "function", "function": {"name": name, "arguments": self.input(argument).to_string()}})
            })
            .collect();
        let mut messages = vec![
            json!({"role": "system", "content": self.system}),
            json!({"role": "user", "content": parts}),
            json!({"role": "assistant", "content": self.answer, "tool_calls": calls}),
        ];
        messages
            .extend(self.calls().map(|(id, _, result)| json!({"role": "tool", "tool_call_id": id, "content": result})));
        messages.push(json!({"role": "user", "content": self.more}));
        let function = json!({"name": name, "description": description, "parameters": self.schema()});
        json!({"model": "m", "messages": messages, "tools": [{"type": "function", "function": function}],
            "stop": [self.stop], "brand_new": {"x": self.own}})
    }

    fn message(&self) -> Value {
        let [name, description, ..] = &self.tool;
        let text = |text: &String| json!({"type": "text", "text": text});
        let question: Vec<Value> = self.question.iter().map(text).collect();
        let mut answer = vec![text(&self.answer)];
        answer.extend(self.calls().map(
            |(id, argument, _)| json!({"type": "tool_use", "id": id, "name": name, "input": self.input(argument)}),
        ));
        let mut results: Vec<Value> = self
            .calls()
            .map(|(id, _, result)| json!({"type": "tool_result", "tool_use_id": id, "content": result}))
            .collect();
        results.push(text(&self.more));
        let messages = json!([{"role": "user", "content": question}, {"role": "assistant", "content": answer},
            {"role": "user", "content": results}]);
        json!({"model": "m", "max_tokens": 64, "system": self.system, "messages": messages, "stop_sequences": [self.stop],
            "tools": [{"name": name, "description": description, "input_schema": self.schema()}], "brand_new": {"x": self.own}})
    }

    fn contents(&self) -> Value {
        let [name, description, ..] = &self.tool;
        let text = |text: &String| json!({"text": text});
        let question: Vec<Value> = self.question.iter().map(text).collect();
        let mut answer = vec![text(&self.answer)];
        answer.extend(
            self.calls().map(|(_, argument, _)| json!({"functionCall": {"name": name, "args": self.input(argument)}})),
        );
        // Without ids, as Google's own client sends them.
        let results: Vec<Value> = self
            .calls()
            .map(|(_, _, result)| json!({"functionResponse": {"name": name, "response": {"result": result}}}))
            .collect();
        let contents = json!([{"role": "user", "parts": question}, {"role": "model", "parts": answer},
            {"role": "user", "parts": results}, {"role": "user", "parts": [text(&self.more)]}]);
        let function = json!({"name": name, "description": description, "parametersJsonSchema": self.schema()});
        json!({"contents": contents, "systemInstruction": {"parts": [text(&self.system)]},
            "tools": [{"functionDeclarations": [function]}], "generationConfig": {"stopSequences": [self.stop]},
            "brand_new": {"x": self.own}})
    }

    fn response(&self) -> Value {
        let [name, description, ..] = &self.tool;
        let question: Vec<Value> =
            self.question.iter().map(|text| json!({"type": "input_text", "text": text})).collect();
        let mut input = vec![
            json!({"role": "user", "content": question}),
            json!({"role": "assistant", "content": [{"type": "output_text", "text": self.answer}]}),
        ];
        input.extend(self.calls().map(|(id, argument, _)| {
            json!({"type": "function_call", "call_id": id, "name": name, "arguments": self.input(argument).to_string()})
        }));
        input.extend(
            self.calls()
                .map(|(id, _, result)| json!({"type": "function_call_output", "call_id": id, "output": result})),
        );
        input.push(json!({"role": "user", "content": self.more}));
        let tool = json!({"type": "function", "name": name, "description": description, "parameters": self.schema()});
        json!({"model": "m", "instructions": self.system, "input": input, "tools": [tool], "brand_new": {"x": self.own}})
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives(
        talk in talk(),
        (kind, model) in proptest::sample::select(PROVIDERS),
        operation in proptest::sample::select(OPERATIONS),
    ) {
        let encoded = Backend::new(kind, model).encode(operation, talk.request(operation).to_string()).unwrap();
        let sent = String::from_utf8(encoded.body.to_bytes().to_vec()).unwrap();
        let find = |mark: &String| sent.find(mark.as_str());
        let mut others: Vec<&String> = talk.tool.iter().chain([&talk.system, &talk.own]).collect();
        // Responses have no such member.
        others.extend((operation != Operation::Responses).then_some(&talk.stop));
        for mark in others {
            prop_assert!(find(mark).is_some(), "{} is lost: {}", mark, sent);
        }
        let places: Vec<usize> = talk.turns().into_iter().map(|mark| find(mark).expect(&sent)).collect();
        prop_assert!(places.is_sorted(), "{places:?}: {sent}");
    }
}
