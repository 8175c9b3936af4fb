//! The document as plain structs, which `serde_json` writes.

use exporters::{Batch, Data, Number};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Document {
    resource: Resource,
    attributes: Empty,
    start: &'static str,
    end: &'static str,
    metrics: Vec<Item>,
}

#[derive(Serialize)]
struct Resource {
    #[serde(rename = "service.name")]
    service_name: String,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Item {
    name: String,
    kind: &'static str,
    unit: String,
    attributes: Attributes,
    value: Value,
    total: Value,
}

#[derive(Serialize)]
struct Attributes {
    function: String,
    module: String,
}

#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Value {
    Count(u64),
    Seconds(f64),
}

impl Document {
    /// What ours writes of `batch`.
    pub(crate) fn of(batch: &Batch) -> Self {
        let mut metrics = Vec::new();
        for metric in batch.metrics().into_iter().flat_map(|snapshot| &snapshot.metrics) {
            let Data::Sum(sum) = &metric.data else { continue };
            for point in &sum.points {
                let text = |key| point.series.attributes.get_str(key).unwrap_or_default().to_owned();
                let value = |number| match number {
                    Number::U64(n) => Value::Count(n),
                    other => Value::Seconds(other.as_f64()),
                };
                metrics.push(Item {
                    name: metric.descriptor.name.clone().into_owned(),
                    kind: if sum.monotonic { "counter" } else { "updowncounter" },
                    unit: metric.descriptor.unit.clone().into_owned(),
                    attributes: Attributes { function: text("function"), module: text("module") },
                    value: value(point.change),
                    total: value(point.total),
                });
            }
        }
        Self {
            resource: Resource { service_name: "shop".to_owned() },
            attributes: Empty {},
            start: "2023-11-14T22:13:20.000Z",
            end: "2023-11-14T22:13:30.000Z",
            metrics,
        }
    }
}
