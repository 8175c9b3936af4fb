use exporters::Exporter;
use serde::Deserialize;

#[derive(Debug, Deserialize, Exporter)]
struct Acme;

fn main() {}
