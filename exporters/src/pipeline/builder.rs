//! What a profiler is made of, from code or from the environment.

use super::{LegOptions, Profiler, current, exit, runtime::Runtime};
use crate::{
    AnyExporter, Error, ErrorKind, Exporter, KeyValue, Resource, Result, record, record::snapshot::IDLE,
};
use std::{collections::HashSet, env, sync::Arc, time::Duration};

/// How long an interval is, unless somebody says otherwise.
const INTERVAL: Duration = Duration::from_secs(10);
/// Shorter intervals would only burn time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// The settings of a [`Profiler`]. `PROFILING_DISABLED` and `OTEL_SDK_DISABLED` hold for it, too.
///
/// ```
/// # use exporters::{MemoryExporter, Profiler};
/// # use std::time::Duration;
/// # fn main() -> Result<(), exporters::Error> {
/// let memory = MemoryExporter::new();
/// let profiler = Profiler::builder().service("checkout").exporter(memory.clone()).start()?;
/// profiler.flush(Duration::from_secs(5))?;
/// assert_eq!(memory.batches().len(), 1);
/// # profiler.shutdown(Duration::from_secs(5)).into_result() }
/// ```
#[derive(Debug)]
#[must_use = "nothing happens before `start`"]
pub struct Builder {
    pub(super) interval: Duration,
    pub(super) idle: Duration,
    attributes: Vec<KeyValue>,
    /// Each with its name.
    pub(super) exporters: Vec<(AnyExporter, String, LegOptions)>,
    #[cfg(feature = "prometheus")]
    pub(super) prometheus: Option<crate::prometheus::PrometheusExporter>,
    /// Nobody asked for anything in particular.
    pub(super) embedded: bool,
    enabled: bool,
    problem: Option<Error>,
}

impl Builder {
    pub(super) fn new() -> Self {
        let disabled = disabled();
        Self {
            interval: INTERVAL,
            idle: IDLE,
            attributes: Vec::new(),
            exporters: Vec::new(),
            #[cfg(feature = "prometheus")]
            prometheus: None,
            embedded: false,
            enabled: !disabled.as_ref().is_ok_and(|disabled| *disabled),
            problem: disabled.err(),
        }
    }

    /// What the environment says, as [`init`](crate::init) has it, to be changed in code.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) for a value that makes no sense.
    pub fn from_env() -> Result<Self> {
        let mut builder = Self::new();
        if let Some(problem) = builder.problem.take() {
            return Err(problem);
        }
        if let Some(interval) =
            variable("PROFILING_INTERVAL", "a duration such as 500ms, 10s or 1m", duration)?
        {
            builder = builder.interval(interval);
        }
        #[cfg(feature = "prometheus")]
        if builder.enabled {
            builder.prometheus_from_env()?;
        }
        Ok(builder)
    }

    #[cfg(feature = "prometheus")]
    fn prometheus_from_env(&mut self) -> Result<()> {
        use crate::prometheus::{PrometheusConfig, PrometheusExporter};
        use std::net::{IpAddr, Ipv4Addr, SocketAddr};
        let mut config = PrometheusConfig::default();
        let listen = variable(
            "PROFILING_PROMETHEUS_LISTEN",
            "an address such as 127.0.0.1:9464",
            parse::<SocketAddr>,
        )?;
        let ip = |text: &str| {
            if text == "localhost" { Some(Ipv4Addr::LOCALHOST.into()) } else { parse::<IpAddr>(text) }
        };
        let host = variable("OTEL_EXPORTER_PROMETHEUS_HOST", "an IP address or localhost", ip)?;
        let port = variable("OTEL_EXPORTER_PROMETHEUS_PORT", "a port, 0 to 65535", parse::<u16>)?;
        config.allow_remote = flag("PROFILING_PROMETHEUS_ALLOW_REMOTE")?.unwrap_or(false);
        self.embedded = listen.is_none() && host.is_none() && port.is_none();
        config.listen.set_ip(host.unwrap_or(config.listen.ip()));
        config.listen.set_port(port.unwrap_or(config.listen.port()));
        config.listen = listen.unwrap_or(config.listen);
        self.prometheus = Some(PrometheusExporter::new(config)?);
        Ok(())
    }

