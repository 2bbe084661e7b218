//! Before a model is asked: whether its answer is known already.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use turnpike_bundle::entry::Semantic;
use turnpike_ledger::{
    account::Unit,
    engine::{Hold, Need},
};
use turnpike_llm::{provider::Shown, request::Request};

use super::{
    attempts::{Attempts, fail},
    body::INLINE,
    call::Reply,
    deliver, embed, forward,
    meter::Meter,
    queue::Patience,
    reserve::{Reservation, Reserved},
    sender::{Asked, Sender},
};
use crate::{
    cache::{
        Looked,
        control::Control,
        keepable::Allowed,
        kept::Kept,
        key::{self, Context, Key, Target},
        recorder::Plan,
        replay::replay,
        semantic::{
            Meaning,
            index::Vector,
            prompt::{self, Prompt},
        },
        settings::Settings,
    },
    config::snapshot::{Caller, Model, Snapshot},
    error::Error,
    record::CacheUse,
};

const CACHE_KEY: HeaderName = HeaderName::from_static("x-litellm-cache-key");
const CACHE_HIT: HeaderName = HeaderName::from_static("x-litellm-cache-hit");
const SIMILARITY: HeaderName = HeaderName::from_static("x-litellm-semantic-similarity");

/// The answer where one is kept; else the meter, which keeps what comes. Costs nothing where the model does not cache.
pub async fn look(attempts: &Attempts<'_>, snapshot: &Snapshot, meter: Meter) -> ControlFlow<Response, Meter> {
    let request = &attempts.sender.asked.request;
    let Some(settings) = attempts.journey.pool().caching.as_deref() else {
        // What is wrong is wrong whatever the model's settings are.
        return match request.has_gateway_only().then(|| Control::of(request, attempts.sender.asked.client)) {
            Some(Err(error)) => ControlFlow::Break(fail(meter, error)),
            Some(Ok(_)) | None => ControlFlow::Continue(meter),
        };
    };
    // Boxed: only requests to models that cache pay for its size.
    Box::pin(Looking { attempts, snapshot, settings }.look(meter)).await
}

struct Looking<'a> {
    attempts: &'a Attempts<'a>,
    snapshot: &'a Snapshot,
    settings: &'a Settings,
}

/// An answer that was found.
struct Hit {
    key: Key,
    kept: Arc<Kept>,
    /// How like the request that it answered is; `None` = it was the same.
    likeness: Option<f32>,
}

