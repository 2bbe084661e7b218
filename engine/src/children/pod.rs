//! The pod of one replica.
//!
//! vLLM's guide for Kubernetes has a pod like this one, and we differ from it where a replica must come and go unseen: the
//! startup probe waits for the model instead of a fixed delay of the other two; preStop, the grace period and
//! `--shutdown-timeout` let answers end; files are fetched before by a container of their own, which alone has the hub's token;
//! the process is not root and its caches lie where it may write; no shell, no host network or IPC, no capability (the guide's
//! pod for AMD has all three: `runAsRoot` and the operator's `--unsafe-pod-overlay` are the way there).

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Lifecycle, LifecycleHandler,
        PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretKeySelector,
        SecurityContext, SleepAction,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use turnpike_crds::{SecretKeyRef, model_deployment::engine};

use super::{Engine, network::PORT_NAME, seconds, source, volume};
use crate::{adapter, names, overlay};

/// A user that vLLM's and llama.cpp's images do not have, so that nothing of theirs belongs to it.
const USER: i64 = 2000;
/// Gateways look up addresses each second; DNS may lag behind by 5 s and endpoints by a few more.
const DRAIN_SECONDS: i64 = 15;
/// A whole answer, where the spec does not say.
const TOTAL: Duration = Duration::from_mins(10);
/// Nobody waits longer than this for a pod to end, seconds.
const LONGEST_GRACE: i32 = 3600;
/// Between two looks at an engine that starts, seconds.
const STARTUP_PERIOD: i32 = 5;

pub(super) fn template(engine: Engine<'_>) -> PodTemplateSpec {
    let files = source::files(engine);
    let mut volumes = volume::volumes(engine);
    volumes.extend(files.volumes);
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(engine.labels()), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            termination_grace_period_seconds: Some(DRAIN_SECONDS + i64::from(answer_seconds(engine))),
            init_containers: files.fetch.map(|fetch| vec![fetch]),
            containers: vec![serving(engine, files.mounts)],
            volumes: Some(volumes),
            ..bare(engine)
        }),
    };
    overlay::apply(template, &engine.spec.pod_overlay)
}

/// What all pods share.
pub(super) fn bare(engine: Engine<'_>) -> PodSpec {
    PodSpec {
        service_account_name: Some(engine.name()),
        automount_service_account_token: Some(false),
        // Variables such as VLLM_PORT, from a Service of that name, would be read as settings.
        enable_service_links: Some(false),
        security_context: Some(security(engine)),
        ..PodSpec::default()
    }
}

/// The longest time that an answer may still take when its pod is to end.
pub(super) fn answer_seconds(engine: Engine<'_>) -> i32 {
    let total = engine.model.spec.timeouts.as_ref().and_then(|timeouts| timeouts.total.as_ref());
    seconds(total, TOTAL).min(LONGEST_GRACE)
}

pub(super) fn image(engine: Engine<'_>) -> &str {
    let default = match engine.spec.engine {
        engine::Engine::Vllm => &engine.settings.vllm_image,
        engine::Engine::LlamaCpp => &engine.settings.llama_cpp_image,
    };
    engine.spec.image.as_deref().unwrap_or(default)
}

/// What all containers share.
pub(super) fn container(engine: Engine<'_>, image: &str) -> Container {
    let is_root = engine.spec.run_as_root;
    Container {
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            run_as_non_root: Some(!is_root),
            ..SecurityContext::default()
        }),
        // Status shows the last line of a log without reading logs.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

pub(super) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

pub(super) fn secret_variable(name: &str, reference: &SecretKeyRef) -> EnvVar {
    let selector =
        SecretKeySelector { name: reference.name.clone(), key: reference.key.clone(), optional: Some(false) };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

/// The spec's own variables after ours; where both have a name, which `check` allows for a few, the spec's holds.
pub(super) fn with_own(mut variables: Vec<EnvVar>, own: &[engine::EnvVar]) -> Vec<EnvVar> {
    variables.retain(|variable| !own.iter().any(|own| own.name == variable.name));
    variables.extend(own.iter().map(|own| match &own.secret_ref {
        Some(reference) => secret_variable(&own.name, reference),
        None => variable(&own.name, own.value.as_deref().unwrap_or_default()),
    }));
    variables
}

fn serving(engine: Engine<'_>, files: Vec<k8s_openapi::api::core::v1::VolumeMount>) -> Container {
    let mut mounts = volume::mounts();
    mounts.extend(files);
    Container {
        name: "engine".to_owned(),
        args: Some(adapter::args(engine.model, engine.spec, answer_seconds(engine))),
        env: Some(variables(engine)),
        ports: Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: i32::from(names::PORT),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: Some(resources(engine)),
        startup_probe: Some(Probe {
            failure_threshold: Some(
                engine.startup_seconds().saturating_add(STARTUP_PERIOD - 1).div_euclid(STARTUP_PERIOD).max(1),
            ),
            ..probe(STARTUP_PERIOD, 5)
        }),
        readiness_probe: Some(Probe { failure_threshold: Some(3), ..probe(5, 5) }),
        // An engine under load answers late; one that is stuck does not answer for a minute.
        liveness_probe: Some(Probe { failure_threshold: Some(6), ..probe(10, 10) }),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: DRAIN_SECONDS }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        volume_mounts: Some(mounts),
        ..container(engine, image(engine))
    }
}

fn variables(engine: Engine<'_>) -> Vec<EnvVar> {
    let spec = engine.spec;
    let fixed = volume::variables(engine).into_iter().chain(adapter::variables(spec));
    let mut variables: Vec<EnvVar> = fixed.map(|(name, value)| variable(name, &value)).collect();
    let key = adapter::key(engine.model, spec);
    variables.push(secret_variable(adapter::key_variable(spec.engine), &key));
    // Else only the container that fetches needs it.
    let token = adapter::token(spec).filter(|_| adapter::downloads(spec));
    variables.extend(token.map(|token| secret_variable("HF_TOKEN", token)));
    with_own(variables, &spec.env)
}

/// `/health` needs no key.
fn probe(period: i32, timeout: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/health".to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        ..Probe::default()
    }
}

/// Of GPUs, what is requested and the limit are one.
fn resources(engine: Engine<'_>) -> ResourceRequirements {
    let given = engine.spec.resources.clone().unwrap_or_default();
    let (mut requests, mut limits): (BTreeMap<_, _>, BTreeMap<_, _>) = (given.requests, given.limits);
    let gpu = &engine.spec.gpu;
    if gpu.count > 0 {
        for amounts in [&mut requests, &mut limits] {
            amounts.insert(gpu.resource_name.clone(), Quantity(gpu.count.to_string()));
        }
    }
    let some = |amounts: BTreeMap<String, Quantity>| (!amounts.is_empty()).then_some(amounts);
    ResourceRequirements { requests: some(requests), limits: some(limits), claims: None }
}

/// Pod Security's level restricted, unless the spec asks for root.
fn security(engine: Engine<'_>) -> PodSecurityContext {
    let user = if engine.spec.run_as_root { 0 } else { USER };
    PodSecurityContext {
        run_as_non_root: Some(!engine.spec.run_as_root),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}
