//! The JSON Schema of the configuration file, made of the types that read it.

use super::{file::General, leg::LegConfig};
use crate::{
    ConditionalConfig, Endpoint, Expression, MultiConfig, Secret,
    routes::settings::{NestedConfig, RouteConfig},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// How many of the kinds that are built in have settings worth describing.
const KINDS: usize = 2
    + cfg!(feature = "file") as usize
    + cfg!(feature = "http") as usize
    + cfg!(feature = "opentelemetry") as usize
    + cfg!(feature = "prometheus") as usize;

/// The JSON Schema (2020-12) of the configuration file, for editors and for checks before a deployment.
///
/// It knows the names that are documented, not their older spellings, and the settings of the kinds that are built in; those of
/// the program's own are any mapping.
pub fn schema() -> String {
    let mut generator = SchemaGenerator::default();
    let kinds: [(&str, Schema); KINDS] = [
        ("conditional", generator.subschema_for::<ConditionalConfig>()),
        ("multi", generator.subschema_for::<MultiConfig>()),
        #[cfg(feature = "file")]
        ("file", generator.subschema_for::<crate::FileConfig>()),
        #[cfg(feature = "http")]
        ("http", generator.subschema_for::<crate::HttpConfig>()),
        #[cfg(feature = "opentelemetry")]
        ("opentelemetry", generator.subschema_for::<crate::OpenTelemetryConfig>()),
        #[cfg(feature = "prometheus")]
        ("prometheus", generator.subschema_for::<crate::prometheus::PrometheusConfig>()),
    ];
    let leg = generator.subschema_for::<LegConfig>();
    let [nested, route] =
        [generator.subschema_for::<NestedConfig>(), generator.subschema_for::<RouteConfig>()];
    let mut root = generator.into_root_schema_for::<General>().to_value();
    // Beside `config:`, of which a leg's own type knows nothing.
    let config_of = |(kind, config): &(&str, Schema)| json!({ "if": { "properties": { "type": { "const": kind } } }, "then": { "properties": { "config": config } } });
    let conditions: Vec<Value> = kinds.iter().map(config_of).collect();
    for entry in [&leg, &nested] {
        let Some(entry) = definition(&mut root, entry) else { continue };
        entry.insert("allOf".into(), conditions.clone().into());
        entry.insert("required".into(), json!(["type"]));
        property(
            entry,
            "config",
            json!({ "description": "The settings of the exporter.", "type": "object" }),
        );
    }
    routes(&mut root, &nested, &route);
    if let Some(root) = root.as_object_mut() {
        root.insert("title".into(), "exporters.yaml".into());
        let list = json!({ "description": "The exporters.", "type": "array", "items": leg });
        property(root, "exporters", list);
    }
    name_secrets(&mut root);
    write_units(&mut root);
    either_place(&mut root);
    // In one order, whether some other crate of the program has `serde_json` keep the order of insertion or not.
    root.sort_all_objects();
    format!("{root:#}\n")
}

/// What `schema` refers to.
fn definition<'a>(root: &'a mut Value, schema: &Schema) -> Option<&'a mut Map<String, Value>> {
    let reference = schema.get("$ref").and_then(Value::as_str)?;
    root.pointer_mut(reference.trim_start_matches('#'))?.as_object_mut()
}

