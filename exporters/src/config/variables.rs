//! What the environment says of exporters: which ones it switches on, whose a variable is, and which are nobody's.

use crate::{
    Error, ErrorKind, Result,
    foreign::tell,
    settings::{Environment, Node, Scope, nearest_after, variable_name},
};
use std::collections::BTreeMap;

/// The variables that belong to no exporter.
const GENERAL: &[&str] =
    &["PROFILING_DISABLED", "PROFILING_EXPORTERS_CONFIG", "PROFILING_SECRETS_DIR", "PROFILING_INTERVAL"];

/// What the names of the variables of an exporter begin with, by its name or its type.
pub(super) fn prefix(name: &str) -> String {
    let name = if name == "opentelemetry" { "otel" } else { name };
    format!("PROFILING_{}_", variable_name(name))
}

/// OpenTelemetry's variables that say where a receiver is, and so that there is one.
const RECEIVERS: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];

/// Whether OpenTelemetry's own variables ask for its exporter.
fn asks_for_otlp(environment: &Environment) -> bool {
    let is_wanted = |variable| environment.lists(variable, "otlp").unwrap_or(true);
    RECEIVERS.iter().any(|variable| environment.get(variable).is_some())
        && (is_wanted("OTEL_TRACES_EXPORTER") || is_wanted("OTEL_METRICS_EXPORTER"))
}

/// The kinds that variables are about: of two that one could be about, the one with the longer name.
pub(super) fn kinds_of_variables<'k>(environment: &Environment, kinds: &[&'k str]) -> Vec<&'k str> {
    let kind_of = |variable: &str| {
        let about = kinds.iter().filter(|kind| variable.starts_with(&prefix(kind)));
        about.max_by_key(|kind| kind.len()).copied()
    };
    let mut found: Vec<_> = environment.names("PROFILING_").filter_map(kind_of).collect();
    if asks_for_otlp(environment) {
        match kinds.iter().find(|kind| **kind == "opentelemetry") {
            Some(kind) => found.push(kind),
            None => tell!(
                "a receiver of OTLP is named by a variable; it needs the feature `opentelemetry` of `exporters`"
            ),
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The exporters of a configuration, as variables call them: one by its name, or by its type where no other is called so or is
/// of that type. Those that a file does not enable are meant only where there is no other.
#[derive(Debug)]
pub(super) struct Addresses {
    /// What the variables of each begin with, by its name and by its type.
    prefixes: Vec<[String; 2]>,
    /// Whom such a beginning could mean.
    meant: BTreeMap<String, Vec<usize>>,
}

impl Addresses {
    pub(super) fn of(entries: &[Node]) -> Self {
        let mut prefixes = Vec::new();
        let mut best = BTreeMap::<String, ((bool, bool), Vec<usize>)>::new();
        for (at, entry) in entries.iter().enumerate() {
            let kind = entry.text("type").unwrap_or_default();
            let both = [entry.text("name").unwrap_or(kind), kind].map(prefix);
            let disabled = entry.text("enabled").is_some_and(|text| text.eq_ignore_ascii_case("false"));
            for (by_type, prefix) in both.iter().enumerate() {
                let rank = (disabled, by_type > 0);
                let (known, meant) = best.entry(prefix.clone()).or_insert_with(|| (rank, Vec::new()));
                if rank < *known {
                    (*known, *meant) = (rank, vec![at]);
                } else if rank == *known {
                    meant.push(at);
                }
            }
            prefixes.push(both);
        }
        Self { prefixes, meant: best.into_iter().map(|(prefix, (_, meant))| (prefix, meant)).collect() }
    }

    /// The variables of one of them.
    pub(super) fn scope(&self, at: usize, environment: &Environment) -> Scope {
        let both = self.prefixes.get(at).into_iter().flatten();
        let mut own: Vec<String> = both
            .filter(|prefix| self.meant.get(*prefix).is_some_and(|meant| *meant == [at]))
            .cloned()
            .collect();
        own.dedup();
        let longer = |prefix: &String| self.meant.range(prefix.clone()..).map(|(other, _)| other.clone());
        let others =
            own.iter().flat_map(|prefix| longer(prefix).take_while(move |other| other.starts_with(prefix)));
        let others = others.filter(|other| !own.contains(other)).collect();
        Scope::of(environment.clone(), own, others)
    }

    /// What a variable begins with, and whom it could mean.
    fn of_variable(&self, variable: &str) -> Option<(&str, &[usize])> {
        let mut starts = variable.rmatch_indices('_').filter_map(|(end, _)| variable.get(..=end));
        starts.find_map(|start| self.meant.get_key_value(start)).map(|(prefix, meant)| (&**prefix, &**meant))
    }

    /// Refuses variables that could mean several.
    pub(super) fn check(&self, environment: &Environment) -> Result<()> {
        for variable in environment.names("PROFILING_") {
            let Some((prefix, meant)) = self.of_variable(variable).filter(|(_, meant)| meant.len() > 1)
            else {
                continue;
            };
            let setting = variable.strip_prefix(prefix).unwrap_or_default();
            let names = meant.iter().filter_map(|at| self.prefixes.get(*at));
            let mut names: Vec<String> = names.map(|[name, _]| format!("{name}{setting}")).collect();
            names.dedup();
            let cure = match &*names {
                [_] => "give each a `name` of its own".to_owned(),
                names => format!("set the one of the exporter that is meant, {}", names.join(" or ")),
            };
            let error = Error::new(
                ErrorKind::ConfigInvalid,
                format!("several exporters could be meant by this variable; {cure}"),
            );
            return Err(error.with_context("variable", variable));
        }
        Ok(())
    }

    /// Refuses variables of exporters that are `running` which none of their settings took: they are most likely misspelt.
    pub(super) fn refuse_unknown(&self, environment: &Environment, running: &[usize]) -> Result<()> {
        for variable in environment.names("PROFILING_") {
            if GENERAL.contains(&variable) && environment.get(variable).is_none() {
                let error = Error::new(ErrorKind::ConfigInvalid, "this variable is not Unicode");
                return Err(error.with_context("variable", variable));
            }
            if environment.is_used(variable) {
                continue;
            }
            match self.of_variable(variable) {
                Some((prefix, meant)) if meant.iter().any(|at| running.contains(at)) => {
                    let known = environment.asked(prefix);
                    let known: Vec<&str> =
                        known.iter().filter_map(|name| name.strip_prefix(prefix)).collect();
                    let hint =
                        nearest_after(prefix, variable.strip_prefix(prefix).unwrap_or_default(), &known);
                    let message = format!("no setting of the exporter has this variable{hint}");
                    return Err(
                        Error::new(ErrorKind::ConfigInvalid, message).with_context("variable", variable)
                    );
                }
                _ => tell!(variable, "nothing takes this variable"),
            }
        }
        Ok(())
    }
}
