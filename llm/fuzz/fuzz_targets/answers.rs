//! Upstreams' whole answers and errors.
#![no_main]

use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use turnpike_llm::provider::Operation;
use turnpike_llm_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let shown = input.shown();
    let Input { adapter, operation, body, .. } = input;
    let _ = adapter.error(StatusCode::BAD_REQUEST, &HeaderMap::new(), &body);
    if let Ok(decoded) = adapter.decode(operation, body, &shown) {
        // What is only relayed may be text or sound.
        let relayed = matches!(
            operation,
            Operation::Moderations
                | Operation::Images
                | Operation::ImageEdits
                | Operation::Speech
                | Operation::Transcriptions
                | Operation::Translations
        );
        if relayed {
            return;
        }
        let told = decoded.body.to_bytes();
        assert!(turnpike_llm::json::scan(&told).is_ok(), "what a client is told must be JSON");
    }
});
