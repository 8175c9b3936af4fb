//! The macros of `exporters`, which re-exports them: depend on that crate, not on this one.
//!
//! A function goes through four stages, a module each: its arguments are read (`args`), what stands below
//! the attribute is parsed (`item`), what cannot be measured is refused (`check`), and the rest is
//! expanded (`expand`), in the way its return type asks for (`shape`).

// A macro that panics tells its user nothing.
#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod args;
mod check;
mod errors;
mod expand;
mod exporter;
mod item;
mod list;
mod nearest;
mod shape;
mod ty;

use proc_macro::TokenStream;

/// Records every call of a function: how often, how long, how it ended.
///
/// It goes on a function, method or trait method with a body, or on a whole `impl` block, trait or inline
/// module, where it takes every function within that has a body and is not `const`. A function that is
/// `async`, or returns `impl Future`, `Pin<Box<dyn Future>>` or `BoxFuture`, is timed from its first poll to its
/// end; every other one from call to return.
///
/// A call that returns `Err` ends as `error`, one that unwinds as `panic`, a future dropped before its end as
/// `cancelled`, every other one as `ok`. Whether a value is an `Err` is decided by its type, so aliases of `Result`
/// count too; a value whose type is a bare type parameter counts as `ok`, unless `error_if` says otherwise.
/// Three kinds of function cannot be looked into on every way out: `-> !`, `#[track_caller]` (seen when it
/// returns by its last expression, `ok` on an early `return` or `?`) and those that return `impl Fn`.
///
/// Not for what the global allocator or a signal handler calls: a thread's first calls of a function allocate and take a
/// lock, and must not be interrupted by another call of it on the same thread.
///
/// # Arguments
///
/// | argument | meaning |
/// |---|---|
/// | `name = "checkout"` | the function's name; on an `impl` or trait, what stands before `::method` |
/// | `attributes(queue = job.queue(), "messaging.system" = "kafka")` | one series for each set of values; evaluated at the call, from its arguments |
/// | `error_type = \|e\| e.code()` | from a reference to the error: the value of `error.type`, instead of the type's name |
/// | `ok_if = \|r\| …`, `error_if = \|r\| …` | from a reference to the returned value: whether the call was good, or bad |
/// | `slo(latency = "250ms", target = 99.9, name = "…")` | an objective: this percentage of calls ends `ok`, and within `latency` if given |
/// | `time_one_in = 16` | every call is counted, one in 16 is timed |
/// | `span = false` | no trace spans |
/// | `kind = "server"` | the kind of its spans: `internal`, `server`, `client`, `producer` or `consumer` |
/// | `skip` | within an annotated `impl`, trait or module: leave this function out |
/// | `crate = path` | where `exporters` is, if not at `::exporters` |
///
/// On a function within an annotated block, the arguments add to and override those of the block.
#[proc_macro_attribute]
pub fn profiled(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if cfg!(feature = "record") { expand::item(arguments.into(), item.into()).into() } else { item }
}

/// Records one block of code as `#[profiled]` records a function, and evaluates to the block's value.
///
/// ```text
/// let total = exporters::profile!("sum", { items.iter().sum::<u64>() });
/// let page = exporters::profile!("fetch", async { get(url).await }).await;
/// ```
///
/// An `async` block becomes a future that is timed from its first poll to its end. Any other block is timed
/// at once; a `return`, `?` or `break` that leaves it counts as `ok`, since the value that leaves is not the
/// block's. Between name and block stand the same arguments as in `#[profiled(..)]`: `profile!("sum", time_one_in = 16, { .. })`.
#[proc_macro]
pub fn profile(input: TokenStream) -> TokenStream {
    expand::block(input.into(), cfg!(feature = "record")).into()
}

