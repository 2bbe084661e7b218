//! Where the files of a model and its adapters come from.

use turnpike_crds::{
    ModelDeployment,
    model_deployment::{Engine, LoraAdapter, ModelSource, Vllm},
};

use crate::{Finding, adapter, children, names};

pub(super) fn remarks(model: &ModelDeployment, spec: &Vllm) -> Vec<Finding> {
    let mut found: Vec<Finding> = leaving("spec.vllm.source", &spec.source).into_iter().collect();
    if spec.engine == Engine::LlamaCpp {
        found.extend(one_file(&spec.source));
        return found;
    }
    let adapters = spec.lora.iter().flat_map(|lora| &lora.adapters);
    for (at, one) in adapters.enumerate() {
        found.extend(of_adapter(model, spec, &format!("spec.vllm.lora.adapters[{at}]"), one));
    }
    found
}

/// A path that leads out of the place that it names.
fn leaving(field: &str, source: &ModelSource) -> Option<Finding> {
    let leads_out = |path: &str| path.split('/').any(|part| part == "..");
    let pvc = source.pvc.as_ref().and_then(|pvc| pvc.path.as_deref()).filter(|path| leads_out(path));
    let (field, path) = match pvc {
        Some(path) => (format!("{field}.pvc.path"), path),
        None => (format!("{field}.uri"), source.uri.as_deref().filter(|uri| leads_out(uri))?),
    };
    Some(Finding::problem(
        field,
        format!("\"{path}\" leads out of its folder with \"..\""),
        "write the path without \"..\", from the volume's or bucket's root",
    ))
}

/// llama.cpp's server reads one file of format GGUF.
fn one_file(source: &ModelSource) -> Option<Finding> {
    const WANTED: &str = "name the file, such as tiny/model.gguf";
    if let Some(pvc) = &source.pvc {
        return match pvc.path.as_deref().map(|path| path.trim_matches('/')) {
            None | Some("") => Some(Finding::problem(
                "spec.vllm.source.pvc.path",
                "llama.cpp's server reads one file, and the path names none",
                WANTED,
            )),
            Some(path) if children::is_file(path) => None,
            Some(path) => Some(Finding::warning(
                "spec.vllm.source.pvc.path",
                format!("llama.cpp's server reads one GGUF file, and \"{path}\" does not end in .gguf"),
                WANTED,
            )),
        };
    }
    if let Some(uri) = source.uri.as_deref().filter(|uri| uri.starts_with("s3://") && !children::is_file(uri)) {
        return Some(Finding::problem(
            "spec.vllm.source.uri",
            format!("llama.cpp's server reads one GGUF file, and \"{uri}\" does not end in .gguf"),
            WANTED,
        ));
    }
    source.hugging_face.as_ref()?.revision.as_ref()?;
    Some(Finding::no_effect(
        "spec.vllm.source.huggingFace.revision",
        "llama.cpp's server always downloads the newest files of a repository",
        "remove it, or keep the file on a volume and use source.pvc",
    ))
}

fn of_adapter(model: &ModelDeployment, spec: &Vllm, field: &str, one: &LoraAdapter) -> Vec<Finding> {
    let mut found: Vec<Finding> = leaving(&format!("{field}.source"), &one.source).into_iter().collect();
    if one.name == names::served(model) {
        found.push(Finding::problem(
            format!("{field}.name"),
            "the adapter has the model's own name, so that the engine could not tell them apart",
            "give the adapter another name",
        ));
    }
    if children::lora_path(&one.source).is_none() {
        found.push(Finding::problem(
            format!("{field}.source.uri"),
            "adapters are loaded while the engine runs, which cannot be done from a bucket or an image",
            "use huggingFace, or pvc with the adapter's folder",
        ));
    }
    let Some(repository) = &one.source.hugging_face else {
        return found;
    };
    if repository.revision.is_some() {
        found.push(Finding::no_effect(
            format!("{field}.source.huggingFace.revision"),
            "vLLM loads the newest files of an adapter's repository",
            "remove it, or keep the adapter on a volume and use source.pvc",
        ));
    }
    let token = repository.token_secret_ref.as_ref();
    if token.is_some() && token != adapter::token(spec) {
        found.push(Finding::problem(
            format!("{field}.source.huggingFace.tokenSecretRef"),
            "an engine reads the hub with one token, and the model or another adapter has a different one",
            "use one token that may read all of them, in each tokenSecretRef",
        ));
    }
    found
}
