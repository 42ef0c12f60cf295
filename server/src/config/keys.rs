//! Every key of the configuration, taken from its types: name, default, meaning.
//!
//! `cli` prints them as JSON schema, as the page `docs/configuration.md` and in the help of
//! `serve`; a test compares that page. Never holds a key or a word about one itself: they stand at
//! the fields.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

use super::{Config, ENVIRONMENT_PREFIX};

const PAGE: &str = "\
# Configuration

Every key, as the program knows them. Made by `sheaf config schema --markdown`; `make docs` writes
it anew and a test fails when it is out of date. How the parts work together is in
[operations.md](operations.md).

Flags win over environment variables, those over the file, that over the defaults. The file is TOML,
given with `--config` or `SHEAF_CONFIG`. A key that does not exist is an error, in the file and in
the environment. Lists and tables are written in the environment as in TOML. `[]` stands for each
table of a list, which is written `[[users]]`.

```sh
sheaf config check --config sheaf.toml     # would it start, and what may hurt
sheaf config print --show-origin           # what is in force, and from where
sheaf config schema > sheaf.schema.json    # for editors
```

`SHEAF_CONFIG`, `SHEAF_SERVER`, `SHEAF_TOKEN` and `SHEAF_TOKEN_FILE` are no keys: the first names
the file, the others tell `sheaf doc` and `sheaf status` which server to ask and as whom.
";

const HEAD: &str = "| key | value | default | meaning | environment |\n|---|---|---|---|---|\n";

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// With dots: `limits.connections_max`. A key of each entry of a list of tables has `[]`
    /// behind the list: `users[].name`.
    pub name: String,
    /// `text`, `number`, `yes or no`, `list`, or the words it may be.
    pub kind: String,
    /// As written in TOML; none where leaving it out means something of its own, or it must be
    /// given.
    pub default: Option<String>,
    /// What it is for, one paragraph.
    pub meaning: String,
    /// Whether its value must not be shown.
    pub is_secret: bool,
}

impl Key {
    /// The environment variable that sets it; none for keys inside lists.
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        let is_in_list = self.name.contains("[]");
        (!is_in_list).then(|| Key::variable_of(&self.name))
    }

    /// The variable of a key by its name.
    #[must_use]
    pub fn variable_of(name: &str) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", name.replace('.', "__").to_ascii_uppercase())
    }
}

/// The JSON schema of the configuration file.
#[must_use]
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12();
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<Config>();
    schema.insert("title".to_owned(), "Sheaf configuration".into());
    schema
}

/// The page `docs/configuration.md`.
#[must_use]
pub fn page() -> String {
    let mut page = PAGE.to_owned();
    let keys = all();
    let mut sections: Vec<(&str, String)> = vec![("", String::new())];
    for key in &keys {
        let first = key.name.split(['.', '[']).next().unwrap_or_default();
        let is_alone = keys.iter().all(|it| {
            let rest = it.name.strip_prefix(first);
            !rest.is_some_and(|rest| rest.starts_with(['.', '[']))
        });
        let section = if is_alone { "" } else { first };
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, rows)) => *rows += &row(key),
            None => sections.push((section, row(key))),
        }
    }
    for (name, rows) in sections {
        let title = if name.is_empty() { "The server".to_owned() } else { format!("`{name}`") };
        page += &format!("\n## {title}\n\n{HEAD}{rows}");
    }
    page
}

fn row(key: &Key) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    let code = |text: &String| format!("`{}`", cell(text));
    let default = key.default.as_ref().map_or_else(String::new, code);
    let variable = key.variable().map_or_else(String::new, |variable| format!("`{variable}`"));
    let (kind, meaning) = (cell(&key.kind), cell(&key.meaning));
    format!("| `{}` | {kind} | {default} | {meaning} | {variable} |\n", key.name)
}