/// Makes an exporter of a struct: what is left to write is one method, `Transmit::transmit`, which sends a payload.
///
/// ```text
/// /// Posts call statistics to Acme.
/// #[derive(Debug, Deserialize, Exporter)]
/// #[exporter(kind = "acme", encode = json)]
/// #[metric(throughput = "messages_per_second", unit = "{message}/s", help = "Messages processed")]
/// #[metric(latency_p95 = "function.calls.duration", stat = p95, unit = "ms")]
/// #[metric(apdex = Self::apdex)]
/// pub struct Acme {
///     endpoint: Endpoint,
///     token: Secret,
///     #[exporter(attribute = "deployment.environment.name")]
///     environment: String,
/// }
///
/// impl Transmit for Acme {
///     async fn transmit(&self, payload: Payload) -> Result<Receipt> { .. }
/// }
/// ```
///
/// The derive writes `Exporter`, with the metrics' mapping and the encoding, and registers the struct as a kind: from then on
/// `type: acme` in a configuration file makes one, by the struct's own `Deserialize`, of that file and of the variables
/// `PROFILING_ACME_ENDPOINT`, `PROFILING_ACME_TOKEN`, `PROFILING_ACME_TOKEN_FILE` and so on (of several, each has its name in place of
/// `ACME`). Where a backend refuses the
/// credentials (`ErrorKind::Unauthorized`), fields that are a `Secret`, or an `Option` of one, are read again from the files
/// they came from, and if that gave others, the payload is sent once more.
///
/// It takes any struct without type parameters or lifetimes, which must be `Debug`.
///
/// # On the struct: `#[exporter(..)]`
///
/// | argument | meaning |
/// |---|---|
/// | `kind = "acme"` | its name in configuration files and variables; if absent, the struct's in `snake_case` |
/// | `encode = json` | how a payload is written: `json`, `csv`, `prometheus`, `messagepack` or `otlp`; the last three are in features of `exporters`: `prometheus`, `messagepack`, `opentelemetry` |
/// | `max_items = 1000` | the most items that one payload holds |
/// | `max_bytes = 1024 * 1024` | the most bytes that one payload has |
/// | `http(path = "/v1/metrics", auth = bearer(token))` | writes `transmit`, too (see below) |
/// | `health = Self::check` | `async fn(&Self) -> Health`, which asks the backend; if absent, it counts as healthy |
/// | `register = false` | not a kind: only the program itself can make one, and it need not be `Deserialize` |
/// | `crate = path` | where `exporters` is, if not at `::exporters` |
///
/// With `encode = otlp` a payload is one request of OTLP, of metrics or of spans; a hand-written `transmit` learns from
/// `Payload::signal` of which. Items that OTLP has no form for are left out and counted as rejected, in any format.
///
/// # On the struct: `#[metric(name = source, ..)]`
///
/// Each is one metric that is sent, and then nothing else is. Without any, everything goes as it was recorded, and
/// spans go, too, unless the format is `prometheus`.
///
/// | part | meaning |
/// |---|---|
/// | `name` | what the backend calls it; in quotes if that is no identifier |
/// | `"total_calls"` | its source: a statistic over all functions, or a recorded metric, such as `"function.calls"`, with its series |
/// | `Self::apdex`, `\|metrics\| ..` | or a computation: `fn(&ProfileMetrics) -> Option<f64>` |
/// | `stat = p95` | of a recorded metric: `rate`, `total`, `count`, `sum`, `mean`, `max`, `p50`, `p90`, `p95`, `p99` |
/// | `kind = rate` | `gauge`, `counter`, `rate` or `histogram`, if not what its source is |
/// | `unit = "ms"` | its unit; times are converted |
/// | `help = ".."` | what it means, for people |
///
/// # On a field: `#[exporter(..)]`
///
/// | argument | meaning |
/// |---|---|
/// | `attribute = "deployment.environment.name"` | it is sent under this key with every payload, as its `Display` shows it |
///
/// # In `http(..)`
///
/// | argument | meaning |
/// |---|---|
/// | `endpoint = url` | the field with the URL, an `Endpoint`; if absent, `endpoint` |
/// | `path = "/v1/metrics"` | what is added to the URL's path |
/// | `auth = bearer(token)` | the fields that say who sends: `bearer(token)`, `api_key(token, header = "X-API-Key")`, `basic(user, password)` or `none` |
///
/// With `encode = otlp`, `/v1/metrics` or `/v1/traces` is added after that, as senders of OTLP do it: `http(auth = bearer(token))` is
/// enough for `endpoint: http://collector:4318`, and `path = "/otlp"` makes `/otlp/v1/metrics` of it. An endpoint or path that ends with
/// one of them already is refused. What the receiver says that it refused of a payload is counted as rejected.
#[proc_macro_derive(Exporter, attributes(exporter, metric))]
pub fn exporter(input: TokenStream) -> TokenStream {
    exporter::derive(input.into()).into()
}
