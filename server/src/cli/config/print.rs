//! The effective configuration as TOML, and where each value comes from.
//!
//! Used by `cli::config`. Never shows a secret, whatever type holds it.

use std::fmt::Write;
use std::path::Path;

use toml::{Table, Value};

use super::paint;
use crate::config::keys::{self, Key};
use crate::config::{Config, Sources};

/// Stands for a secret.
const HIDDEN: &str = "…";

/// The whole configuration, defaults filled in. Reads as a configuration file, except for secrets.
pub(super) fn text(sources: &Sources, has_origins: bool) -> anyhow::Result<String> {
    let mut config = Config::load(sources)?;
    config.data = config.data_dir().ok();
    if config.listen.is_none() {
        config.listen = Some(config.addresses());
    }
    let mut table = Table::try_from(&config)?;
    let keys = keys::all();
    hide(&mut table, "", &keys);
    let origins = has_origins.then(|| Origins::new(sources)).transpose()?;
    let mut out = String::new();
    write_table(&mut out, "", &table, origins.as_ref());
    Ok(out)
}

/// Where values come from.
struct Origins<'a> {
    sources: &'a Sources,
    file: Table,
}

impl<'a> Origins<'a> {
    fn new(sources: &'a Sources) -> anyhow::Result<Origins<'a>> {
        let read = |path: &Path| std::fs::read_to_string(path);
        let text = sources.file.as_deref().map(read).transpose()?.unwrap_or_default();
        Ok(Origins { sources, file: text.parse()? })
    }

    /// As flags win over variables, those over the file.
    fn of(&self, key: &str) -> String {
        let Sources { flags, environment, file } = self.sources;
        if flags.iter().any(|(flag, _)| *flag == key) {
            return "flag".to_owned();
        }
        let variable = Key::variable_of(key);
        if environment.iter().any(|(name, _)| name.eq_ignore_ascii_case(&variable)) {
            return variable;
        }
        let mut parts = key.split('.');
        let first = parts.next().and_then(|part| self.file.get(part));
        match (parts.try_fold(first, |at, part| Some(at?.get(part))), file) {
            (Some(Some(_)), Some(file)) => file.display().to_string(),
            _ => "default".to_owned(),
        }
    }
}

/// Puts [`HIDDEN`] where a secret is: in keys that their schema marks as such, or that sound so.
fn hide(table: &mut Table, prefix: &str, keys: &[Key]) {
    for (name, value) in table.iter_mut() {
        let name = format!("{prefix}{name}");
        let is_secret = keys.iter().any(|key| key.name == name && key.is_secret);
        match value {
            Value::Table(inner) if !is_secret => hide(inner, &format!("{name}."), keys),
            Value::Array(list) if !is_secret => {
                let tables = list.iter_mut().filter_map(Value::as_table_mut);
                tables.for_each(|inner| hide(inner, &format!("{name}[]."), keys));
            }
            Value::String(text) if !is_secret => hide_userinfo(text),
            secret if is_secret => *secret = HIDDEN.into(),
            _ => {}
        }
    }
}

/// `https://name:password@host` becomes `https://…@host`.
fn hide_userinfo(text: &mut String) {
    let Some(start) = text.find("://").map(|at| at + 3) else { return };
    let end = text[start..].find('/').map_or(text.len(), |at| start + at);
    if let Some(at) = text[start..end].rfind('@') {
        text.replace_range(start..start + at, HIDDEN);
    }
}

/// Values first, then tables, as TOML wants it.
fn write_table(out: &mut String, prefix: &str, table: &Table, origins: Option<&Origins<'_>>) {
    let is_list_of_tables = |value: &Value| {
        value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_table))
    };
    let is_value = |value: &Value| !value.is_table() && !is_list_of_tables(value);
    let mut line = |key: &str, text: String| {
        let key = format!("{prefix}{key}");
        let origin = origins.map(|origins| paint::faint(&format!("  # {}", origins.of(&key))));
        let _ = writeln!(out, "{text}{}", origin.unwrap_or_default());
    };
    for (name, value) in table.iter().filter(|(_, value)| is_value(value)) {
        line(name, format!("{name} = {value}"));
    }
    for (name, value) in table.iter().filter(|(_, value)| is_list_of_tables(value)) {
        for entry in value.as_array().into_iter().flatten() {
            line(name, format!("\n[[{prefix}{name}]]"));
            for (inner, value) in entry.as_table().into_iter().flatten() {
                line(name, format!("{inner} = {value}"));
            }
        }
    }
    for (name, inner) in table.iter().filter_map(|(name, it)| Some((name, it.as_table()?))) {
        let _ = writeln!(out, "\n[{prefix}{name}]");
        write_table(out, &format!("{prefix}{name}."), inner, origins);
    }
}

#[cfg(test)]
mod tests;