impl Looking<'_> {
    async fn look(&self, mut meter: Meter) -> ControlFlow<Response, Meter> {
        let Attempts { sender: Sender { asked: Asked { client, request, arrival, .. }, worker, .. }, played, .. } =
            self.attempts;
        let control = match Control::of(request, client) {
            Ok(control) => control,
            Err(error) => return ControlFlow::Break(fail(meter, error)),
        };
        let is_off = worker.app.cache.is_off || control.is_off();
        if is_off || !key::is_kept(arrival.operation) || played.is_some() || key::is_play(request) {
            return ControlFlow::Continue(meter);
        }
        let context = self.context(&control);
        let of_all = context.clone();
        let key = match off_runtime(request, move |request| of_all.key(request)).await {
            Ok(key) => key,
            Err(error) => return ControlFlow::Break(fail(meter, error)),
        };
        meter.cache(CacheUse::Miss);
        let cache = &worker.app.cache;
        let mut recorder = match cache.look(self.plan(key, &control), &control).await {
            Looked::Hit(kept) => return self.answer(Hit { key, kept, likeness: None }, meter).await,
            Looked::Miss(recorder) => recorder,
        };
        if let (Some(semantic), true) = (&self.settings.semantic, control.read)
            && let Some(caller) = meter.caller()
            && let Some(meaning) = self.meaning(caller, semantic, context).await
        {
            if let Some((kept, found)) = cache.look_alike(&meaning, threshold(semantic), control.max_age).await {
                return self.answer(Hit { key: found.key, kept, likeness: Some(found.likeness) }, meter).await;
            }
            if let Some(recorder) = &mut recorder {
                recorder.meaning = Some(meaning);
            }
        }
        if let Some(recorder) = recorder {
            meter.keep(recorder);
        }
        ControlFlow::Continue(meter)
    }

    fn context(&self, control: &Control) -> Context {
        let Attempts { sender: Sender { asked: Asked { client, request, caller, arrival, .. }, .. }, journey, .. } =
            self.attempts;
        let target = Target { settings: self.settings, pool: &journey.pool().name, matched: journey.matched() };
        let tags = || forward::tags(client).into_iter().chain(caller.tags.iter().cloned()).collect();
        let tags = self.settings.is_tagged.then(tags);
        Context::new(&target, caller, arrival.operation, control).with(client, request, tags)
    }

    fn plan(&self, key: Key, control: &Control) -> Plan {
        let Attempts { sender: Sender { asked: Asked { request, name, arrival, .. }, .. }, journey, .. } =
            self.attempts;
        let ttl = control.ttl.map_or(self.settings.ttl, |ttl| ttl.min(self.settings.ttl));
        Plan {
            key,
            ttl: i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX),
            operation: arrival.operation,
            is_stream: arrival.operation.is_streamed(request.stream()),
            allowed: Allowed { tool_calls: control.tool_calls, is_capped: false },
            pool: Arc::clone(journey.pool()),
            name: Arc::clone(name),
            left: journey.left(),
        }
    }

    /// What the request means. `None`: it is not one that can be compared, or its embedding cannot be had.
    async fn meaning(&self, caller: Arc<Caller>, semantic: &Semantic, mut context: Context) -> Option<Meaning> {
        let Asked { request, arrival, .. } = &self.attempts.sender.asked;
        let operation = arrival.operation;
        let Prompt { member, text, rest } = off_runtime(request, move |it| prompt::of(operation, it)).await.ok()??;
        let embedded = embed::embed(self.attempts, (self.snapshot, caller), &semantic.embedding_model, &text).await?;
        context.compared_by(&semantic.embedding_model, &embedded.backends);
        let partition = off_runtime(request, move |request| context.partition(request, member, &rest)).await.ok()?;
        Some(Meaning { partition, vector: Vector::new(&embedded.numbers)? })
    }

    /// Gives the kept answer. It counts as a request and costs nothing, whatever budgets are left.
    async fn answer(&self, hit: Hit, mut meter: Meter) -> ControlFlow<Response, Meter> {
        let Attempts { sender: Sender { asked: Asked { request, name, arrival, .. }, .. }, journey, .. } =
            self.attempts;
        let models = &journey.pool().models;
        let model = models.iter().find(|model| *model.id == *hit.kept.model).or(models.first());
        let Some(model) = model else { return ControlFlow::Continue(meter) };
        match self.reserve(model).await {
            Ok(hold) => meter.hold(Reserved { hold, ..Reserved::default() }),
            Err(error) => return ControlFlow::Break(fail(meter, error)),
        }
        let operation = arrival.operation;
        let is_stream = operation.is_streamed(request.stream());
        let shown = Shown {
            model: Arc::clone(name),
            include_usage: request.include_usage(),
            base64_embeddings: request.base64_embeddings(),
            call_id: Arc::clone(&arrival.request_id),
            created: arrival.at_us / 1_000_000,
            repeated: Shown::repeated(operation, request),
            stored: request.stored().cloned(),
            ..Shown::default()
        };
        let kept = Arc::clone(&hit.kept);
        let replay = move || replay(&kept, operation, is_stream, &shown);
        let body = if hit.kept.body.len() <= INLINE {
            replay()
        } else {
            match tokio::task::spawn_blocking(replay).await {
                Ok(body) => body,
                Err(_) => return ControlFlow::Break(fail(meter, Error::Internal)),
            }
        };
        let body = match body {
            Ok(body) => body,
            // It was whole when it was kept.
            Err(error) => return ControlFlow::Break(fail(meter, error.into())),
        };
        meter.hit(model, &hit.kept.upstream_model, hit.kept.usage);
        let reply = if is_stream { Reply::Canned(body) } else { Reply::Whole { body, headers: HeaderMap::new() } };
        let mut response = deliver::respond(reply, meter, model, name);
        tell(&mut response, &hit);
        ControlFlow::Break(response)
    }

    /// A place in the caller's limits on requests. The backend has no part in it.
    async fn reserve(&self, model: &Arc<Model>) -> Result<Hold, Error> {
        let Sender { asked: Asked { request, name, arrival, caller, client }, worker, .. } = &self.attempts.sender;
        let reservation = Reservation {
            caller,
            name,
            model,
            upstream_model: name,
            operation: arrival.operation,
            request,
            client,
            longest: Duration::ZERO,
            patience: Patience::NONE,
            fixed: None,
            counts: true,
        };
        let mut accounts = reservation.accounts(&worker.app);
        accounts.retain(|account| {
            matches!(account.unit, Unit::Requests | Unit::Parallel)
                && !model.limits.iter().any(|limit| limit.id == account.id)
        });
        if accounts.is_empty() {
            return Ok(Hold::default());
        }
        let needs: Vec<Need> = accounts.into_iter().map(|account| Need::new(account, 1)).collect();
        let refused = |refusal: turnpike_ledger::engine::Refusal| Error::Limited {
            refusal: refusal.into(),
            exhausted: worker.app.exhausted,
        };
        worker.app.ledger.reserve(&needs, &caller.key_id).await.map_err(refused)
    }
}

fn tell(response: &mut Response, hit: &Hit) {
    let headers = response.headers_mut();
    let age = hit.kept.age(jiff::Timestamp::now().as_millisecond()) / 1000;
    headers.insert(CACHE_HIT, HeaderValue::from_static("True"));
    headers.insert(CACHE_KEY, forward::value(&key::shown(&hit.key)));
    headers.insert(header::AGE, HeaderValue::from(age));
    if let Some(likeness) = hit.likeness {
        headers.insert(SIMILARITY, forward::value(&format!("{likeness:.4}")));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a number from 0 to 1 with at most 6 decimals")]
fn threshold(semantic: &Semantic) -> f32 {
    semantic.threshold as f32
}

/// Reads a request, a large one on another thread.
async fn off_runtime<T: Send + 'static>(
    request: &Arc<Request>,
    read: impl FnOnce(&Request) -> T + Send + 'static,
) -> Result<T, Error> {
    if request.bytes().len() <= INLINE {
        return Ok(read(request));
    }
    let request = Arc::clone(request);
    tokio::task::spawn_blocking(move || read(&request)).await.map_err(|_| Error::Internal)
}
