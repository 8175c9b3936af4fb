//! The shop: sells, and asks the payment service for the money.

use axum::{
    Router,
    extract::{Path, State},
    http::{Request, Response, StatusCode},
    routing::get,
};
use exporters::{profiled, tower::HttpClientLayer};
use reqwest::Body;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};

type Client = BoxCloneSyncService<Request<Body>, Response<Body>, reqwest::Error>;

/// Whom it asks.
#[derive(Clone)]
struct Payments {
    client: Client,
    url: String,
}

/// A shop whose payment service is at `payments`.
pub(crate) fn app(payments: &str) -> reqwest::Result<Router> {
    let payments = Payments { client: client()?, url: payments.to_owned() };
    Ok(Router::new().route("/checkout/{order}", get(checkout)).with_state(payments))
}

/// reqwest, behind a layer. With the feature `http` of `exporters` it would be `.service(client)`.
fn client() -> reqwest::Result<Client> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let send = move |request: Request<Body>| {
        let client = client.clone();
        async move { Ok(client.execute(request.try_into()?).await?.into()) }
    };
    Ok(BoxCloneSyncService::new(ServiceBuilder::new().layer(HttpClientLayer::new()).service_fn(send)))
}

#[profiled]
async fn checkout(State(payments): State<Payments>, Path(order): Path<u32>) -> Result<String, StatusCode> {
    let price = price(order);
    let receipt = charge(payments, price).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(format!("order {order}: {receipt}"))
}

#[profiled]
fn price(order: u32) -> u32 {
    100 * order + 99
}

#[profiled]
async fn charge(payments: Payments, cents: u32) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let request = Request::post(format!("{}/charge", payments.url)).body(cents.to_string().into())?;
    let response = reqwest::Response::from(payments.client.oneshot(request).await?);
    Ok(response.error_for_status()?.text().await?)
}