/// The exporters in routes and fallbacks; and the settings of these, which may also stand beside `type:`.
fn routes(root: &mut Value, nested: &Schema, route: &Schema) {
    let list = |items: &Schema, description| json!({ "description": description, "type": "array", "items": items, "minItems": 1 });
    if let Some(route) = definition(root, route) {
        property(route, "exporter", json!(nested));
        route.insert("required".into(), json!(["condition", "exporter"]));
    }
    let Some(definitions) = root.get_mut("$defs").and_then(Value::as_object_mut) else { return };
    if let Some(resilience) = definitions.get_mut("ResilienceConfig").and_then(Value::as_object_mut) {
        property(resilience, "fallback", json!(nested));
    }
    for (name, required, more) in [
        ("MultiConfig", "exporters", vec![("exporters", list(nested, "The exporters."))]),
        (
            "ConditionalConfig",
            "routes",
            vec![("routes", list(route, "Where snapshots go, and when.")), ("otherwise", json!(nested))],
        ),
    ] {
        let Some(config) = definitions.get_mut(name).and_then(Value::as_object_mut) else { continue };
        more.into_iter().for_each(|(name, value)| property(config, name, value));
        config.insert("required".into(), json!([required]));
        let settings = config.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        for entry in ["LegConfig", "NestedConfig"] {
            let Some(entry) = definitions.get_mut(entry).and_then(Value::as_object_mut) else { continue };
            settings.iter().for_each(|(name, value)| property(entry, name, value.clone()));
        }
    }
}

fn property(schema: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(name.into(), value);
    }
}

/// Every secret `x` may also be given as `x_secret`, its name in the secrets directory.
fn name_secrets(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
                let is_secret = |value: &Value| value.to_string().contains("#/$defs/Secret");
                let named: Vec<String> = properties
                    .iter()
                    .filter(|(_, value)| is_secret(value) && value.get("additionalProperties").is_none())
                    .map(|(name, _)| format!("{name}_secret"))
                    .collect();
                for name in named {
                    let description =
                        "The name of this secret: a file in the secrets directory, or a variable.";
                    properties.insert(name, json!({ "description": description, "type": "string" }));
                }
            }
            map.values_mut().for_each(name_secrets);
        }
        Value::Array(list) => list.iter_mut().for_each(name_secrets),
        _ => {}
    }
}

/// Defaults of durations and sizes, as people write them.
fn write_units(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            let is_text = map.get("type").is_some_and(|kind| *kind == "string");
            if let Some(default) = map.get_mut("default").filter(|_| is_text) {
                let of = |name: &str| default.get(name).and_then(Value::as_u64);
                let written = match (of("secs"), of("nanos"), default.as_u64()) {
                    (Some(seconds), Some(0), _) => Some(format!("{seconds}s")),
                    (Some(seconds), Some(nanos), _) => {
                        Some(format!("{}ms", seconds * 1000 + nanos / 1_000_000))
                    }
                    (_, _, Some(bytes)) => Some(format!("{bytes}B")),
                    _ => None,
                };
                written.into_iter().for_each(|written| *default = written.into());
            }
            map.values_mut().for_each(write_units);
        }
        Value::Array(list) => list.iter_mut().for_each(write_units),
        _ => {}
    }
}

/// Settings of a leg may stand among those of its exporter.
fn either_place(root: &mut Value) {
    let Some(definitions) = root.get_mut("$defs").and_then(Value::as_object_mut) else { return };
    let leg = definitions.get("LegConfig").and_then(|leg| leg.get("properties")).cloned().unwrap_or_default();
    for (name, definition) in definitions.iter_mut() {
        if !matches!(name.as_str(), "FileConfig" | "HttpConfig" | "OpenTelemetryConfig" | "PrometheusConfig")
        {
            continue;
        }
        let Some(definition) = definition.as_object_mut() else { continue };
        for name in super::leg::EITHER {
            if let Some(setting) = leg.get(*name) {
                property(definition, name, setting.clone());
            }
        }
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A credential: its text, or the file that it is in.",
            "oneOf": [
                { "type": "string", "minLength": 1 },
                {
                    "type": "object",
                    "properties": { "file": { "type": "string" } },
                    "required": ["file"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

impl JsonSchema for Expression {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A condition over statistics.", "type": "string", "minLength": 1, "maxLength": 4096 })
    }
}

impl JsonSchema for Endpoint {
    fn schema_name() -> Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A URL.", "type": "string", "pattern": "^(https?://|\\$\\{)" })
    }
}

#[cfg(feature = "http")]
impl JsonSchema for crate::HttpMethod {
    fn schema_name() -> Cow<'static, str> {
        "HttpMethod".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A method of HTTP, such as POST or PUT.", "type": "string" })
    }
}
