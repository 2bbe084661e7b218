//! Models, their backends and routes.

use std::time::Duration;

/// The page of models.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Models {
    /// When this was true.
    pub now: i64,
    /// The configuration in force; `None` = none yet.
    pub loaded: Option<Loaded>,
    /// What could not be used of the manifests.
    pub problems: Vec<Problem>,
    /// Every model that is no route.
    pub models: Vec<Model>,
    /// Virtual models.
    pub routes: Vec<Route>,
}

/// The configuration in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Counts publications of this process.
    pub generation: u64,
    /// Names its content.
    pub hash: String,
    /// Since when.
    pub at: i64,
}

/// A fault of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// Kind, namespace and name.
    pub object: String,
    /// Path of the field.
    pub field: String,
    /// The condition's reason.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
}

/// One `ModelDeployment` with a backend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Public name.
    pub name: String,
    /// Other public names.
    pub aliases: Vec<String>,
    /// `namespace/name`.
    pub object: String,
    /// Who may ask for it.
    pub visibility: String,
    /// Share of its pool's traffic.
    pub weight: u32,
    /// Lower is tried first.
    pub priority: i32,
    /// Who answers.
    pub provider: String,
    /// The provider's name of the model; empty = the gateway answers itself.
    pub upstream_model: String,
    /// Where it is; empty = here.
    pub base_url: String,
    /// Whether it is asked.
    pub standing: Standing,
    /// Why it is not, where that is known.
    pub cause: Option<Cause>,
    /// What its active probes say.
    pub probe: Probe,
    /// Requests under way.
    pub in_flight: u64,
    /// Requests that wait for a place or a rate.
    pub waiting: usize,
    /// Attempts of the last minute.
    pub requests: u64,
    /// Tokens of the last minute.
    pub tokens: u64,
    /// What it is given at most.
    pub limits: Rates,
    /// nano-USD for a million tokens; `None` = not known.
    pub price: Option<Price>,
    /// Addresses of an engine's replicas, and how each stands.
    pub replicas: Vec<(String, Standing)>,
}

/// Why a backend is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// For people.
    pub reason: String,
    /// Since when, where that is known.
    pub since: Option<i64>,
}

/// How a backend stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Asked like any other.
    #[default]
    Healthy,
    /// Back from a rest.
    SlowStart {
        /// Of its share, now.
        percent: u16,
    },
    /// Its rest is over; the next request is a trial.
    Trial,
    /// Left alone.
    Cooling {
        /// For so long.
        rest: Duration,
    },
    /// An engine without a replica.
    Cold,
}

/// What active probes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// It is not probed.
    #[default]
    Off,
    /// Each of its replicas is asked by itself.
    EachReplica,
    /// It was not asked yet.
    Pending,
    /// It answered.
    Answered {
        /// When.
        at: i64,
    },
    /// It did not.
    Failed {
        /// When.
        at: i64,
        /// Why.
        fault: String,
    },
}

/// Limits per minute, and at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests per minute.
    pub rpm: Option<i64>,
    /// Tokens per minute.
    pub tpm: Option<i64>,
    /// Requests at the same time.
    pub parallel: Option<i64>,
}

/// nano-USD for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Of prompts.
    pub input: i64,
    /// Of answers.
    pub output: i64,
    /// Of prompts read from the provider's cache.
    pub cached: Option<i64>,
}

/// A virtual model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Public name.
    pub name: String,
    /// `namespace/name`.
    pub object: String,
    /// How a target is chosen.
    pub strategy: String,
    /// Where requests go.
    pub targets: Vec<Target>,
    /// Who gets copies.
    pub mirror: Option<String>,
    /// Where requests go that no target answers.
    pub fallbacks: Vec<String>,
}

/// A target of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `namespace/name`.
    pub object: String,
    /// Share of requests.
    pub weight: u32,
    /// Lower is tried first.
    pub priority: i32,
    /// It is served at all.
    pub is_there: bool,
}
