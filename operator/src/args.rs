//! The command line and the environment: the only place that reads either.

use std::{net::SocketAddr, time::Duration};

use clap::{
    ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::{OsStr, Resettable},
};
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use turnpike_bundle::objects::Mode;
use turnpike_engine::overlay::Rule;

use crate::{
    names::{INSTANCE_LABEL, Names},
    settings::Settings,
};

/// Turnpike's operator: publishes models, keys and budgets to the gateways and tells the truth in their status.
#[derive(Clone, Debug, Parser)]
#[command(name = "turnpike-operator", version)]
pub struct Args {
    /// What to do instead of working until the end
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Name of this installation: in the Lease, the labels, the finalizer and the field manager
    #[arg(long, value_name = "NAME", default_value = "turnpike", value_parser = dns_label, env = "TURNPIKE_INSTANCE")]
    pub instance: String,

    /// Where the operator and the gateways run
    #[arg(long, value_name = "NAMESPACE", value_parser = dns_label, env = "POD_NAMESPACE")]
    pub release_namespace: String,

    /// Names the cluster to AWS: the external id of assumed roles is `<cluster>/<namespace>` [default: the instance]
    #[arg(long, value_name = "NAME", value_parser = dns_label, env = "TURNPIKE_CLUSTER_NAME")]
    pub cluster_name: Option<String>,

    /// Namespaces to watch [default: all]
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',', value_parser = dns_label, env = "TURNPIKE_WATCH_NAMESPACES")]
    pub watch_namespaces: Vec<String>,

    /// Namespaces whose models may be visible to all [default: the release namespace]
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',', value_parser = dns_label, env = "TURNPIKE_CLUSTER_MODEL_NAMESPACES")]
    pub cluster_model_namespaces: Vec<String>,

    /// Namespaces whose models may use the gateways' own cloud identity [default: the release namespace]
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',', value_parser = dns_label, env = "TURNPIKE_AMBIENT_IDENTITY_NAMESPACES")]
    pub ambient_identity_namespaces: Vec<String>,

    /// Whether Secrets must carry the label turnpike.dev/use to be referred to
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, env = "TURNPIKE_REQUIRE_SECRET_LABEL")]
    pub require_secret_label: bool,

    /// Base URL of the gateways, shown in the models' status.endpoint
    #[arg(long, value_name = "URL", value_parser = base_url, env = "TURNPIKE_GATEWAY_URL")]
    pub gateway_url: Option<String>,

    /// Address for health and metrics
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8080", env = "TURNPIKE_LISTEN")]
    pub listen: SocketAddr,

    /// Longest wait of a deleted key for gateways that do not confirm
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, env = "TURNPIKE_REVOCATION_TIMEOUT")]
    pub revocation_timeout: Duration,

    /// Database of the gateways, to show in status what was spent: `postgres://USER:PASSWORD@HOST/NAME` [default: none]
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Image of engines of type VLLM whose spec names none [default: the version that this release was made for]
    #[arg(long, value_name = "IMAGE", env = "TURNPIKE_ENGINE_VLLM_IMAGE")]
    pub engine_vllm_image: Option<String>,

    /// Image of engines of type `LlamaCpp` whose spec names none [default: llama.cpp's server for CPUs]
    #[arg(long, value_name = "IMAGE", env = "TURNPIKE_ENGINE_LLAMA_CPP_IMAGE")]
    pub engine_llama_cpp_image: Option<String>,

    /// Image with AWS's command line, which fetches models from `s3://` [default: AWS's own]
    #[arg(long, value_name = "IMAGE", env = "TURNPIKE_ENGINE_S3_IMAGE")]
    pub engine_s3_image: Option<String>,

    /// Secrets by which nodes pull engines' images, in each engine's own namespace
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "TURNPIKE_ENGINE_IMAGE_PULL_SECRETS")]
    pub engine_image_pull_secrets: Vec<String>,

    /// Whether engines get `PodMonitors` of the Prometheus operator
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set, env = "TURNPIKE_ENGINE_POD_MONITOR")]
    pub engine_pod_monitor: bool,

    /// Who else may call engines, to read their metrics: peers of a `NetworkPolicy` as a JSON list [default: nobody]
    #[arg(long, value_name = "PEERS", value_parser = peers, env = "TURNPIKE_ENGINE_METRICS_FROM")]
    pub engine_metrics_from: Option<Peers>,

    /// Whether podOverlay may set every part of an engine's pod
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set, env = "TURNPIKE_UNSAFE_POD_OVERLAY")]
    pub unsafe_pod_overlay: bool,

    /// Who this process is, in the Lease and in events [default: a random name]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub identity: Option<String>,

    /// Format of the log on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Json, env = "TURNPIKE_LOG_FORMAT")]
    pub log_format: LogFormat,

    /// Log filter, such as info, or debug for one module: `info,turnpike_operator=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", env = "TURNPIKE_LOG")]
    pub log: String,
}

