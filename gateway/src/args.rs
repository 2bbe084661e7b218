//! The command line and the environment: the only place that reads either.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::{OsStr, Resettable},
};

use uuid::Uuid;

pub use self::clouds::Clouds;
use crate::{
    import_litellm,
    routes::pass_through::PassThrough,
    telemetry::LogFormat,
    upstream::{
        connect::ProxyVariables,
        egress::{Cidr, Egress},
    },
};

mod clouds;

/// An OpenAI-compatible gateway to every model, configured by Kubernetes manifests.
#[derive(Debug, Parser)]
#[command(name = "turnpike-gateway", version)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Folder of manifests (models, keys, budgets, Secrets) to serve
    #[arg(long, value_name = "DIR", env = "TURNPIKE_MANIFESTS", required_unless_present = "bundle")]
    pub manifests: Option<PathBuf>,

    /// Bundle that the operator publishes, mounted as a volume, to serve instead of manifests
    #[arg(long, value_name = "DIR", env = "TURNPIKE_BUNDLE", requires = "auth")]
    #[arg(conflicts_with_all = ["manifests", "admin_key", "master_key"])]
    pub bundle: Option<PathBuf>,

    /// Secret with the operator's token and the admin key's hash, mounted as a volume; with --bundle
    #[arg(long, value_name = "DIR", env = "TURNPIKE_AUTH", requires = "bundle")]
    pub auth: Option<PathBuf>,

    /// Address that clients call
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:4000", env = "TURNPIKE_LISTEN")]
    pub listen: SocketAddr,

    /// Address for metrics, health detail and configuration state
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4001", env = "TURNPIKE_INTERNAL_LISTEN")]
    pub internal_listen: SocketAddr,

    /// Folder for the spend database and generated keys
    #[arg(long, value_name = "DIR", default_value = "turnpike-data", env = "TURNPIKE_DATA")]
    pub data: PathBuf,

    /// PostgreSQL for spend and budgets, shared by all gateways [default: a file in the data folder]
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Redis for the rates and kept answers of several gateways [default: the database for rates, each its own answers]
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// Days that spend rows are kept; sums per day stay [default: for ever]
    #[arg(long, value_name = "DAYS", env = "TURNPIKE_SPEND_RETENTION_DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub spend_retention_days: Option<u32>,

    /// Days that answers of /v1/responses are kept, and what was asked, to be gone on from [default: none are]
    #[arg(long, value_name = "DAYS", env = "TURNPIKE_RESPONSE_STORE_DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub response_store_days: Option<u32>,

    /// HTTP status of an exhausted budget: 429, or what versions of `LiteLLM` have
    #[arg(long, value_enum, default_value_t = BudgetExceeded::TooManyRequests, env = "TURNPIKE_BUDGET_EXCEEDED_STATUS")]
    pub budget_exceeded_status: BudgetExceeded,

    /// What the records of spend in the data folder survive: the process, or also a loss of power
    #[arg(long, value_enum, default_value_t = WalSync::Never, env = "TURNPIKE_WAL_SYNC")]
    pub wal_sync: WalSync,

    /// The admin key; generated into the data folder when absent
    #[arg(long, value_name = "KEY", env = "TURNPIKE_ADMIN_KEY", hide_env_values = true)]
    pub admin_key: Option<String>,

    /// The admin key under LiteLLM's name
    #[arg(long, value_name = "KEY", env = "LITELLM_MASTER_KEY", hide = true, hide_env_values = true)]
    pub master_key: Option<String>,

    /// End users of a key that get a pot of their own in a day, where a budget has one for each; more share one
    #[arg(long, value_name = "N", default_value_t = 10_000, env = "TURNPIKE_MAX_END_USERS")]
    pub max_end_users: usize,

    /// Requests that may be under way at once; more get 503
    #[arg(long, value_name = "N", default_value_t = 10_000, env = "TURNPIKE_MAX_IN_FLIGHT")]
    pub max_in_flight: usize,

    /// How long a request waits for a place or rate that others have used up, before it is refused; 0s = not at all
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, env = "TURNPIKE_QUEUE_WAIT")]
    pub queue_wait: Duration,

    /// Largest request body, decoded
    #[arg(long, value_name = "BYTES", default_value_t = 32 * 1024 * 1024, env = "TURNPIKE_MAX_BODY_BYTES")]
    pub max_body_bytes: usize,

    /// Request bodies held in memory at once [default: a quarter of the memory limit]
    #[arg(long, value_name = "BYTES", env = "TURNPIKE_MAX_BUFFERED_BYTES")]
    pub max_buffered_bytes: Option<usize>,

    /// Kept answers in memory, of models that cache; 0 = none
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024 * 1024, env = "TURNPIKE_CACHE_BYTES")]
    pub cache_bytes: u64,

    /// Share answers to requests that mean the same by way of the database, which needs the extension `vector`
    #[arg(long, env = "TURNPIKE_SEMANTIC_CACHE_PGVECTOR")]
    pub semantic_cache_pgvector: bool,

    /// Providers whose own APIs clients may call under /NAME/..., with the credentials of their models: anthropic, openai, gemini and so on [default: none]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "TURNPIKE_PASS_THROUGH")]
    pub pass_through: Vec<PassThrough>,

    /// Longest wait for a request's headers, and for each part of its body
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, env = "TURNPIKE_READ_TIMEOUT")]
    pub read_timeout: Duration,

    /// How long new requests are still taken after SIGTERM, until every client knows
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration, env = "TURNPIKE_SHUTDOWN_DELAY")]
    pub shutdown_delay: Duration,

    /// How long requests may go on after that
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, env = "TURNPIKE_SHUTDOWN_GRACE")]
    pub shutdown_grace: Duration,

    /// Which addresses may be dialled: all, or public ones and the ranges of --egress-allow
    #[arg(long, value_enum, default_value_t = EgressMode::Open, env = "TURNPIKE_EGRESS")]
    pub egress: EgressMode,

    /// Private address ranges that may be dialled with --egress guarded
    #[arg(long, value_name = "CIDR", value_delimiter = ',', env = "TURNPIKE_EGRESS_ALLOW")]
    pub egress_allow: Vec<Cidr>,

    /// Address ranges, beside public ones, that media may be fetched from which clients give by URL
    #[arg(long, value_name = "CIDR", value_delimiter = ',', env = "TURNPIKE_MEDIA_ALLOW")]
    pub media_allow: Vec<Cidr>,

    /// Additional certificate authorities for upstreams (PEM files)
    #[arg(long, value_name = "FILE", value_delimiter = ',', env = "TURNPIKE_CA_FILES")]
    pub ca_file: Vec<PathBuf>,

    /// Threads that serve requests [default: the CPU quota]
    #[arg(long, value_name = "N", env = "TURNPIKE_RUNTIMES")]
    pub runtimes: Option<usize>,

    /// Format of the log on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Json, env = "TURNPIKE_LOG_FORMAT")]
    pub log_format: LogFormat,

    /// Log filter, such as info, or debug for one module: `info,turnpike_gateway=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", env = "TURNPIKE_LOG")]
    pub log: String,

    /// Forward proxy for https upstreams
    #[arg(long, value_name = "URL", env = "HTTPS_PROXY", hide_env_values = true)]
    pub https_proxy: Option<String>,

    /// Forward proxy for http upstreams
    #[arg(long, value_name = "URL", env = "HTTP_PROXY", hide_env_values = true)]
    pub http_proxy: Option<String>,

    /// Hosts that go past the proxy
    #[arg(long, value_name = "HOSTS", env = "NO_PROXY")]
    pub no_proxy: Option<String>,

    /// Who the gateway itself is in clouds
    #[command(flatten)]
    pub clouds: Clouds,
}

