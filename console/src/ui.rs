//! The console's pages under `/ui`: what they show is read-only, and behind the admin key.
//!
//! ```text
//!  request ─▶ session? ─▶ facts (of a World) ─▶ pages (pure) ─▶ HTML with a strict policy
//! ```
//! Facts are gathered and pages made on a thread of their own: those that serve models wait for neither.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, RawQuery, State},
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use tokio::time::{Instant, timeout};
use turnpike_ledger::reports::Logged;

use self::{
    browser::{answer, cookie, field, is_own, page, see, token},
    facts::{Budgets, Keys, Models, Overview, Requests, Search, Unavailable},
    session::Wait,
};

mod browser;
pub mod facts;
mod format;
pub mod pages;
mod session;

pub use session::Sessions;

const STYLE: &str = include_str!("ui/console.css");
const SCRIPT: &str = include_str!("ui/console.js");
const ICON: &str = include_str!("ui/icon.svg");
const SIGN_IN: &str = "/ui/sign-in";
const HOME: &str = "/ui";
/// A sign-in form, at most.
const FORM: usize = 8 * 1024;
/// How long it may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where pages have their facts from. The futures may block for a while.
pub trait World: Send + Sync + 'static {
    /// Whether this is the admin key; takes as long for each that is not.
    fn is_admin(&self, key: &str) -> bool;

    /// For the first page.
    fn overview(&self) -> impl Future<Output = Result<Overview, Unavailable>> + Send;

    /// For the page of models.
    fn models(&self) -> impl Future<Output = Result<Models, Unavailable>> + Send;

    /// For the page of keys.
    fn keys(&self) -> impl Future<Output = Result<Keys, Unavailable>> + Send;

    /// For the page of budgets.
    fn budgets(&self) -> impl Future<Output = Result<Budgets, Unavailable>> + Send;

    /// For the page of requests.
    fn requests(&self, search: Search) -> impl Future<Output = Result<Requests, Unavailable>> + Send;

    /// The attempts of one request, by its arrival (microseconds since the epoch) and id; none = there is no such request.
    fn request(&self, started_at_us: i64, id: &str) -> impl Future<Output = Result<Vec<Logged>, Unavailable>> + Send;
}

/// The pages of a world, with its sessions.
pub struct Ui<W> {
    world: Arc<W>,
    sessions: Arc<Sessions>,
}

impl<W> Ui<W> {
    /// Several of them may share their sessions.
    pub fn new(world: Arc<W>, sessions: Arc<Sessions>) -> Self {
        Self { world, sessions }
    }
}

impl<W> Clone for Ui<W> {
    fn clone(&self) -> Self {
        Self { world: Arc::clone(&self.world), sessions: Arc::clone(&self.sessions) }
    }
}

/// Every route under `/ui`.
pub fn router<W: World, S: Clone + Send + Sync + 'static>(ui: Ui<W>) -> Router<S> {
    Router::new()
        .route(HOME, get(overview::<W>))
        .route("/ui/", get(async || see(HOME)))
        .route(SIGN_IN, get(form::<W>).post(sign_in::<W>))
        .route("/ui/sign-out", post(sign_out::<W>))
        .route("/ui/models", get(models::<W>))
        .route("/ui/keys", get(keys::<W>))
        .route("/ui/budgets", get(budgets::<W>))
        .route("/ui/requests", get(requests::<W>))
        .route("/ui/requests/{at}/{id}", get(request::<W>))
        .route("/ui/console.css", get(async || answer(StatusCode::OK, "text/css; charset=utf-8", STYLE)))
        .route("/ui/console.js", get(async || answer(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT)))
        .route("/ui/icon.svg", get(async || answer(StatusCode::OK, "image/svg+xml", ICON)))
        .with_state(ui)
}

async fn overview<W: World>(State(ui): State<Ui<W>>, headers: HeaderMap) -> Response {
    ui.show(&headers, async |world| world.overview().await.map(|facts| pages::overview(&facts))).await
}

async fn models<W: World>(State(ui): State<Ui<W>>, headers: HeaderMap) -> Response {
    ui.show(&headers, async |world| world.models().await.map(|facts| pages::models(&facts))).await
}

