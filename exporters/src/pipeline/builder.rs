//! What a profiler is made of, from code or from the environment.

use super::{LegOptions, Profiler, current, exit, runtime::Runtime};
#[cfg(feature = "prometheus")]
use crate::prometheus::{PrometheusConfig, PrometheusExporter};
use crate::{
    AnyExporter, Error, ErrorKind, Exporter, KeepConfig, KeyValue, Resource, Result, Sampler,
    config::{Config, Sink},
    foreign::{say, tell},
    record,
    record::snapshot::IDLE,
    settings::{Environment, Names},
};
use std::{env, path::Path, sync::Arc, time::Duration};

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
    /// Attributes that the environment may override.
    base: Vec<KeyValue>,
    attributes: Vec<KeyValue>,
    /// Each with its name.
    pub(super) exporters: Vec<(AnyExporter, String, LegOptions)>,
    #[cfg(feature = "prometheus")]
    pub(super) prometheus: Option<PrometheusExporter>,
    /// Nobody asked for anything in particular.
    pub(super) embedded: bool,
    sampler: Option<Sampler>,
    pub(super) keep: Option<KeepConfig>,
    pub(super) thread_attributes: bool,
    /// What comes after the environment.
    base_sampler: Option<Sampler>,
    enabled: bool,
    problem: Option<Error>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self::unless(disabled())
    }

    fn unless(disabled: Result<bool>) -> Self {
        Self {
            interval: INTERVAL,
            idle: IDLE,
            base: Vec::new(),
            attributes: Vec::new(),
            exporters: Vec::new(),
            #[cfg(feature = "prometheus")]
            prometheus: None,
            embedded: false,
            sampler: None,
            keep: None,
            thread_attributes: true,
            base_sampler: None,
            enabled: !disabled.as_ref().is_ok_and(|disabled| *disabled),
            problem: disabled.err(),
        }
    }

    /// What the environment says, as [`init`](crate::init) has it, to be changed in code.
    ///
    /// A setting `x` of the exporter called `name` is in the variable `PROFILING_NAME_X`, and in `PROFILING_TYPE_X` where it is the
    /// only one of its type, or has no name. A variable that could mean several exporters is refused.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) for a value that makes no sense, or a file that is wrong.
    pub fn from_env() -> Result<Self> {
        Self::configured(Config::from_env)
    }

    /// What a configuration file says, and the environment over it, to be changed in code.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env); they name the file, the line and the setting, and never show a value.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self> {
        Self::configured(|environment| Config::load(file.as_ref(), environment))
    }

    fn configured(read: impl FnOnce(&Environment) -> Result<Config>) -> Result<Self> {
        let mut builder = Self::new();
        if let Some(problem) = builder.problem.take() {
            return Err(problem);
        }
        if !builder.enabled {
            return Ok(builder);
        }
        let environment = Environment::of_process();
        builder.apply(read(&environment)?, &environment)
    }

    /// Finds all that is wrong with a configuration before anything starts; nothing of the process is asked.
    #[cfg(feature = "yaml")]
    pub(crate) fn checked(config: Config, environment: &Environment) -> Result<()> {
        Self::unless(Ok(false)).apply(config, environment)?.check()
    }

    /// `environment` is what `config` was read with.
    #[cfg_attr(not(feature = "prometheus"), expect(unused_variables))]
    fn apply(self, config: Config, environment: &Environment) -> Result<Self> {
        let Config { attributes, interval, series_idle_for, sampler, keep, thread_attributes, legs } = config;
        let mut builder = self.interval(interval.unwrap_or(INTERVAL));
        builder.base = attributes;
        builder.idle = series_idle_for.unwrap_or(IDLE);
        builder.base_sampler = sampler;
        builder.keep = keep;
        builder.thread_attributes = thread_attributes.unwrap_or(true);
        builder.embedded = legs.is_empty();
        for (leg, mapping, sink) in legs {
            match sink {
                Sink::Exporter(exporter) => {
                    let mapping = Some(mapping).filter(|mapping| !mapping.is_empty());
                    builder = builder.exporter_with(exporter, LegOptions { mapping, ..leg.options()? });
                }
                #[cfg(feature = "prometheus")]
                Sink::Scrape(exporter) => builder.prometheus = Some(exporter),
            }
        }
        #[cfg(feature = "prometheus")]
        if builder.embedded {
            let mut config = PrometheusConfig::default();
            builder.embedded = !config.listen_from_env(environment)?;
            builder.prometheus = Some(PrometheusExporter::new(config)?);
        }
        Ok(builder)
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

    /// Says which traces are sampled, the calls of which are recorded as spans, too. It comes before `OTEL_TRACES_SAMPLER`, and that
    /// before `sampler:` in a file; where none of them says, it is [`Sampler::default`] if an exporter takes spans, and else none are.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = Some(sampler);
        self
    }

    /// Has traces exported that failed or were slow, whatever the sampler decided. A wrong setting is told by [`start`](Self::start).
    pub fn keep(mut self, config: KeepConfig) -> Self {
        self.keep = Some(config);
        self
    }

    /// Says whether spans say which thread their call began on, by OpenTelemetry's `thread.id` and `thread.name`: about 40 bytes of
    /// each (yes).
    pub fn thread_attributes(mut self, wanted: bool) -> Self {
        self.thread_attributes = wanted;
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
        let exporter = AnyExporter::new(exporter);
        let name = options.name.clone().unwrap_or_else(|| exporter.info().name.into_owned());
        self.exporters.push((exporter, name, options));
        self
    }

    /// Serves the metrics to Prometheus. A wrong setting is told by [`start`](Self::start).
    #[cfg(feature = "prometheus")]
    pub fn prometheus(mut self, config: PrometheusConfig) -> Self {
        // Now somebody did ask.
        self.embedded = false;
        match PrometheusExporter::new(config) {
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
        let (base, attributes) = (std::mem::take(&mut self.base), std::mem::take(&mut self.attributes));
        let resource = Arc::new(Resource::layered(base, attributes));
        let sampler = self.sampler.take().or_else(Sampler::from_env).or(self.base_sampler.take());
        let keep = self.keep.is_some();
        record::start();
        let (runtime, missed) = Runtime::start(self, resource).inspect_err(|_| record::stop())?;
        let sampler = sampler.or_else(|| runtime.has_traces().then(Sampler::default));
        record::trace(sampler.as_ref(), keep);
        *current = Some(runtime.clone());
        // A subscriber of the program's may ask for the profiler.
        drop(current);
        if let Some(error) = missed {
            tell!(%error, "going on without a scrape endpoint");
            say(&format!("{error}; going on without it"));
        }
        Ok(Profiler(Some(runtime)))
    }

    fn check(&self) -> Result<()> {
        self.keep.as_ref().map_or(Ok(()), KeepConfig::check)?;
        let mut names = Names::of("exporter");
        for (_, name, options) in &self.exporters {
            options.check().map_err(|error| error.with_context("exporter", name))?;
            names.add(name).map_err(|error| error.with_context("by", "`LegOptions::with_name`"))?;
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
