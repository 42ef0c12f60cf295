//! The figures as a table, and what the checks said.

use super::{Names, escape, put};
use crate::compare::summary::{Cell, Summary};
use crate::report::table::number;

/// Failed checks and warnings, or that all is well.
pub(super) fn verdicts(summary: &Summary) -> String {
    let mut out = String::new();
    for column in &summary.columns {
        let name = escape(&column.server.name);
        let told = column.failures.iter().map(|failure| ("failed", failure));
        for (class, (text, count)) in
            told.chain(column.warnings.iter().map(|warning| ("warning", warning)))
        {
            let text = escape(text);
            let word = if class == "failed" { "Check failed" } else { "Warning" };
            put(
                &mut out,
                format_args!(
                    "<p class=\"{class}\"><b>{word}</b> {name}: {text} \
                     <small>{count} of {} rounds</small></p>\n",
                    column.rounds
                ),
            );
        }
    }
    let is_clean = summary.columns.iter().all(|column| column.failures.is_empty());
    if is_clean { format!("<p class=\"passed\">All checks passed</p>\n{out}") } else { out }
}

/// A row a figure, a column a server.
pub(super) fn figures(summary: &Summary, names: &Names) -> String {
    let mut out = String::from("<div class=\"wide\"><table><thead><tr><th></th>");
    for column in &summary.columns {
        let (class, name) = (names.class(&column.server.name), escape(&column.server.name));
        put(&mut out, format_args!("<th class=\"{class}\"><i></i>{name}</th>"));
    }
    out += "</tr></thead><tbody>\n";
    for row in &summary.rows {
        let unit = match row.unit.as_str() {
            "" => String::new(),
            unit => format!(" <small>{}</small>", escape(unit)),
        };
        put(&mut out, format_args!("<tr><th>{}{unit}</th>", escape(&row.name)));
        for (at, cell) in row.cells.iter().enumerate() {
            out += &figure(*cell, summary.base == Some(at));
        }
        out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
    if let Some(base) = summary.base {
        let name = escape(&summary.columns[base].server.name);
        put(&mut out, format_args!("<p class=\"quiet\">× is the ratio to {name}</p>\n"));
    }
    out
}

fn figure(cell: Option<Cell>, is_base: bool) -> String {
    let Some(Cell { median, min, max, ratio }) = cell else { return "<td>–</td>".to_owned() };
    let spread = match min < max {
        true => format!("<small>{}–{}</small>", number(min), number(max)),
        false => String::new(),
    };
    let ratio = ratio
        .filter(|_| !is_base)
        .map_or_else(String::new, |ratio| format!("<b class=\"ratio\">{}×</b>", number(ratio)));
    format!("<td>{} {ratio}{spread}</td>", number(median))
}
