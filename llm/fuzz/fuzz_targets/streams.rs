//! Upstreams' streams: where frames are cut makes no difference to what the client gets.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use turnpike_llm::stream::StreamDecoder;
use turnpike_llm_fuzz::Input;

/// What a client gets, and the error that ended it.
fn told(mut decoder: Box<dyn StreamDecoder>, frames: impl Iterator<Item = Bytes>) -> (Vec<u8>, Option<String>) {
    let mut out = Vec::new();
    for frame in frames {
        match decoder.push(frame) {
            Ok(bytes) => out.extend_from_slice(&bytes),
            Err(error) => return (out, Some(error.to_string())),
        }
        if decoder.finished() {
            break;
        }
    }
    match decoder.end() {
        Ok(bytes) => out.extend_from_slice(&bytes),
        Err(error) => return (out, Some(error.to_string())),
    }
    (out, None)
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else { return };
    let (adapter, operation, body) = (input.adapter, input.operation, input.stream());
    let whole = told(adapter.stream(operation, input.shown()), std::iter::once(body.clone()));
    let bytes = (0..body.len()).map(|at| body.slice(at..=at));
    assert_eq!(whole, told(adapter.stream(operation, input.shown()), bytes));
});
