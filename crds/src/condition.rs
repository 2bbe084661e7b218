//! Condition types and reasons that objects report, and the condition list's schema.
//!
//! A name that users and alerts match on is written once, here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares an enum whose variants are their own wire names, so that a name exists in one place only.
macro_rules! wire_names {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl $name {
            /// Every name, in the order in which they are declared.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name as it stands in `status.conditions`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

wire_names! {
    /// `status` of a condition.
    Truth {
        /// It holds.
        True,
        /// It does not hold.
        False,
        /// It cannot be said.
        Unknown,
    }
}

wire_names! {
    /// `type` of a condition.
    ConditionType {
        /// The object does what its spec says, now.
        Ready,
        /// The spec is valid and allowed.
        Accepted,
        /// Every Secret and object that the spec names exists and may be used.
        ResolvedRefs,
        /// Every running gateway serves this generation.
        Programmed,
        /// The volume for the model's files is there, and engines are not still waiting for the files.
        CacheReady,
        /// At least one engine answers.
        EngineReady,
        /// The number of engines follows demand.
        ScalingReady,
        /// The key is accepted now; False says why not.
        Active,
        /// Spend is below every limit.
        WithinBudget,
        /// A threshold of `alertThresholds` was crossed.
        ThresholdReached,
        /// The spend in status is current.
        SpendSynced,
        /// Work towards the spec goes on; present only while True.
        Reconciling,
        /// Work towards the spec cannot go on without a change; present only while True.
        Stalled,
    }
}

wire_names! {
    /// `reason` of a condition.
    Reason {
        /// Nothing has looked at the object yet.
        Pending,
        /// All is well.
        Ready,
        /// The spec is valid and allowed.
        Accepted,
        /// All references resolve.
        Resolved,
        /// Every running gateway serves this generation.
        Programmed,
        /// A field's value is wrong; the message names it.
        Invalid,
        /// `visibility: Cluster` from a namespace where it is not allowed.
        ClusterVisibilityNotAllowed,
        /// The namespace may not use the gateways' own cloud identity, or have them assume a role.
        AmbientIdentityNotAllowed,
        /// The key claims a team that its namespace may not.
        TeamNotAllowed,
        /// An older object serves this name or alias.
        NameConflict,
        /// The ModelDeployments of one `modelName` disagree on `poolStrategy`.
        PoolConflict,
        /// A referenced Secret, key in it, or object does not exist.
        RefNotFound,
        /// A referenced ModelDeployment exists and nothing of it is served.
        RefNotReady,
        /// A referenced Secret lacks the label that permits its use, or is Turnpike's own.
        SecretNotPermitted,
        /// A cloud does not exchange the model's credential for keys or tokens; the message has its words.
        CredentialRefreshFailed,
        /// No gateway gets an answer from the model's backend, or from any backend of a route.
        BackendUnhealthy,
        /// The apiserver or a node does not take a part of the engine; the message has its words.
        Refused,
        /// No node takes the engine's pod; the message has the scheduler's words.
        Unschedulable,
        /// A volume of the engine's pod cannot be attached or mounted; the message has the words of whoever tried.
        FailedMount,
        /// A node cannot pull an image of the engine; the message has its words.
        ImagePull,
        /// The engine ends again and again; the message has the last line of its log.
        CrashLoop,
        /// The engine needs more memory than it may have, of the machine or of a GPU.
        OutOfMemory,
        /// A node prepares the engine's pod: it pulls images and mounts volumes.
        Starting,
        /// The model's files are being fetched.
        Downloading,
        /// The engine runs and loads the model.
        LoadingModel,
        /// Old engines make room for new ones.
        Updating,
        /// No engine is wanted now.
        ScaledToZero,
        /// The volume for the model's files is not there yet.
        ClaimPending,
        /// The number of engines cannot follow demand now; the message says why.
        CannotScale,
        /// The key's Secret exists and belongs to somebody else.
        SecretExists,
        /// The same key is already used by an older VirtualKey.
        DuplicateKey,
        /// A key that users brought is shorter than 32 bytes.
        WeakKey,
        /// `podOverlay` touches a part of the pod that is not allowed.
        OverlayNotAllowed,
        /// No gateway is ready, so nothing can be said.
        NoReadyGateway,
        /// The bundle has no room for this object.
        BundleFull,
        /// The key is accepted.
        Active,
        /// The key's `suspended` is set.
        Suspended,
        /// The key's time is over.
        Expired,
        /// A limit is used up.
        BudgetExceeded,
        /// Every limit holds.
        WithinBudget,
        /// A threshold of `alertThresholds` was reached in the current window.
        ThresholdReached,
        /// No threshold was reached in the current window.
        BelowThresholds,
        /// The figures are current.
        SpendSynced,
        /// The database does not answer, so that the figures may be out of date.
        StoreUnavailable,
        /// No database is configured, so that each gateway counts for itself.
        NoDatabase,
        /// What a lost gateway may have used was booked as spent.
        SpendUnattributed,
        /// A field is set that does nothing where it stands.
        NoEffect,
        /// No price is known for the model, so its costs are recorded as unknown.
        PriceUnknown,
    }
}

/// What all gateways have loaded of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Programmed {
    /// Digest of the object's compiled entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// `metadata.generation` that the entry was compiled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub generation: Option<i64>,
    /// When every running gateway first had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}
