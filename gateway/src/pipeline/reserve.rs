//! Holds what a request may use at most, in all accounts that count it, before it is dispatched.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::HeaderMap;
use tokio::time::Instant;
use turnpike_ledger::{
    account::{AccountSpec, Charge, Excess, OwnerKind, Unit},
    engine::{Hold, Ledger, Need},
    limits,
};
use turnpike_llm::{
    bound::{self, Call, Output},
    pass,
    price::{self, Price},
    provider::Operation,
    request::Request,
    usage::Usage,
};

use super::{body::INLINE, forward, meter::Most, queue::Patience};
use crate::{
    app::App,
    config::snapshot::{Backend, Caller, EndUsers, Limit, Model, Pots},
    error::Error,
    spend::clipped,
};

/// Fewer output tokens than this are not worth a call: rather refuse.
const LEAST_OUTPUT: u64 = 256;
/// Of what is left, the share that a request gets which does not say how much it wants, or wants more than there is.
const SHARE: i64 = 4;
/// A prompt whose bound is above this share of what is left is counted by the tokenizer: one part in so many.
const EXACT: i64 = 50;
/// What takes longer was a wait.
const WAITED: Duration = Duration::from_millis(1);
/// Output of a model of which nothing is known.
const MOST_OUTPUT: u64 = 131_072;

/// What is known of a request when its backend is chosen.
pub struct Reservation<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The name that was asked for.
    pub name: &'a str,
    /// The backend.
    pub model: &'a Arc<Model>,
    /// Its own name of the model.
    pub upstream_model: &'a Arc<str>,
    /// What is asked.
    pub operation: Operation,
    /// The request.
    pub request: &'a Request,
    /// Its headers.
    pub client: &'a HeaderMap,
    /// How long the backend may take.
    pub longest: Duration,
    /// How long it may wait for limits that others have used up.
    pub patience: Patience,
    /// What a call in a dialect that is not the gateway's may use; `None` = the request is read for it.
    pub fixed: Option<pass::Most>,
    /// It counts as a request of its client's; a copy or a second attempt beside the first does not.
    pub counts: bool,
}

/// What a request may use.
#[derive(Debug, Default)]
pub struct Reserved {
    /// Held until it ends.
    pub hold: Hold,
    /// Most output tokens of one choice; `None` = as the client says.
    pub cap: Option<u64>,
    /// What it may use at most; `None` = nothing limits it.
    pub most: Option<Most>,
}

