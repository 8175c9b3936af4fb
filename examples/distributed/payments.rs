//! The payment service.

use axum::{Router, http::StatusCode, routing::post};
use exporters::{profiled, set_span_attribute};
use std::time::Duration;

pub(crate) fn app() -> Router {
    Router::new().route("/charge", post(charge))
}

#[profiled]
async fn charge(cents: String) -> Result<String, StatusCode> {
    let cents: u32 = cents.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    set_span_attribute("payment.cents", cents);
    book().await;
    Ok(format!("{}.{:02} paid", cents / 100, cents % 100))
}

/// Banks take their time.
#[profiled]
async fn book() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
