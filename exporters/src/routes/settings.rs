//! Routes from a configuration: `type: multi` and `type: conditional`, with the exporters in them.

use super::{ConditionalConfig, ConditionalExporter, Expression, MultiConfig, MultiExporter};
use crate::{
    AnyExporter, Error, ErrorKind, ProfileMetrics, Result, Settings,
    backends::KINDS,
    config::scope_within,
    exporter::factory::Kinds,
    settings::{Node, Origin, Scope, Value, Wrong},
};
use serde::{Deserialize, de::IgnoredAny};

const MULTI: &[&str] = &[
    "exporters",
    "strategy",
    "failure_policy",
    "min_success_count",
    "max_concurrent_exports",
    "export_timeout",
    "export_timeout_seconds",
];
const CONDITIONAL: &[&str] =
    &["routes", "otherwise", "match", "max_concurrent_exports", "export_timeout", "export_timeout_seconds"];

/// An exporter in a route, but for its settings.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NestedConfig {
    /// What it is called; the type, if absent. Its variables are called so, too.
    #[serde(default)]
    name: Option<String>,
    /// The kind of exporter.
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "config")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    _config: Option<IgnoredAny>,
}

/// A route of a `conditional`.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteConfig {
    /// When a snapshot goes to the exporter, for example `error_rate > 0.05 and function == "checkout::charge"`.
    condition: Expression,
    /// What that means, for people.
    #[serde(default)]
    description: Option<String>,
    #[serde(default, rename = "exporter")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    _exporter: Option<IgnoredAny>,
}

/// The settings of an entry's exporter of `kind`, and where they stand: in `config:`; those of a route without one beside its `type`.
pub(crate) fn config_of(kind: &str, entry: &mut Node, path: &str) -> (Node, String) {
    let beside = match kind {
        "multi" => MULTI,
        "conditional" => CONDITIONAL,
        _ => &[],
    };
    let origin = entry.origin.clone();
    match entry.take("config") {
        Some((_, config)) => (config, format!("{path}.config")),
        None if beside.is_empty() => (Node::empty(origin), format!("{path}.config")),
        None => {
            let settings = beside.iter().filter_map(|name| entry.take(name)).collect();
            (Node { value: Value::Map(settings), origin }, path.to_owned())
        }
    }
}

pub(crate) fn multi(mut settings: Settings) -> Result<AnyExporter> {
    let exporters = list(&mut settings, "exporters", "exporters")?;
    let exporters = exporters.into_iter().map(|(path, entry)| exporter(entry, &path, &settings.scope));
    let exporters = exporters.collect::<Result<Vec<_>>>()?;
    let (path, origin) = (settings.path.clone(), settings.node.origin.clone());
    let made = MultiExporter::new(settings.read::<MultiConfig>()?, exporters);
    made.map(AnyExporter::new).map_err(|error| error.placed(&path, origin.place()))
}

pub(crate) fn conditional(mut settings: Settings) -> Result<AnyExporter> {
    let routes = list(&mut settings, "routes", "routes")?;
    let scope = settings.scope.clone();
    let mut builder = ConditionalExporter::builder();
    for (path, mut route) in routes {
        let given = required(&mut route, "exporter", &path)?;
        let exporter = exporter(given, &within(&path, "exporter"), &scope)?;
        let RouteConfig { condition, description, .. } =
            Settings { node: route, path, scope: scope.without_variables() }.read()?;
        let description = description.unwrap_or_else(|| condition.to_string());
        builder =
            builder.route(description, move |metrics: &ProfileMetrics| condition.holds(metrics), exporter);
    }
    if let Some((_, entry)) = settings.node.take("otherwise") {
        builder = builder.otherwise(exporter(entry, &within(&settings.path, "otherwise"), &scope)?);
    }
    let (path, origin) = (settings.path.clone(), settings.node.origin.clone());
    let made = builder.config(settings.read::<ConditionalConfig>()?).build();
    made.map(AnyExporter::new).map_err(|error| error.placed(&path, origin.place()))
}

/// The exporter that an entry describes; its variables begin with its name, or, without one, with its kind.
pub(crate) fn exporter(mut entry: Node, path: &str, route: &Scope) -> Result<AnyExporter> {
    let origin = entry.origin.clone();
    if !matches!(entry.value, Value::Map(_)) {
        let message = format!("expected an exporter, `type:` and its settings, found {}", entry.kind());
        return Err(Wrong::new(message).at(&origin).into_error(path));
    }
    let kind_origin = entry.origins().remove("type").unwrap_or_else(|| origin.clone());
    let kind = entry.text("type").unwrap_or_default().to_owned();
    let (config, config_path) = config_of(&kind, &mut entry, path);
    let NestedConfig { name, kind, .. } =
        Settings { node: entry, path: path.to_owned(), scope: route.without_variables() }.read()?;
    let placed = |error: Error, path: &str, origin: &Origin| error.placed(path, origin.place());
    if kind == "prometheus" {
        let message =
            "this kind is scraped, not sent to, so that it cannot be in a route; put it beside that";
        return Err(placed(
            Error::new(ErrorKind::ConfigInvalid, message),
            &within(path, "type"),
            &kind_origin,
        ));
    }
    let found = Kinds::registered(KINDS).and_then(|kinds| kinds.find(&kind));
    let registration = found.map_err(|error| placed(error, &within(path, "type"), &kind_origin))?;
    let scope = scope_within(route, name.as_deref().unwrap_or(&kind));
    let origin = config.origin.clone();
    let settings = Settings { node: config, path: config_path.clone(), scope };
    let exporter = registration.build(settings).map_err(|error| placed(error, &config_path, &origin))?;
    Ok(match name {
        Some(name) => exporter.with_name(name),
        None => exporter,
    })
}