impl Reservation<'_> {
    /// Holds it in `accounts`, which [`Self::accounts`] gave. What `hold` has is part of that; what it has of other accounts
    /// goes back.
    ///
    /// # Errors
    /// A limit does not let it pass, or a limit in USD holds and there is no price. The hold comes back as it was.
    pub async fn reserve(
        &self,
        app: &App,
        accounts: Vec<Arc<AccountSpec>>,
        mut hold: Hold,
    ) -> Result<Reserved, (Error, Hold)> {
        let (bound, needs) = match self.needs(app, accounts, &hold).await {
            Ok(known) => known,
            Err(error) => return Err((error, hold)),
        };
        let began = Instant::now();
        let extended = app.ledger.extend(&mut hold, &needs, &self.caller.key_id).await;
        waited(app, began, extended.is_ok());
        match extended {
            Ok(()) => Ok(bound.reserved(hold)),
            Err(refusal) => Err((Error::Limited { refusal: refusal.into(), exhausted: app.exhausted }, hold)),
        }
    }

    /// Holds what one of several attempts of a request may use, whichever can have it first; says which. `hold` as in
    /// [`Self::reserve`].
    ///
    /// # Errors
    /// None can. The hold comes back as it was.
    pub async fn reserve_any(attempts: &[Self], app: &App, mut hold: Hold) -> Result<(usize, Reserved), Hold> {
        let (mut bounds, mut options) = (Vec::new(), Vec::new());
        for (at, attempt) in attempts.iter().enumerate() {
            if let Ok((bound, needs)) = attempt.needs(app, attempt.accounts(app), &hold).await {
                bounds.push((at, bound));
                options.push(needs);
            }
        }
        let Some(caller) = attempts.first().map(|attempt| attempt.caller) else { return Err(hold) };
        let began = Instant::now();
        let extended = app.ledger.extend_any(&mut hold, &options, &caller.key_id).await;
        waited(app, began, extended.is_some());
        match extended.and_then(|option| bounds.into_iter().nth(option)) {
            Some((at, bound)) => Ok((at, bound.reserved(hold))),
            None => Err(hold),
        }
    }

    /// What it may use at most, and so needs of these accounts.
    async fn needs(
        &self,
        app: &App,
        accounts: Vec<Arc<AccountSpec>>,
        hold: &Hold,
    ) -> Result<(Bound<'_>, Vec<Need>), Error> {
        let price = self.price(&accounts)?;
        let bound = self.bound(&app.ledger, &accounts, price, hold).await;
        let needs = accounts.into_iter().map(|account| {
            let (amount, wait) = (bound.amount(&account), self.patience.of(&account));
            Need { wait, ..Need::new(account, amount) }
        });
        let needs = needs.collect();
        Ok((bound, needs))
    }

    /// The accounts that count it, sorted by id, each once.
    pub fn accounts(&self, app: &App) -> Vec<Arc<AccountSpec>> {
        let mut accounts = self.model.limits.clone();
        for limit in &self.caller.limits {
            if !self.is_counted(limit) {
                continue;
            }
            match &limit.pots {
                Pots::One(account) => accounts.push(Arc::clone(account)),
                Pots::PerEndUser(budget) => {
                    let user = self.request.user().map(clipped).unwrap_or_default();
                    let pot = match limit.end_users {
                        EndUsers::Only(_) => format!("user:{user}"),
                        EndUsers::All | EndUsers::Any => app.end_users.pot(&self.caller.key_id, user, app.ledger.now()),
                    };
                    accounts.extend(limits::of_budget(budget, &pot));
                }
            }
        }
        if !self.counts {
            accounts.retain(|account| !counts_requests(account));
        }
        accounts.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        accounts.dedup_by(|a, b| a.id == b.id);
        accounts
    }

    fn is_counted(&self, limit: &Limit) -> bool {
        let of_user = match &limit.end_users {
            EndUsers::All => true,
            EndUsers::Any => self.request.user().is_some(),
            EndUsers::Only(name) => self.request.user() == Some(name),
        };
        let pool = &self.model.entry.model_name;
        of_user
            && self.has_tags(&limit.tags)
            && limit.models.as_ref().is_none_or(|models| models.allows(self.name) || models.allows(pool))
    }

    fn has_tags(&self, wanted: &[Box<str>]) -> bool {
        if wanted.is_empty() {
            return true;
        }
        let header = forward::tags(self.client);
        let has =
            |tag: &str| header.iter().any(|own| **own == *tag) || self.request.tags().iter().any(|own| own == tag);
        wanted.iter().all(|tag| has(tag))
    }

    /// Price of the call; `None` = it costs nothing that anybody limits.
    fn price(&self, accounts: &[Arc<AccountSpec>]) -> Result<Option<Cow<'_, Price>>, Error> {
        // What uses nothing costs nothing.
        if self.fixed == Some(pass::Most::default()) {
            return Ok(None);
        }
        let price = self.model.price(self.upstream_model);
        if price.is_none() && counts_cost(accounts) && !matches!(self.model.backend, Backend::Mock { .. }) {
            return Err(Error::NotPriced(clipped(self.name).into()));
        }
        Ok(price)
    }

    fn call(&self) -> Call<'_> {
        call_of(self.model, self.operation, self.upstream_model)
    }

    /// What it may use at most: as the client says, or as much as can be afforded.
    async fn bound<'a>(
        &'a self,
        ledger: &Ledger,
        accounts: &[Arc<AccountSpec>],
        price: Option<Cow<'a, Price>>,
        hold: &Hold,
    ) -> Bound<'a> {
        let call = self.call();
        if let Some(pass::Most { prompt, output }) = self.fixed {
            return Bound { prompt, output, longest: self.longest, cap: None, price, request: self.request, call };
        }
        let most = bound::most_output(self.request, call);
        let (output, said) = match bound::output_bound(self.request, call) {
            Output::Asked(tokens) => (tokens, true),
            Output::Absent => (most.unwrap_or(MOST_OUTPUT), false),
        };
        let prompt = bound::prompt_bound(self.request, call);
        let longest = self.longest;
        let mut bound = Bound { prompt, output, longest, cap: None, price, request: self.request, call };
        let scarce: Vec<(&AccountSpec, i64)> = accounts
            .iter()
            .filter(|account| holds_worst_case(account))
            .map(|account| {
                let affordable = ledger.affordable(account).map(|left| left.saturating_add(hold.amount(account)));
                (&**account, affordable.unwrap_or(account.limit))
            })
            .collect();
        let is_scarce = !scarce.is_empty();
        let is_large = |(account, left): &(&AccountSpec, i64)| bound.of_prompt(account.unit) > left / EXACT;
        if scarce.iter().any(is_large) {
            bound.prompt = self.exact_prompt().await;
        }
        for (account, left) in scarce {
            let affordable = if said { left } else { left / SHARE };
            // Only what writes text can be told to write less.
            if bound.amount(account) > affordable && self.operation.generates() {
                bound.shrink(account.unit, left / SHARE);
            }
        }
        // What nobody limits, a model of which nothing is known would not keep to.
        let is_open = !said && most.is_none() && is_scarce;
        bound.cap = (is_open || bound.output < output).then(|| bound::cap(self.request, call, bound.output));
        bound
    }

    async fn exact_prompt(&self) -> u64 {
        if self.request.bytes().len() <= INLINE {
            return bound::prompt_exact(self.request, self.call());
        }
        let (request, model) = (self.request.clone(), Arc::clone(self.model));
        let (operation, upstream_model) = (self.operation, Arc::clone(self.upstream_model));
        let counting = tokio::task::spawn_blocking(move || {
            bound::prompt_exact(&request, call_of(&model, operation, &upstream_model))
        });
        // It fails only where the runtime ends.
        counting.await.unwrap_or_else(|_| bound::prompt_bound(self.request, self.call()))
    }
}

