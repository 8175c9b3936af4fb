//! The built-in exporters, one folder a backend.

#[cfg(feature = "file")]
pub(crate) mod file;
#[cfg(feature = "http")]
pub(crate) mod http;
#[cfg(feature = "opentelemetry")]
pub(crate) mod opentelemetry;
#[cfg(feature = "prometheus")]
pub mod prometheus;

use crate::{AnyExporter, MemoryExporter, exporter::factory::Registration, routes};

/// The kinds that are here. They stand in a list, not among those that register at link time, so that a linker cannot leave one out
/// of which the program uses nothing else.
pub(crate) static KINDS: &[Registration] = &[
    Registration::new("memory", "exporters::MemoryExporter", file!(), line!(), |settings| {
        #[derive(serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Memory {
            capacity: usize,
        }
        impl Default for Memory {
            fn default() -> Self {
                Self { capacity: 1024 }
            }
        }
        Ok(AnyExporter::new(MemoryExporter::with_capacity(settings.read::<Memory>()?.capacity)))
    }),
    #[cfg(feature = "file")]
    Registration::new("file", "exporters::FileExporter", file!(), line!(), |settings| {
        file::FileExporter::new(settings.read()?).map(AnyExporter::new)
    }),
    Registration::new(
        "conditional",
        "exporters::ConditionalExporter",
        file!(),
        line!(),
        routes::settings::conditional,
    ),
    Registration::new("multi", "exporters::MultiExporter", file!(), line!(), routes::settings::multi),
    #[cfg(feature = "http")]
    Registration::new("http", "exporters::HttpExporter", file!(), line!(), http::build),
    #[cfg(feature = "opentelemetry")]
    Registration::new(
        "opentelemetry",
        "exporters::OpenTelemetryExporter",
        file!(),
        line!(),
        opentelemetry::build,
    ),
    #[cfg(feature = "prometheus")]
    Registration::new(
        "prometheus",
        "exporters::prometheus::PrometheusExporter",
        file!(),
        line!(),
        |settings| prometheus::PrometheusExporter::new(settings.read()?).map(AnyExporter::new),
    ),
];
