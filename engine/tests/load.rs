//! How busy an engine is, from its metrics.

use proptest::prelude::*;
use turnpike_crds::model_deployment::Engine;
use turnpike_engine::{load::load, scale::Demand};

/// As vLLM 0.33.0 writes them, with two ranks.
const VLLM: &str = r#"# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } \" 7"} 3.0
vllm:num_requests_running{engine="1",model_name="a } \" 7"} 2.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="a } \" 7"} 4.0 1763800000000
vllm:num_requests_waiting{engine="1",model_name="a } \" 7"} 0.0
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 40.0
"#;

const LLAMA: &str = "# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 1
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 6
";

fn said(in_flight: u64, waiting: u64) -> Demand {
    Demand { in_flight, waiting, wanted: false }
}

#[test]
fn ranks_are_added_up_and_what_only_begins_alike_is_not() {
    assert_eq!(load(Engine::Vllm, VLLM), Some(said(5, 4)));
    assert_eq!(load(Engine::LlamaCpp, LLAMA), Some(said(1, 6)));
}

#[test]
fn metrics_that_do_not_tell_are_not_taken_for_calm() {
    for (engine, metrics) in [
        (Engine::Vllm, ""),
        (Engine::Vllm, LLAMA),
        (Engine::LlamaCpp, "llamacpp:requests_processing 1\n"),
        (Engine::LlamaCpp, "llamacpp:requests_processing NaN\nllamacpp:requests_deferred 0\n"),
        (Engine::LlamaCpp, "llamacpp:requests_processing -1\nllamacpp:requests_deferred 0\n"),
        (Engine::LlamaCpp, "llamacpp:requests_processing{a=\"\nllamacpp:requests_deferred 0\n"),
    ] {
        assert_eq!(load(engine, metrics), None, "{metrics}");
    }
}

proptest! {
    #[test]
    fn any_text_is_borne(text in "\\PC{0,60}", value in any::<f64>(), labels in "[a-z\"\\\\}{=]{0,12}") {
        let line = |gauge: &str| format!("{gauge}{{{labels}}} {value}\n{gauge}{text}\n");
        load(Engine::LlamaCpp, &format!("{}{}", line("llamacpp:requests_processing"), line("llamacpp:requests_deferred")));
    }
}
