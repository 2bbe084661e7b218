//! Where a model's files come from: what is mounted, what fetches them before the engine starts, and where they then lie.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, EnvVar, ImageVolumeSource, Volume, VolumeMount};
use turnpike_crds::model_deployment::{self, ModelSource, Vllm, engine::HuggingFace};

use super::{Engine, pod, volume};
use crate::names;

/// The container that fetches, in whichever pod.
pub(super) const FETCHING: &str = "fetch";
/// The volume with files that nobody needs to fetch.
pub(crate) const MODELS_VOLUME: &str = "models";
/// Where it is mounted.
const MODELS: &str = "/models";
/// Where claims with adapters are mounted, each in a folder of its name.
const ADAPTERS: &str = "/adapters";
/// The file that llama.cpp reads from an image volume, whose reference cannot name one.
const FILE_IN_IMAGE: &str = "model.gguf";
/// Downloads a repository, and tells on a port of its own how far it is.
const FETCH: &str = include_str!("../../data/fetch.py");
/// Copies a folder of a bucket, and waits for who else does.
const SYNC: &str = include_str!("../../data/sync.sh");

/// The parts of a pod that bring the model's files.
pub(super) struct Files {
    pub(super) volumes: Vec<Volume>,
    pub(super) mounts: Vec<VolumeMount>,
    pub(super) fetch: Option<Container>,
}

pub(super) fn files(engine: Engine<'_>) -> Files {
    let mut files = Files { volumes: Vec::new(), mounts: Vec::new(), fetch: None };
    let source = &engine.spec.source;
    if let Some(pvc) = &source.pvc {
        files.mount(volume::claimed(MODELS_VOLUME, pvc.claim_name.clone(), Some(true)), MODELS);
    }
    if let Some(image) = source.uri.as_deref().and_then(|uri| uri.strip_prefix("oci://")) {
        let image =
            ImageVolumeSource { reference: Some(image.to_owned()), pull_policy: Some("IfNotPresent".to_owned()) };
        files.mount(Volume { name: MODELS_VOLUME.to_owned(), image: Some(image), ..Volume::default() }, MODELS);
    }
    files.fetch = match (&source.hugging_face, bucket(source)) {
        (Some(repository), _) if engine.spec.engine == model_deployment::Engine::Vllm => Some(hub(engine, repository)),
        (_, Some(place)) => Some(sync(engine, place)),
        _ => None,
    };
    for (at, claim) in adapter_claims(engine.spec).into_iter().enumerate() {
        let name = format!("adapters-{at}");
        let source = volume::claimed(&name, claim.to_owned(), Some(true));
        files.mount(source, &format!("{ADAPTERS}/{claim}"));
    }
    files
}

impl Files {
    fn mount(&mut self, source: Volume, path: &str) {
        self.mounts.push(VolumeMount { read_only: Some(true), ..volume::mount(&source.name, path) });
        self.volumes.push(source);
    }
}

/// The path that the engine reads the model from; `None` for a repository of the hub, which it is told by name.
pub(crate) fn path(engine: model_deployment::Engine, source: &ModelSource) -> Option<String> {
    if let Some(pvc) = &source.pvc {
        return Some(below(MODELS, pvc.path.as_deref()));
    }
    if let Some(place) = bucket(source) {
        return Some(below(&format!("{}/s3", volume::CACHE), Some(place)));
    }
    source.uri.as_ref().map(|_| match engine {
        model_deployment::Engine::Vllm => MODELS.to_owned(),
        model_deployment::Engine::LlamaCpp => below(MODELS, Some(FILE_IN_IMAGE)),
    })
}

/// What `POST /v1/load_lora_adapter` is to be given as `lora_path`; `None` for a source that adapters cannot have.
pub fn lora_path(source: &ModelSource) -> Option<String> {
    match (&source.hugging_face, &source.pvc) {
        (Some(repository), _) => Some(repository.repo.clone()),
        (None, Some(pvc)) => Some(below(&format!("{ADAPTERS}/{}", pvc.claim_name), pvc.path.as_deref())),
        (None, None) => None,
    }
}

fn below(folder: &str, path: Option<&str>) -> String {
    let path = path.unwrap_or_default().trim_matches('/');
    if path.is_empty() { folder.to_owned() } else { format!("{folder}/{path}") }
}

fn bucket(source: &ModelSource) -> Option<&str> {
    source.uri.as_deref()?.strip_prefix("s3://")
}

fn adapter_claims(spec: &Vllm) -> BTreeSet<&str> {
    let adapters = spec.lora.iter().flat_map(|lora| &lora.adapters);
    adapters.filter_map(|adapter| claim(&adapter.source)).collect()
}

fn claim(source: &ModelSource) -> Option<&str> {
    Some(source.pvc.as_ref()?.claim_name.as_str())
}

/// Claims that a spec names, for its cache, its model or adapters: others made them.
pub fn named_claims(spec: &Vllm) -> BTreeSet<&str> {
    let cache = spec.cache.as_ref().and_then(|cache| cache.claim_name.as_deref());
    adapter_claims(spec).into_iter().chain(claim(&spec.source)).chain(cache).collect()
}

fn hub(engine: Engine<'_>, repository: &HuggingFace) -> Container {
    let revision = repository.revision.as_deref().unwrap_or("main");
    let mut variables = vec![
        pod::variable("MODEL_REPOSITORY", &repository.repo),
        pod::variable("MODEL_REVISION", revision),
        pod::variable("PROGRESS_PORT", &names::PROGRESS_PORT.to_string()),
    ];
    variables.extend(repository.token_secret_ref.as_ref().map(|token| pod::secret_variable("HF_TOKEN", token)));
    Container {
        command: Some(["python3", "-c", FETCH].map(str::to_owned).into()),
        ports: Some(vec![ContainerPort {
            name: Some("progress".to_owned()),
            container_port: i32::from(names::PROGRESS_PORT),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        ..fetching(engine, pod::image(engine), variables)
    }
}

/// A place that ends in a file's name is that file alone.
fn sync(engine: Engine<'_>, place: &str) -> Container {
    let (from, only) = match place.rsplit_once('/') {
        Some((folder, file)) if is_file(file) => (folder, Some(file)),
        _ => (place.trim_end_matches('/'), None),
    };
    let variables = vec![
        pod::variable("MODEL_FROM", &format!("s3://{from}")),
        pod::variable("MODEL_TO", &below(&format!("{}/s3", volume::CACHE), Some(from))),
        pod::variable("MODEL_LOCK", &below(&format!("{}/locks", volume::CACHE), Some(&from.replace('/', "_")))),
    ];
    let mut command: Vec<String> = ["sh", "-c", SYNC, "sync"].map(str::to_owned).into();
    if let Some(file) = only {
        command.extend(["--exclude", "*", "--include", file].map(str::to_owned));
    }
    Container { command: Some(command), ..fetching(engine, &engine.settings.s3_image, variables) }
}

/// Whether the last part of a path is a model's file rather than a folder.
pub(crate) fn is_file(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// It has the spec's own variables as well: proxies, mirrors and cloud credentials are for the download.
fn fetching(engine: Engine<'_>, image: &str, variables: Vec<EnvVar>) -> Container {
    let paths = volume::variables(engine).into_iter().map(|(name, value)| pod::variable(name, &value));
    Container {
        name: FETCHING.to_owned(),
        env: Some(pod::with_own(paths.chain(variables).collect(), &engine.spec.env)),
        volume_mounts: Some(volume::fetching_mounts()),
        ..pod::container(engine, image)
    }
}