/// The entries of a list, each with its path.
fn list(settings: &mut Settings, name: &str, of: &str) -> Result<Vec<(String, Node)>> {
    let node = required(&mut settings.node, name, &settings.path)?;
    let path = within(&settings.path, name);
    match node.value {
        Value::List(list) => {
            Ok(list.into_iter().enumerate().map(|(at, node)| (format!("{path}[{at}]"), node)).collect())
        }
        _ => {
            let message = format!("expected a list of {of}, found {}", node.kind());
            Err(Wrong::new(message).at(&node.origin).into_error(&path))
        }
    }
}

fn required(node: &mut Node, name: &str, path: &str) -> Result<Node> {
    let origin = node.origin.clone();
    let missing = || Wrong::new("this setting is required").within(name).at(&origin).into_error(path);
    node.take(name).map(|(_, node)| node).ok_or_else(missing)
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
#[cfg(feature = "yaml")]
mod tests {
    use super::*;
    use crate::{
        Exporter,
        config::{Config, Sink},
        layers::script::{batch, paused},
        settings::Environment,
    };

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<AnyExporter> {
        let environment: Environment =
            variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let mut config = Config::parse(text, "r.yaml", &environment)?;
        match config.legs.pop() {
            Some((.., Sink::Exporter(exporter))) => Ok(exporter),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn routes_are_made_of_what_stands_beside_their_type_or_in_config() {
        let settings = "strategy: sequential, min_success_count: 2, export_timeout_seconds: 5, exporters: [{ type: memory, name: near, \
                        config: { capacity: 3 } }, { type: multi, config: { exporters: [{ type: memory }] } }]";
        for text in [
            format!("exporters: [{{ type: multi, flush_interval: 1s, {settings} }}]"),
            format!("exporters: [{{ type: multi, config: {{ flush_interval: 1s, {settings} }} }}]"),
        ] {
            let exporter =
                load(&text, &[("PROFILING_MULTI_STRATEGY", "parallel"), ("PROFILING_NEAR_CAPACITY", "7")])
                    .unwrap();
            let shown = format!("{exporter:?}");
            for part in [
                "strategy: Parallel",
                "min_success_count: 2",
                "export_timeout: 5s",
                "capacity: 7",
                "capacity: 1024",
            ] {
                assert!(shown.contains(part), "{shown} lacks {part:?}");
            }
            paused(async move {
                let receipt = exporter.export(batch(3)).await.unwrap();
                let names: Vec<_> = receipt.parts.iter().map(|(info, _)| (info.kind, &*info.name)).collect();
                assert_eq!((receipt.accepted, &*names), (3, &[("memory", "near"), ("multi", "multi")][..]));
            });
        }
    }

    #[test]
    fn conditions_decide() {
        let text = "
exporters:
- type: conditional
  match: first
  routes:
  - { condition: interval_seconds > 1, description: long, exporter: { type: memory, name: long } }
  - condition: not total_calls > 5 and interval_seconds <= 1
    exporter: { type: memory, name: never }
  - { condition: interval_seconds == 1, exporter: { type: memory, name: second } }
  otherwise: { type: memory, name: rest }
";
        let exporter = load(text, &[]).unwrap();
        let shown = format!("{exporter:?}");
        let routes = r#"["long", "not total_calls > 5 and interval_seconds <= 1", "interval_seconds == 1"]"#;
        assert!(shown.contains(routes) && shown.contains("First"), "{shown}");
        paused(async move {
            let receipt = exporter.export(batch(3)).await.unwrap();
            assert_eq!((receipt.accepted, receipt.parts.len(), &*receipt.parts[0].0.name), (3, 1, "second"));
        });
    }

    #[test]
    fn variables_of_those_within_begin_with_their_names() {
        let text =
            "exporters: [{ type: multi, exporters: [{ type: in-test, name: far }, { type: in-test }] }]";
        let token = |name| (name, "hunter2");
        let variables = [
            ("PROFILING_FAR_ENDPOINT", "http://far/"),
            token("PROFILING_FAR_TOKEN"),
            ("PROFILING_IN_TEST_ENDPOINT", "http://other/"),
            token("PROFILING_IN_TEST_TOKEN"),
        ];
        let shown = format!("{:?}", load(text, &variables).unwrap());
        for part in ["http://far/", "http://other/"] {
            assert_eq!(shown.matches(part).count(), 1, "{shown}");
        }
        let error = load(text, &variables[1..]).unwrap_err().to_string();
        assert!(
            error.contains("setting: exporters[0].exporters[0].config.endpoint, in: r.yaml:1"),
            "{error}"
        );
    }

    /// Routes within each other.
    fn nested(depth: usize) -> String {
        let (open, close) = ("{ type: multi, exporters: [".repeat(depth), "] }".repeat(depth));
        format!("exporters: [{open}{{ type: memory }}{close}]")
    }

    #[test]
    fn routes_may_be_as_deep_as_a_file() {
        let exporter = load(&nested(30), &[]).unwrap();
        paused(async move { assert_eq!(exporter.export(batch(3)).await.unwrap().accepted, 3) });
    }

    #[test]
    fn what_is_wrong_names_its_place() {
        let routes = |routes: &str| {
            format!("exporters:\n- type: memory\n- type: conditional\n  routes:\n  - {routes}")
        };
        for (text, parts) in [
            (
                "exporters: [{ type: multi }]",
                &["this setting is required", "setting: exporters[0].exporters", "r.yaml:1"][..],
            ),
            (
                "exporters: [{ type: multi, exporters: hunter2 }]",
                &["a list of exporters, found text", "exporters[0].exporters"],
            ),
            (
                "exporters: [{ type: multi, exporters: [hunter2] }]",
                &["expected an exporter", "exporters[0].exporters[0]"],
            ),
            (
                "exporters: [{ type: multi, exporters: [] }]",
                &["at least one exporter", "setting: exporters[0]", "r.yaml:1"],
            ),
            (
                "exporters: [{ type: multi, min_success_count: 2,\n exporters: [{ type: memory }] }]",
                &["`min_success_count` must be from 1", "setting: exporters[0]", "r.yaml:1"],
            ),
            (
                "exporters: [{ type: multi, exporters: [{ name: a }] }]",
                &["required", "exporters[0].exporters[0].type"],
            ),
            (
                "exporters: [{ type: multi, exporters: [{ type: memory },\n { type: memroy }] }]",
                &["did you mean `memory`?", "setting: exporters[0].exporters[1].type", "r.yaml:2"],
            ),
            (
                "exporters: [{ type: multi, exporters: [{ type: memory, config: { capacty: 5 } }] }]",
                &["did you mean `capacity`?", "setting: exporters[0].exporters[0].config.capacty"],
            ),
            (
                "exporters: [{ type: multi, exporters: [{ type: memory, flush_interval: 5s }] }]",
                &["there is no setting of this name", "setting: exporters[0].exporters[0].flush_interval"],
            ),
            (
                "exporters: [{ type: multi, config: { stratgy: parallel, exporters: [{ type: memory }] } }]",
                &["did you mean `strategy`?"],
            ),
            (
                "exporters: [{ type: multi, stratgy: parallel }]",
                &["there is no setting of this name", "exporters[0].stratgy"],
            ),
            (
                "exporters: [{ type: multi, strategy: all, exporters: [{ type: memory }] }]",
                &["parallel, sequential, failover", "[0].strategy"],
            ),
            (
                "exporters: [{ type: multi, exporters: [{ type: prometheus }] }]",
                &["is scraped, not sent to", "exporters[0].exporters[0].type"],
            ),
            (
                &routes("{ exporter: { type: memory } }"),
                &["required", "setting: exporters[1].routes[0].condition", "r.yaml:5"],
            ),
            (
                &routes("{ condition: 1 < 2 }"),
                &["required", "setting: exporters[1].routes[0].exporter", "r.yaml:5"],
            ),
            (
                &routes("exporter: { type: memory }\n    condition: error_rate > hunter2"),
                &[
                    "column 14: there is no statistic of this name",
                    "setting: exporters[1].routes[0].condition",
                    "r.yaml:6",
                ],
            ),
            (
                &routes("{ condition: 1 < 2, exporter: { type: memory, config: { capacity: x } } }"),
                &["expected usize", "exporters[1].routes[0].exporter.config.capacity"],
            ),
            (
                &routes("{ conditoin: 1 < 2, exporter: { type: memory } }"),
                &["did you mean `condition`?", "routes[0].conditoin"],
            ),
            (
                "exporters: [{ type: conditional, routes: [], otherwise: { type: memory } }]",
                &["`routes` is empty", "exporters[0]"],
            ),
            (
                "exporters: [{ type: conditional, metrics_mapping: { error_rate: {} }, routes: [{ condition: 1 < 2, exporter: { type: memory } }] }]",
                &["would hide from the conditions", "exporters[0].metrics_mapping"],
            ),
            (&nested(40), &["recursion limit exceeded", "r.yaml:1"]),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            let error = error.to_string();
            assert!(!error.contains("hunter2"), "{error}");
            for part in parts {
                assert!(error.contains(part), "{text}: {error} lacks {part:?}");
            }
        }
        let error = AnyExporter::of_kind("multi", Settings::from_env("NOTHING")).unwrap_err().to_string();
        assert!(error.contains("required") && error.contains("setting: exporters"), "{error}");
    }
}
