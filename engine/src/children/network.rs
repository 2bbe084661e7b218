//! How the engine's pods are found, and by whom.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{Service, ServicePort, ServiceSpec},
        networking::v1::{
            NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
        util::intstr::IntOrString,
    },
};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use turnpike_crds::model_deployment;

use super::Engine;
use crate::{adapter, names};

/// Name of the engine's port, on its container and its Service.
pub(super) const PORT_NAME: &str = "http";

/// Pods that are not ready have no address there.
pub(super) fn service(engine: Engine<'_>) -> Service {
    Service {
        metadata: engine.metadata(),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(false),
            selector: Some(names::selector(engine.own_name())),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: i32::from(names::PORT),
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Egress stays as the namespace has it: only its owner knows where models and adapters come from.
pub(super) fn policy(engine: Engine<'_>) -> NetworkPolicy {
    let settings = engine.settings;
    let of_release = |labels: &BTreeMap<String, String>| {
        let name = ("kubernetes.io/metadata.name".to_owned(), settings.release_namespace.clone());
        NetworkPolicyPeer {
            namespace_selector: Some(selecting([name].into())),
            pod_selector: Some(selecting(labels.clone())),
            ip_block: None,
        }
    };
    let (gateways, operator) = (of_release(&settings.gateway_labels), of_release(&settings.operator_labels));
    let mut rules =
        vec![rule(&[names::PORT], vec![gateways]), rule(&[names::PORT, names::PROGRESS_PORT], vec![operator])];
    if !settings.monitoring_peers.is_empty() {
        rules.push(rule(&[names::PORT], settings.monitoring_peers.clone()));
    }
    NetworkPolicy {
        metadata: engine.metadata(),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(with_fetching(engine)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(rules),
            egress: None,
        }),
    }
}

/// The engines, and the pod that fills their cache.
fn with_fetching(engine: Engine<'_>) -> LabelSelector {
    let component = LabelSelectorRequirement {
        key: names::COMPONENT_LABEL.to_owned(),
        operator: "In".to_owned(),
        values: Some([names::COMPONENT, names::FETCH_COMPONENT].map(str::to_owned).into()),
    };
    LabelSelector {
        match_expressions: Some(vec![component]),
        ..selecting([(names::MODEL_LABEL.to_owned(), engine.own_name().to_owned())].into())
    }
}

fn selecting(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

fn rule(ports: &[u16], from: Vec<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    let port = |port: &u16| NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(*port))),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicyIngressRule { from: Some(from), ports: Some(ports.iter().map(port).collect()) }
}

/// The Prometheus operator's kind.
pub fn pod_monitor_kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PodMonitor"),
        "podmonitors",
    )
}

pub(super) fn pod_monitor(engine: Engine<'_>) -> DynamicObject {
    let mut endpoint = json!({"port": PORT_NAME, "path": "/metrics"});
    if engine.spec.engine == model_deployment::Engine::LlamaCpp {
        // llama.cpp asks for the key there as well; vLLM asks for it under /v1 alone.
        let key = adapter::key(engine.model, engine.spec);
        let credentials = json!({"type": "Bearer", "credentials": {"name": key.name, "key": key.key}});
        if let Value::Object(endpoint) = &mut endpoint {
            endpoint.insert("authorization".to_owned(), credentials);
        }
    }
    let mut monitor = DynamicObject::new(&engine.name(), &pod_monitor_kind()).data(json!({"spec": {
        "selector": engine.selector(),
        "podMetricsEndpoints": [endpoint],
        "podTargetLabels": [names::MODEL_LABEL],
    }}));
    monitor.metadata = engine.metadata();
    monitor
}
