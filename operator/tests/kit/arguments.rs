//! What the command line means.

use clap::Parser;
use turnpike_bundle::objects::Mode;
use turnpike_engine::overlay::Rule;
use turnpike_operator::args::{Args, Command};

fn args(more: &[&str]) -> Result<Args, clap::Error> {
    Args::try_parse_from(["turnpike-operator", "--release-namespace", "llm"].iter().chain(more))
}

#[test]
fn defaults_are_for_a_cluster_with_tenants() {
    let args = args(&[]).unwrap();
    let settings = args.settings();
    assert_eq!(args.names().lease(), "turnpike-operator");
    assert_eq!(settings.bundle.cluster_model_namespaces, ["llm".to_owned()].into());
    assert_eq!(settings.bundle.mode, Mode::Cluster);
    assert!(settings.watches("anything"));
    assert_ne!(args.identity(), args.identity(), "a restarted process is another one");
}

#[test]
fn lists_switches_and_urls_are_read() {
    let given = ["--watch-namespaces", "a,b", "--cluster-model-namespaces", "p", "--require-secret-label", "false"];
    let settings = args(&given).unwrap().settings();
    assert!(settings.watches("b") && !settings.watches("c"));
    assert_eq!(settings.bundle.cluster_model_namespaces, ["p".to_owned()].into());
    assert_eq!(settings.bundle.mode, Mode::SingleTenant);
    let settings = args(&["--gateway-url", "http://gw.llm.svc:4000/"]).unwrap().settings();
    assert_eq!(settings.gateway_url.as_deref(), Some("http://gw.llm.svc:4000"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for wrong in [
        ["--instance", "Big"],
        ["--watch-namespaces", "a,,b"],
        ["--gateway-url", "gw:4000"],
        ["--revocation-timeout", "1"],
    ] {
        args(&wrong).unwrap_err();
    }
}

#[test]
fn engines_are_set_up_by_flags() {
    let plain = args(&[]).unwrap().settings();
    assert_eq!(plain.engine.vllm_image, turnpike_engine::Settings::default().vllm_image);
    assert_eq!(plain.engine.gateway_labels["app.kubernetes.io/component"], "gateway");
    assert_eq!(plain.engine.operator_labels["turnpike.dev/instance"], "turnpike");
    assert_eq!(plain.bundle.pod_overlay, Rule::AllowList);
    let peers = r#"[{"namespaceSelector":{"matchLabels":{"a":"b"}}}]"#;
    let given = ["--engine-vllm-image", "own:1", "--engine-pod-monitor", "true", "--engine-metrics-from", peers];
    let given = args(&[&given[..], &["--unsafe-pod-overlay", "true"]].concat()).unwrap().settings();
    assert_eq!((given.engine.vllm_image.as_str(), given.engine.pod_monitor), ("own:1", true));
    assert_eq!(serde_json::to_string(&given.engine.monitoring_peers).unwrap(), peers);
    assert_eq!(given.bundle.pod_overlay, Rule::Anything);
    for wrong in ["{}", "[{}]", "x", r#"[{"namespaceSelectors":{}}]"#] {
        args(&["--engine-metrics-from", wrong]).unwrap_err();
    }
}

#[test]
fn the_charts_jobs_are_commands_of_the_same_program() {
    assert_eq!(args(&[]).unwrap().command, None);
    assert_eq!(args(&["install-crds"]).unwrap().command, Some(Command::InstallCrds));
    let given = args(&["--watch-namespaces", "a", "release-finalizers"]).unwrap();
    assert_eq!(given.command, Some(Command::ReleaseFinalizers));
    assert!(!given.settings().watches("b"));
}

#[test]
fn the_clouds_identity_is_for_the_release_namespace_unless_told_otherwise() {
    assert_eq!(args(&[]).unwrap().settings().bundle.ambient_identity_namespaces, ["llm".to_owned()].into());
    let given = args(&["--ambient-identity-namespaces", "ml"]).unwrap();
    assert_eq!(given.settings().bundle.ambient_identity_namespaces, ["ml".to_owned()].into());
}
