use exporters::Exporter;

#[derive(Exporter)]
#[exporter(kind = "Acme", encode = xml, retries = 3)]
#[metric(calls = "total_call", kind = "rate")]
#[metric(calls = "function.calls", stat = p95, hlep = "Calls")]
struct Acme {
    #[exporter(attribute = "host", key = "port")]
    host: String,
}

fn main() {}
