//! Why the operator ends other than by a signal.

use std::{io, net::SocketAddr};

use crate::{guard::Blocker, install::InstallError, leader::Lost, uninstall::UninstallError};

/// Why the process ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// `--log` cannot be read.
    #[error("the log filter cannot be read")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging was set up before.
    #[error("logging cannot start")]
    Logging(#[from] tracing_subscriber::util::TryInitError),
    /// No runtime, or no signals.
    #[error("the runtime cannot start")]
    Runtime(#[source] io::Error),
    /// The address is taken.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// No way to the apiserver.
    #[error("no kubeconfig and no service account")]
    Config(#[source] kube::config::InferConfigError),
    /// The client cannot be made, or the apiserver refuses what must work.
    #[error("the apiserver cannot be used")]
    Kube(#[from] kube::Error),
    /// Two metrics of one name.
    #[error("the metrics cannot be made")]
    Metrics(#[from] prometheus::Error),
    /// Somebody else leads, or may: this process must not write any more.
    #[error("leadership lost")]
    Lost(#[from] Lost),
    /// Something forbids to go on.
    #[error("this process must not lead any more")]
    Blocked(#[from] Blocker),
    /// `install-crds` failed.
    #[error("the CRDs are not installed")]
    Install(#[from] InstallError),
    /// `release-finalizers` failed.
    #[error("VirtualKeys may keep their finalizer")]
    Uninstall(#[from] UninstallError),
    /// SIGTERM came before one of these two had ended.
    #[error("stopped by a signal before it was done")]
    Interrupted,
    /// A task that must never end did.
    #[error("the task {0} ended")]
    Ended(&'static str),
}
