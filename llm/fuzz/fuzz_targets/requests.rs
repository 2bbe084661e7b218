//! Clients' requests: scanned, bounded, and encoded for a provider. Whatever is encoded is JSON of the length it claims.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turnpike_llm::{
    bound,
    features::{self, Wanted},
    provider::{Capabilities, CompiledParams, Dialect},
    request::Request,
};
use turnpike_llm_fuzz::{Input, target};

fuzz_target!(|data: &[u8]| {
    let Some(Input { adapter, operation, model, body, .. }) = Input::new(data) else { return };
    let scanned = match operation.dialect() {
        Dialect::Gemini => Request::scan_contents(body, false),
        _ => Request::scan(body),
    };
    let Ok(request) = scanned else { return };
    let _ = features::of(operation, &request, Wanted { prefix: true, words: Some(&["word".into()]) });
    let (params, capabilities) = (CompiledParams::default(), Capabilities::default());
    let target = target(model, &params, &capabilities);
    let call = bound::Call { operation, model: target.model, capabilities: &capabilities, params: None };
    let _ = (bound::prompt_bound(&request, call), bound::output_bound(&request, call));
    let Ok(encoded) = adapter.encode(operation, &request, &target) else { return };
    let sent = encoded.body.to_bytes();
    assert_eq!(sent.len(), encoded.body.len());
    assert!(turnpike_llm::json::scan(&sent).is_ok(), "what is sent must be JSON");
});
