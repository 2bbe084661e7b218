//! `GET /demand`: what clients want of engines, for whoever sets their replicas.

use axum::{extract::State, response::Response};
use http::StatusCode;

use super::{Reports, json};
use crate::{demand, pipeline::journey::now};

pub(super) async fn answer(State(reports): State<Reports>) -> Response {
    json(StatusCode::OK, &demand::of(&reports.live.load(), now()))
}