/// What the chart runs around upgrades and before it is uninstalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Applies this version's CRDs, but for those that the cluster has in a newer version
    InstallCrds,
    /// Stops the operator and takes its finalizer off all virtual keys
    ReleaseFinalizers,
}

/// `--engine-metrics-from`.
#[derive(Clone, Debug, PartialEq)]
pub struct Peers(pub Vec<NetworkPolicyPeer>);

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl Args {
    /// Reads the command line; an empty variable counts as unset, as charts leave them. Ends the process where it is told
    /// to (`--help`) or cannot go on.
    #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
    pub fn read() -> Self {
        let command = Self::command().mut_args(|argument| {
            let empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
            if empty { argument.env(Resettable::<OsStr>::Reset) } else { argument }
        });
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// What names are made of.
    pub fn names(&self) -> Names {
        Names { instance: self.instance.clone(), release_namespace: self.release_namespace.clone() }
    }

    /// What every task may need.
    pub fn settings(&self) -> Settings {
        let or_release = |given: &[String]| match given {
            [] => [self.release_namespace.clone()].into(),
            given => given.iter().cloned().collect(),
        };
        let bundle = turnpike_bundle::Settings {
            release_namespace: self.release_namespace.clone(),
            instance: self.instance.clone(),
            cluster: self.cluster_name.clone().unwrap_or_else(|| self.instance.clone()),
            ambient_identity_namespaces: or_release(&self.ambient_identity_namespaces),
            cluster_model_namespaces: or_release(&self.cluster_model_namespaces),
            mode: if self.require_secret_label { Mode::Cluster } else { Mode::SingleTenant },
            pod_overlay: if self.unsafe_pod_overlay { Rule::Anything } else { Rule::AllowList },
        };
        Settings {
            bundle,
            watch_namespaces: self.watch_namespaces.iter().cloned().collect(),
            gateway_url: self.gateway_url.clone(),
            engine: self.engines(),
            revocation_timeout: self.revocation_timeout,
        }
    }

    fn engines(&self) -> turnpike_engine::Settings {
        let default = turnpike_engine::Settings::default();
        let labels = |component: &str| {
            [("app.kubernetes.io/component", component), (INSTANCE_LABEL, &self.instance)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        };
        turnpike_engine::Settings {
            instance: self.instance.clone(),
            release_namespace: self.release_namespace.clone(),
            gateway_labels: labels("gateway"),
            operator_labels: labels("operator"),
            monitoring_peers: self.engine_metrics_from.clone().map(|peers| peers.0).unwrap_or_default(),
            vllm_image: self.engine_vllm_image.clone().unwrap_or(default.vllm_image),
            llama_cpp_image: self.engine_llama_cpp_image.clone().unwrap_or(default.llama_cpp_image),
            s3_image: self.engine_s3_image.clone().unwrap_or(default.s3_image),
            image_pull_secrets: self.engine_image_pull_secrets.clone(),
            pod_monitor: self.engine_pod_monitor,
        }
    }

    /// Who this process is: two processes never share an identity, not even a restarted container and its predecessor.
    pub fn identity(&self) -> String {
        let name = self.identity.as_deref().unwrap_or(&self.instance);
        format!("{name}_{:016x}", rand::random::<u64>())
    }
}

/// An unknown member would be dropped, and an empty peer lets everybody in.
fn peers(text: &str) -> Result<Peers, String> {
    const FORM: &str =
        "not a list of a NetworkPolicy's peers, such as [{\"namespaceSelector\": {\"matchLabels\": {\"a\": \"b\"}}}]";
    let given: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("{FORM}: {error}"))?;
    let read: Vec<NetworkPolicyPeer> =
        serde_json::from_value(given.clone()).map_err(|error| format!("{FORM}: {error}"))?;
    let is_whole = serde_json::to_value(&read).is_ok_and(|read| read == given);
    if is_whole && !read.contains(&NetworkPolicyPeer::default()) { Ok(Peers(read)) } else { Err(FORM.to_owned()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    turnpike_crds::duration::parse(text).map_err(|error| error.to_string())
}

/// A name that fits into names of objects and labels.
fn dns_label(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits =
        (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-');
    if fits { Ok(text.to_owned()) } else { Err("not a name of lower-case letters, digits and inner dashes".to_owned()) }
}

fn base_url(text: &str) -> Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("not a URL of http or https".to_owned())
    }
}