/// All keys, in the order of the types.
#[must_use]
pub fn all() -> Vec<Key> {
    let schema = schema().to_value();
    let defaults = serde_json::to_value(Config::default()).unwrap_or(Value::Null);
    let mut keys = Vec::new();
    let walk = Walk { root: &schema };
    walk.table("", &schema, Some(&defaults), &mut keys);
    keys
}

struct Walk<'a> {
    root: &'a Value,
}

impl Walk<'_> {
    /// Adds the keys of a table whose name is `prefix`, with its dot.
    fn table(&self, prefix: &str, table: &Value, defaults: Option<&Value>, keys: &mut Vec<Key>) {
        let Some(properties) = table["properties"].as_object() else { return };
        for (name, property) in properties {
            let meant = self.resolved(property);
            let default = defaults.and_then(|table| table.get(name));
            let default = default.or_else(|| property.get("default"));
            let name = format!("{prefix}{name}");
            if meant["properties"].is_object() {
                self.table(&format!("{name}."), meant, default, keys);
                continue;
            }
            let kind = self.kind(meant);
            let default = default.filter(|value| !value.is_null()).map(written);
            let meaning = [property, meant].iter().find_map(|it| it["description"].as_str());
            let meaning = meaning.map_or_else(String::new, one_line);
            let is_secret = sounds_secret(&name) || property["writeOnly"] == true;
            keys.push(Key { name: name.clone(), kind, default, meaning, is_secret });
            let entry = self.resolved(&meant["items"]);
            self.table(&format!("{name}[]."), entry, None, keys);
        }
    }

    /// The schema that a reference, or the one thing something optional may be, stands for.
    fn resolved<'b>(&'b self, schema: &'b Value) -> &'b Value {
        if let Some(name) = schema["$ref"].as_str() {
            let target = self.root.pointer(name.trim_start_matches('#'));
            return target.map_or(schema, |target| self.resolved(target));
        }
        let variants = schema["anyOf"].as_array().or_else(|| schema["allOf"].as_array());
        let mut real = variants.into_iter().flatten().filter(|it| it["type"] != "null");
        match (real.next(), real.next()) {
            (Some(only), None) => self.resolved(only),
            _ => schema,
        }
    }

    fn kind(&self, schema: &Value) -> String {
        let words = |list: &[Value]| {
            let words = list.iter().filter_map(|it| it.as_str().or_else(|| it["const"].as_str()));
            words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        };
        if let Some(list) = schema["enum"].as_array() {
            return words(list);
        }
        if let Some(list) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            let (words, kinds) = (words(list), list.iter().map(|it| self.kind(self.resolved(it))));
            return if words.is_empty() { kinds.collect::<Vec<_>>().join(" or ") } else { words };
        }
        let named = match &schema["type"] {
            Value::Array(types) => types.iter().find(|it| *it != "null"),
            other => Some(other),
        };
        match named.and_then(Value::as_str) {
            Some("string") => "text",
            Some("integer" | "number") => "number",
            Some("boolean") => "`true` or `false`",
            Some("array") if self.resolved(&schema["items"])["properties"].is_object() => "tables",
            Some("array") => "list",
            Some("object") => "table",
            _ => "any",
        }
        .to_owned()
    }
}

/// A value as TOML writes it inside a line.
fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        Value::Object(table) => inline(table),
        other => other.to_string(),
    }
}

fn inline(table: &Map<String, Value>) -> String {
    let pairs = table.iter().filter(|(_, value)| !value.is_null());
    let pairs = pairs.map(|(name, value)| format!("{name} = {}", written(value)));
    format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
}

/// Whether a key holds a secret by its name: a key that names a file, a time or a size does not.
fn sounds_secret(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name).trim_end_matches("[]");
    let is_about_one = ["_file", "_s", "_ms", "_bytes", "_max", "_header"];
    ["token", "secret", "password", "hs256", "private"].iter().any(|word| last.contains(word))
        && !is_about_one.iter().any(|end| last.ends_with(end))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
