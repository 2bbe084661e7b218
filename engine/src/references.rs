//! The Secrets that an engine's pods read. Whoever may create engines must not thereby read Secrets that are not meant for them.

use turnpike_crds::{
    SecretKeyRef,
    model_deployment::{ModelSource, Vllm},
};

/// Each reference with the path of its field; without the engine's own key.
pub fn of(spec: &Vllm) -> Vec<(String, &SecretKeyRef)> {
    let adapters = spec.lora.iter().flat_map(|lora| &lora.adapters).enumerate();
    let adapters = adapters.map(|(at, adapter)| (format!("spec.vllm.lora.adapters[{at}].source"), &adapter.source));
    let sources = std::iter::once(("spec.vllm.source".to_owned(), &spec.source)).chain(adapters);
    let tokens =
        sources.filter_map(|(field, source)| Some((format!("{field}.huggingFace.tokenSecretRef"), token(source)?)));
    let variables = spec.env.iter().enumerate();
    let variables = variables
        .filter_map(|(at, variable)| Some((format!("spec.vllm.env[{at}].secretRef"), variable.secret_ref.as_ref()?)));
    tokens.chain(variables).collect()
}

fn token(source: &ModelSource) -> Option<&SecretKeyRef> {
    source.hugging_face.as_ref()?.token_secret_ref.as_ref()
}
