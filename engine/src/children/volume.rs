//! What an engine writes to: the cache, which may outlive the pod, its home, and the memory that its processes share.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        EmptyDirVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimVolumeSource,
        Volume, VolumeMount, VolumeResourceRequirements,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use turnpike_crds::model_deployment::engine::AccessMode;

use super::Engine;

/// Where downloads and compiled kernels are kept.
pub(crate) const CACHE: &str = "/cache";
/// The home of a user whom the image does not know.
const HOME: &str = "/home/engine";
const SHARED_MEMORY: &str = "2Gi";
/// Where programs keep what they write: all engines of a volume share repositories; what is compiled is each one's own.
pub(crate) const PLACES: &[(&str, &str)] = &[
    ("HOME", HOME),
    // Without these two, looking up the user's name fails: the image has no such user.
    ("USER", "engine"),
    ("LOGNAME", "engine"),
    ("HF_HOME", "/cache/huggingface"),
    ("XDG_CACHE_HOME", "{own}/xdg"),
    ("VLLM_CACHE_ROOT", "{own}/vllm"),
    ("TRITON_CACHE_DIR", "{own}/triton"),
    ("TORCHINDUCTOR_CACHE_DIR", "{own}/torchinductor"),
];

pub(super) fn volumes(engine: Engine<'_>) -> Vec<Volume> {
    let shared = engine.spec.shared_memory.clone().unwrap_or_else(|| Quantity(SHARED_MEMORY.to_owned()));
    let shared = EmptyDirVolumeSource { medium: Some("Memory".to_owned()), size_limit: Some(shared) };
    let mut volumes = fetching_volumes(engine);
    volumes.push(temporary("shm", shared));
    volumes
}

/// Of a pod that only fetches files.
pub(super) fn fetching_volumes(engine: Engine<'_>) -> Vec<Volume> {
    vec![cache(engine), empty("home"), empty("tmp")]
}

pub(super) fn mounts() -> Vec<VolumeMount> {
    let mut mounts = fetching_mounts();
    mounts.push(mount("shm", "/dev/shm"));
    mounts
}

/// Of a container that only fetches files.
pub(super) fn fetching_mounts() -> Vec<VolumeMount> {
    vec![mount("cache", CACHE), mount("home", HOME), mount("tmp", "/tmp")]
}

pub(super) fn variables(engine: Engine<'_>) -> Vec<(&'static str, String)> {
    let own = format!("{CACHE}/{}", engine.name());
    PLACES.iter().map(|(name, place)| (*name, place.replace("{own}", &own))).collect()
}

/// The claim that is made for the cache.
pub(super) fn claim(engine: Engine<'_>) -> Option<PersistentVolumeClaim> {
    let cache = engine.spec.cache.as_ref()?;
    let size = cache.size.clone()?;
    let mode = match cache.access_mode {
        AccessMode::ReadWriteOnce => "ReadWriteOnce",
        AccessMode::ReadWriteMany => "ReadWriteMany",
    };
    Some(PersistentVolumeClaim {
        metadata: engine.metadata(),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![mode.to_owned()]),
            storage_class_name: cache.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

pub(super) fn claimed(name: &str, claim_name: String, read_only: Option<bool>) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only }),
        ..Volume::default()
    }
}

pub(super) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn cache(engine: Engine<'_>) -> Volume {
    match &engine.spec.cache {
        Some(cache) => claimed("cache", cache.claim_name.clone().unwrap_or_else(|| engine.name()), None),
        None => empty("cache"),
    }
}

fn empty(name: &str) -> Volume {
    temporary(name, EmptyDirVolumeSource::default())
}

fn temporary(name: &str, source: EmptyDirVolumeSource) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(source), ..Volume::default() }
}
