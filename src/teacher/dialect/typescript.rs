//! Tools as gpt-oss was trained to see them: functions of a namespace in TypeScript.

use model::ToolDefinition;
use serde_json::{Map, Value};

/// Deepest nesting of a schema that is spelt out.
const DEPTH_MAX: usize = 4;

/// The namespace `functions` with a type for each tool.
pub(super) fn namespace(tools: &[ToolDefinition]) -> String {
    let mut text = "namespace functions {\n".to_owned();
    for tool in tools {
        text.push('\n');
        comment(&tool.description, &mut text);
        match tool.parameters.get("properties").and_then(Value::as_object).filter(|properties| !properties.is_empty()) {
            Some(properties) => {
                text.push_str(&format!("type {} = (_: {{\n", tool.name));
                members(properties, &tool.parameters, &mut text);
                text.push_str("}) => any;\n");
            }
            None => text.push_str(&format!("type {} = () => any;\n", tool.name)),
        }
    }
    text.push_str("\n} // namespace functions");
    text
}

/// A line for each property: its type, what it is, its default.
fn members(properties: &Map<String, Value>, schema: &Value, text: &mut String) {
    let required: Vec<&str> = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties {
        comment(property.get("description").and_then(Value::as_str).unwrap_or_default(), text);
        let optional = if required.contains(&name.as_str()) { "" } else { "?" };
        let default = property.get("default").map(|default| format!(" // default: {default}")).unwrap_or_default();
        text.push_str(&format!("{name}{optional}: {},{default}\n", type_of(property, 0)));
    }
}

fn comment(described: &str, text: &mut String) {
    for line in described.lines() {
        text.push_str(&format!("// {line}\n"));
    }
}

fn type_of(schema: &Value, depth: usize) -> String {
    if depth == DEPTH_MAX {
        return "any".to_owned();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    let union = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    if let Some(union) = union {
        return union.iter().map(|schema| type_of(schema, depth + 1)).collect::<Vec<_>>().join(" | ");
    }
    match schema.get("type") {
        Some(Value::Array(types)) => {
            types.iter().filter_map(Value::as_str).map(|name| named(name, schema, depth)).collect::<Vec<_>>().join(" | ")
        }
        Some(Value::String(name)) => named(name, schema, depth),
        _ => "any".to_owned(),
    }
}

fn named(name: &str, schema: &Value, depth: usize) -> String {
    match name {
        "string" | "boolean" | "null" => name.to_owned(),
        "integer" | "number" => "number".to_owned(),
        "array" => {
            let element = schema.get("items").map_or_else(|| "any".to_owned(), |items| type_of(items, depth + 1));
            if element.contains(' ') { format!("({element})[]") } else { format!("{element}[]") }
        }
        _ => "object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_argument_has_its_type_what_it_is_and_its_default() {
        let parameters = json!({
            "type": "object",
            "properties": {
                "query": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "description": "What to look for."},
                "topn": {"type": "integer", "default": 10},
                "order": {"enum": ["date", "rank"]},
                "ids": {"type": "array", "items": {"type": ["integer", "null"]}},
            },
            "required": ["query"],
        });
        let search = ToolDefinition { name: "search".into(), description: "Finds pages.\nQuickly.".into(), parameters };
        let stop = ToolDefinition { name: "stop".into(), description: String::new(), parameters: json!({"type": "object"}) };
        assert_eq!(
            namespace(&[search, stop]),
            "namespace functions {\n\n// Finds pages.\n// Quickly.\ntype search = (_: {\n// What to look for.\nquery: string | string[],\n\
             topn?: number, // default: 10\norder?: \"date\" | \"rank\",\nids?: (number | null)[],\n}) => any;\n\ntype stop = () => any;\n\n\
             } // namespace functions"
        );
    }
}