/// Other things that the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Exits with 0 if a gateway answers on this address: a health command for containers without curl
    Health {
        /// Where the gateway listens: host or address, and port
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4000", env = "TURNPIKE_HEALTH_ADDR")]
        address: String,
    },
    /// Lists what lost gateways may have used of limits and may not have, or takes it back
    Unattributed {
        /// Folder of the spend database
        #[arg(long, value_name = "DIR", default_value = "turnpike-data", env = "TURNPIKE_DATA")]
        data: PathBuf,

        /// `PostgreSQL` of the gateways [default: a file in the data folder]
        #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
        database_url: Option<String>,

        /// The run whose amounts are not to count any more, as it is listed
        #[arg(long, value_name = "RUN")]
        void: Option<Uuid>,
    },
    /// Makes manifests of a LiteLLM proxy's config.yaml, and says what has no place in them
    ImportLitellm(import_litellm::Arguments),
}

/// Where configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A folder of manifests; this process makes the keys that they ask for.
    Manifests(&'a Path),
    /// What an operator publishes into the pod.
    Bundle {
        /// Shards and their manifest.
        bundle: &'a Path,
        /// Hashes of keys.
        auth: &'a Path,
    },
}

/// `--egress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EgressMode {
    /// Every address may be dialled.
    Open,
    /// Loopback, link-local and metadata addresses are refused; private ones need `--egress-allow`.
    Guarded,
}

