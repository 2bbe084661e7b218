//! Kubernetes events for people: written behind the caller's back, repeats folded, floods cut.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::Instant,
};

use crate::{
    kit::backoff::brief,
    metrics::{EventOutcome, Metrics},
    names::Names,
};

pub mod fold;

use fold::{Decision, Fold, Key};

/// Events that may wait to be written; more are dropped and counted.
const QUEUE: usize = 1024;
/// Longest note that the apiserver takes, bytes.
const LONGEST_NOTE: usize = 1024;
/// Bytes of the object's name in the event's: the apiserver takes 253 in all.
const LONGEST_OBJECT: usize = 200;

/// What the event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// Something happened as it should.
    Normal,
    /// Somebody may have to act.
    Warning,
}

impl EventType {
    /// As in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// An event to be written.
#[derive(Clone, Debug)]
struct Message {
    regarding: ObjectReference,
    kind: EventType,
    reason: &'static str,
    action: &'static str,
    note: String,
}

/// Takes events. Cheap to clone; never blocks, never fails.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Message>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// The handle, and the work that writes what it is given: it ends when every handle is dropped and all is written.
    /// `identity`: who this process is.
    pub fn new(
        client: Client,
        names: &Names,
        identity: String,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, messages) = mpsc::channel(QUEUE);
        let writer = Writer { client, controller: names.field_manager(), identity, metrics: Arc::clone(&metrics) };
        (Self { queue, metrics }, writer.run(messages))
    }

    /// Tells people about an object (`object.object_ref(&())`). `reason` and `action` are words like `KeyRotated` and
    /// `Rotate`; the same again within some minutes only raises the event's count.
    pub fn publish(
        &self,
        regarding: ObjectReference,
        kind: EventType,
        reason: &'static str,
        action: &'static str,
        note: impl Into<String>,
    ) {
        let message = Message { regarding, kind, reason, action, note: note.into() };
        match self.queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(message) | TrySendError::Closed(message)) => {
                self.metrics.event(message.kind.as_str(), EventOutcome::Failed);
            }
        }
    }
}

/// Writes events one after the other.
struct Writer {
    client: Client,
    controller: String,
    identity: String,
    metrics: Arc<Metrics>,
}

impl Writer {
    async fn run(self, mut messages: mpsc::Receiver<Message>) {
        let mut fold = Fold::default();
        let mut failing = false;
        while let Some(message) = messages.recv().await {
            let kind = message.kind.as_str();
            let outcome = match self.write(&mut fold, message).await {
                Ok(outcome) => {
                    failing = false;
                    outcome
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = brief(&error),
                            "an event could not be written; further failures are only counted"
                        );
                    }
                    failing = true;
                    EventOutcome::Failed
                }
            };
            self.metrics.event(kind, outcome);
        }
    }

    async fn write(&self, fold: &mut Fold, message: Message) -> kube::Result<EventOutcome> {
        let namespace = message.regarding.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let api = Api::<Event>::namespaced(self.client.clone(), &namespace);
        let key = Key::new(&message.regarding, message.kind, message.reason, &message.note);
        let now = Timestamp::now();
        let object = message.regarding.name.as_deref().unwrap_or(&self.controller);
        let name = format!("{}.{:x}", cut(object, LONGEST_OBJECT), now.as_nanosecond());
        let written = match fold.decide(key.clone(), &name, Instant::now()) {
            Decision::Suppress => return Ok(EventOutcome::Suppressed),
            Decision::Create => {
                let event = self.event(message, name, namespace, now);
                api.create(&PostParams::default(), &event).await
            }
            Decision::Count { event, count } => {
                let series = EventSeries { count, last_observed_time: MicroTime(now) };
                let patch = Patch::Merge(json!({ "series": series }));
                api.patch(&event, &PatchParams::default(), &patch).await
            }
        };
        if written.is_err() {
            fold.forget(&key);
        }
        written.map(|_| EventOutcome::Written)
    }

    fn event(&self, message: Message, name: String, namespace: String, now: Timestamp) -> Event {
        Event {
            metadata: ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() },
            action: Some(message.action.to_owned()),
            reason: Some(message.reason.to_owned()),
            note: Some(cut(&message.note, LONGEST_NOTE).to_owned()),
            type_: Some(message.kind.as_str().to_owned()),
            event_time: Some(MicroTime(now)),
            regarding: Some(message.regarding),
            reporting_controller: Some(self.controller.clone()),
            reporting_instance: Some(cut(&self.identity, 128).to_owned()),
            ..Event::default()
        }
    }
}

/// At most `limit` bytes of `text`, whole characters.
fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}