/// Tells of a wait that is over.
fn waited(app: &App, began: Instant, passed: bool) {
    if began.elapsed() >= WAITED {
        app.metrics.waited(began.elapsed(), passed);
    }
}

fn call_of<'a>(model: &'a Model, operation: Operation, upstream_model: &'a str) -> Call<'a> {
    let params = match &model.backend {
        Backend::Provider(upstream) => Some(&upstream.params),
        Backend::Mock { .. } => None,
    };
    Call { operation, model: upstream_model, capabilities: &model.entry.capabilities, params }
}

/// What a request may use at most.
struct Bound<'a> {
    prompt: u64,
    output: u64,
    longest: Duration,
    /// Most output tokens of one choice, where that is less than the client says.
    cap: Option<u64>,
    price: Option<Cow<'a, Price>>,
    request: &'a Request,
    call: Call<'a>,
}

impl Bound<'_> {
    fn reserved(self, hold: Hold) -> Reserved {
        Reserved { hold, cap: self.cap, most: Some(self.most()) }
    }

    fn most(&self) -> Most {
        let usage = Usage { prompt: self.prompt, completion: self.output, estimated: true, ..Usage::default() };
        let cost = self.price.as_ref().map(|_| self.of(Unit::NanoUsd, self.output));
        Most { usage, cost, longest: self.longest }
    }

    fn amount(&self, account: &AccountSpec) -> i64 {
        match account.unit {
            // What a rate counts ahead is corrected when the request ends.
            Unit::Tokens if account.is_rate() => {
                let limit = account.limit.max(0).unsigned_abs();
                signed(bound::estimate(self.request, self.call, limit).min(limit))
            }
            unit => self.of(unit, self.output),
        }
    }

    fn of(&self, unit: Unit, output: u64) -> i64 {
        self.with(unit, self.prompt, output)
    }

    /// What the prompt has of it.
    fn of_prompt(&self, unit: Unit) -> i64 {
        self.of(unit, 0).saturating_sub(self.with(unit, 0, 0))
    }

    fn with(&self, unit: Unit, prompt: u64, output: u64) -> i64 {
        match unit {
            Unit::NanoUsd => self.price.as_deref().map_or(0, |price| {
                price::worst(price, prompt, output, bound::queries(self.request, self.call), self.longest)
            }),
            Unit::Tokens => signed(prompt.saturating_add(output)),
            Unit::Requests | Unit::Parallel => 1,
        }
    }

    /// Lowers the output until it fits, but not below what is worth a call.
    fn shrink(&mut self, unit: Unit, affordable: i64) {
        let (least, most) = (self.of(unit, 0), self.of(unit, self.output));
        // Where only time costs, less output is not cheaper.
        if least == most {
            return;
        }
        let fits = i128::from(affordable.saturating_sub(least).max(0)) * i128::from(self.output)
            / i128::from(most.saturating_sub(least).max(1));
        let fits = u64::try_from(fits).unwrap_or(u64::MAX);
        self.output = self.output.min(fits.max(LEAST_OUTPUT));
    }
}

/// Whether a limit in USD among them can refuse.
pub fn counts_cost(accounts: &[Arc<AccountSpec>]) -> bool {
    accounts.iter().any(|account| account.unit == Unit::NanoUsd && account.excess != Excess::Tell)
}

/// Accounts whose worst case is held: budgets that are enforced strictly.
fn holds_worst_case(account: &AccountSpec) -> bool {
    let is_counted = matches!(account.unit, Unit::NanoUsd | Unit::Tokens);
    is_counted && !account.is_rate() && account.charge == Charge::Ahead && account.excess == Excess::Refuse
}

/// Counts clients' requests, not attempts at a model.
fn counts_requests(account: &AccountSpec) -> bool {
    matches!(account.unit, Unit::Requests | Unit::Parallel) && account.owner.kind != OwnerKind::ModelDeployment
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