/// `--wal-sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WalSync {
    /// The end of the process or its container.
    Never,
    /// A loss of power as well: a request is sent when its record is on the disk, many records by one sync.
    Group,
}

/// `--budget-exceeded-status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BudgetExceeded {
    /// As OpenAI answers an exhausted quota.
    #[value(name = "429")]
    TooManyRequests,
    /// `LiteLLM` since 1.9.
    #[value(name = "422")]
    Unprocessable,
    /// `LiteLLM` before.
    #[value(name = "400")]
    BadRequest,
}

impl BudgetExceeded {
    /// The code.
    pub const fn code(self) -> u16 {
        match self {
            Self::TooManyRequests => 429,
            Self::Unprocessable => 422,
            Self::BadRequest => 400,
        }
    }
}

impl Args {
    /// Reads the command line; an empty variable counts as unset, as charts leave them. Ends the process where it is told
    /// to (`--help`) or cannot go on.
    #[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
    pub fn read() -> Self {
        let command = Self::command().mut_args(|argument| {
            // An empty admin key is a weak one, and refused as such.
            if ["admin_key", "master_key"].contains(&argument.get_id().as_str()) {
                return argument;
            }
            let empty = argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
            if empty { argument.env(Resettable::<OsStr>::Reset) } else { argument }
        });
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// Where configuration comes from; `None` = nowhere, which parsing refuses unless there is another command.
    pub fn source(&self) -> Option<Source<'_>> {
        match (&self.bundle, &self.auth, &self.manifests) {
            (Some(bundle), Some(auth), _) => Some(Source::Bundle { bundle, auth }),
            (_, _, Some(manifests)) => Some(Source::Manifests(manifests)),
            _ => None,
        }
    }

    /// The egress rules.
    pub fn egress(&self) -> Egress {
        match self.egress {
            EgressMode::Open => Egress::Open,
            EgressMode::Guarded => Egress::Guarded { allow: self.egress_allow.clone() },
        }
    }

    /// The egress rules of URLs that clients give.
    pub fn media_egress(&self) -> Egress {
        Egress::Public { allow: self.media_allow.clone() }
    }

    /// Values of the proxy variables; empty ones count as unset.
    pub fn proxy(&self) -> ProxyVariables {
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        ProxyVariables { https: set(&self.https_proxy), http: set(&self.http_proxy), except: set(&self.no_proxy) }
    }

    /// The admin key given, under either name.
    pub fn given_admin_key(&self) -> Option<&str> {
        self.admin_key.as_deref().or(self.master_key.as_deref())
    }
}

/// Reads one variable: manifests may refer to `env:NAME`.
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn duration(text: &str) -> Result<Duration, String> {
    turnpike_crds::duration::parse(text).map_err(|error| error.to_string())
}
