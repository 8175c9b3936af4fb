use exporters::{Endpoint, Exporter, Secret};
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
#[exporter(http(path = "v1/metrics", auth = baerer(token)))]
struct Misspelt {
    endpoint: Endpoint,
    token: Secret,
}

#[derive(Debug, Deserialize, Exporter)]
#[exporter(http(pth = "/v1", auth = bearer, auth = none))]
struct Unknown {
    endpoint: Endpoint,
}

#[derive(Debug, Deserialize, Exporter)]
#[exporter(http(path = "/v1", auth = basic(user, pasword)))]
struct Absent {
    url: Endpoint,
    user: String,
    password: Secret,
}

#[derive(Debug, Deserialize, Exporter)]
#[exporter(http(auth = api_key(token, header = "X API Key")))]
struct Header {
    endpoint: Endpoint,
    token: Secret,
}

#[derive(Debug, Deserialize, Exporter)]
#[exporter(http(auth = basic(user)))]
struct Half {
    endpoint: Endpoint,
    user: String,
}

#[derive(Debug, Deserialize, Exporter)]
#[exporter(http)]
struct Bare {
    endpoint: Endpoint,
}

#[derive(Debug, Deserialize, Exporter)]
#[exporter(encode = otlp, http(path = "/otlp/v1/traces"))]
struct Twice {
    endpoint: Endpoint,
}

#[derive(Debug, Deserialize, Exporter)]
#[exporter(encode = otlp, http(path = "/v1/metrics/"))]
struct Needless {
    endpoint: Endpoint,
}

fn main() {}