async fn keys<W: World>(State(ui): State<Ui<W>>, headers: HeaderMap) -> Response {
    ui.show(&headers, async |world| world.keys().await.map(|facts| pages::keys(&facts))).await
}

async fn budgets<W: World>(State(ui): State<Ui<W>>, headers: HeaderMap) -> Response {
    ui.show(&headers, async |world| world.budgets().await.map(|facts| pages::budgets(&facts))).await
}

async fn requests<W: World>(State(ui): State<Ui<W>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let of = |name| field(query.as_deref().unwrap_or_default(), name);
    let search = Search { model: of("model"), key: of("key"), status: of("status"), request: of("request") };
    ui.show(&headers, async |world| world.requests(search).await.map(|facts| pages::requests(&facts))).await
}

async fn request<W: World>(
    State(ui): State<Ui<W>>,
    Path((at, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let made = async move |world: Arc<W>| {
        // What is no time is that of no request.
        let Ok(at) = at.parse() else { return Ok(String::new()) };
        world.request(at, &id).await.map(|attempts| pages::request(&id, &attempts))
    };
    ui.show(&headers, made).await
}

async fn form<W: World>(State(ui): State<Ui<W>>, headers: HeaderMap) -> Response {
    if ui.is_signed_in(&headers) { see(HOME) } else { page(StatusCode::OK, pages::sign_in("")) }
}

async fn sign_in<W: World>(State(ui): State<Ui<W>>, headers: HeaderMap, request: Request<Body>) -> Response {
    if !is_own(&headers) {
        return page(StatusCode::FORBIDDEN, pages::sign_in("That form came from another site. Sign in here."));
    }
    let Ok(Ok(form)) = timeout(PATIENCE, to_bytes(request.into_body(), FORM)).await else {
        return page(StatusCode::BAD_REQUEST, pages::sign_in("The form did not arrive. Try again."));
    };
    if let Err(Wait(wait)) = ui.sessions.attempt(elapsed()) {
        let message = format!("Too many attempts. Try again in {}.", format::span(wait));
        let mut answer = page(StatusCode::TOO_MANY_REQUESTS, pages::sign_in(&message));
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        return answer;
    }
    if !ui.world.is_admin(&field(&String::from_utf8_lossy(&form), "key")) {
        return page(StatusCode::UNAUTHORIZED, pages::sign_in("That is not the admin key."));
    }
    with_cookie(see(HOME), &cookie(Some(&ui.sessions.open(elapsed())), &headers))
}

async fn sign_out<W: World>(State(ui): State<Ui<W>>, headers: HeaderMap) -> Response {
    if !is_own(&headers) {
        return page(StatusCode::FORBIDDEN, pages::sign_in("That form came from another site."));
    }
    if let Some(token) = token(&headers) {
        ui.sessions.close(token);
    }
    with_cookie(see(SIGN_IN), &cookie(None, &headers))
}

impl<W: World> Ui<W> {
    fn is_signed_in(&self, headers: &HeaderMap) -> bool {
        token(headers).is_some_and(|token| self.sessions.is_open(token, elapsed()))
    }

    /// A page for who is signed in, made off the threads that serve models.
    async fn show<F>(&self, headers: &HeaderMap, make: F) -> Response
    where
        F: AsyncFnOnce(Arc<W>) -> Result<String, Unavailable> + Send + 'static,
    {
        if !self.is_signed_in(headers) {
            return see(SIGN_IN);
        }
        let (world, runtime) = (Arc::clone(&self.world), tokio::runtime::Handle::current());
        match tokio::task::spawn_blocking(move || runtime.block_on(make(world))).await {
            Ok(Ok(html)) if html.is_empty() => page(StatusCode::NOT_FOUND, pages::missing()),
            Ok(Ok(html)) => page(StatusCode::OK, html),
            Ok(Err(Unavailable(why))) => page(StatusCode::SERVICE_UNAVAILABLE, pages::unavailable(&why)),
            Err(error) => {
                tracing::error!(%error, "a page of the console cannot be made");
                page(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    pages::unavailable("This page cannot be made. The log says why."),
                )
            }
        }
    }
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

/// Since the first use.
fn elapsed() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed()
}
