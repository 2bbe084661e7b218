//! What the command line means.

use clap::Parser;
use turnpike_bundle::objects::Mode;
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
