//! The port of whoever tests: `POST /faults` orders faults, `GET /faults` tells the order in force, `GET /counts` what happened.

use std::sync::Arc;

use futures::TryStreamExt;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use s3s::{Body, HttpError};

use super::faults::Faults;

/// Bytes of an order.
const ORDER_BYTES_MAX: usize = 4096;

/// Answers a request in JSON.
pub(crate) async fn answer(request: Request<Incoming>, faults: Arc<Faults>) -> Result<Response<Body>, HttpError> {
    let answered = match (request.method(), request.uri().path()) {
        (&Method::GET, "/counts") => serde_json::to_string(&faults.counts()).map_err(|error| error.to_string()),
        (&Method::GET, "/faults") => serde_json::to_string(&faults.current()).map_err(|error| error.to_string()),
        (&Method::POST, "/faults") => order(request.map(Body::from).into_body(), &faults).await,
        _ => Err("ask POST /faults, GET /faults or GET /counts".to_owned()),
    };
    let (status, text) = match answered {
        Ok(text) => (StatusCode::OK, text),
        Err(reason) => (StatusCode::BAD_REQUEST, reason),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    Ok(response)
}

async fn order(mut body: Body, faults: &Faults) -> Result<String, String> {
    let mut text = Vec::new();
    while let Some(piece) = body.try_next().await.map_err(|error| error.to_string())? {
        text.extend_from_slice(&piece);
        if text.len() > ORDER_BYTES_MAX {
            return Err("an order has at most 4096 bytes".to_owned());
        }
    }
    let order = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    faults.order(order);
    serde_json::to_string(&order).map_err(|error| error.to_string())
}