    /// Sets how long an interval is (10 s): how often exporters are sent what changed. At least 1 ms.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(SHORTEST_INTERVAL);
        self
    }

    /// Sets how long an attribute set may be idle before its series ends (1 h); if it comes back, it starts anew.
    pub fn series_idle_for(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets `service.name`.
    pub fn service(self, name: impl Into<String>) -> Self {
        self.attribute("service.name", name.into())
    }

    /// Adds an attribute of the service, for example `deployment.environment.name`.
    pub fn attribute(
        mut self,
        key: impl Into<std::borrow::Cow<'static, str>>,
        value: impl Into<crate::Value>,
    ) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// Adds an exporter, which is sent every interval's snapshot. It is called what its [`info`](Exporter::info) says; each has
    /// to have a name of its own.
    pub fn exporter(self, exporter: impl Exporter) -> Self {
        self.exporter_with(exporter, LegOptions::default())
    }

    /// Adds an exporter, and says how it is sent the snapshots. A wrong setting is told by [`start`](Self::start).
    pub fn exporter_with(mut self, exporter: impl Exporter, options: LegOptions) -> Self {
        let name = options.name.clone().unwrap_or_else(|| exporter.info().name.into_owned());
        self.exporters.push((AnyExporter::new(exporter), name, options));
        self
    }

    /// Serves the metrics to Prometheus. A wrong setting is told by [`start`](Self::start).
    #[cfg(feature = "prometheus")]
    pub fn prometheus(mut self, config: crate::prometheus::PrometheusConfig) -> Self {
        // Now somebody did ask.
        self.embedded = false;
        match crate::prometheus::PrometheusExporter::new(config) {
            Ok(exporter) => self.prometheus = Some(exporter),
            Err(error) => self.problem = Some(error),
        }
        self
    }

    /// Starts to record and to export. Where a profiler runs already, that one is given and the settings are not used.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) for a setting that makes no sense, and for two exporters of the same name;
    /// [`Unavailable`](ErrorKind::Unavailable)
    /// for an address or a thread that cannot be had.
    pub fn start(mut self) -> Result<Profiler> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        self.check()?;
        if !self.enabled {
            return Ok(Profiler(None));
        }
        let mut current = current();
        if let Some(runtime) = &*current {
            return Ok(Profiler(Some(runtime.clone())));
        }
        exit::install();
        let resource = Arc::new(Resource::from_env(std::mem::take(&mut self.attributes)));
        record::start();
        let (runtime, missed) = Runtime::start(self, resource).inspect_err(|_| record::stop())?;
        *current = Some(runtime.clone());
        // A subscriber of the program's may ask for the profiler.
        drop(current);
        if let Some(error) = missed {
            tracing::warn!(target: "exporters", %error, "going on without a scrape endpoint");
            exit::say(&format!("{error}; going on without it"));
        }
        Ok(Profiler(Some(runtime)))
    }

    fn check(&self) -> Result<()> {
        let mut names = HashSet::new();
        for (_, name, options) in &self.exporters {
            options.check().map_err(|error| error.with_context("exporter", name))?;
            if !names.insert(name) {
                let message =
                    "two exporters have the same name: give one of them another with `LegOptions::with_name`";
                return Err(Error::new(ErrorKind::ConfigInvalid, message).with_context("exporter", name));
            }
        }
        Ok(())
    }
}

/// Whether the environment wants nothing recorded, whatever the program says.
fn disabled() -> Result<bool> {
    // The specification: anything but `true` means no.
    let sdk_disabled = env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(flag("PROFILING_DISABLED")?.unwrap_or(false) || sdk_disabled)
}

/// A variable that is set and not empty, understood; the error names it and what it takes, never what it holds.
fn variable<T>(
    name: &'static str,
    takes: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>> {
    let wrong = || {
        Error::new(ErrorKind::ConfigInvalid, "an environment variable has a value that makes no sense")
            .with_context("variable", name)
            .with_context("it takes", takes)
    };
    match env::var(name) {
        Err(env::VarError::NotPresent) => Ok(None),
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => read(text.trim()).map(Some).ok_or_else(wrong),
        Err(env::VarError::NotUnicode(_)) => Err(wrong()),
    }
}

fn flag(name: &'static str) -> Result<Option<bool>> {
    variable(name, "1, true, 0 or false", |text| match text.to_ascii_lowercase().as_str() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    })
}

#[cfg(feature = "prometheus")]
fn parse<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// A number and its unit: `500ms`, `10s`, `1.5m`, `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..unit].parse().ok()?;
    let seconds = match text[unit..].trim() {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok().filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("1.5m"), Some(Duration::from_secs(90)));
        for wrong in ["", "10", "s", "0s", "-1s", "1d", "1e400s", "99999999999999999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
