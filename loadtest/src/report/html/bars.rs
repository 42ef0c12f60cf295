//! Figures as bars, a server each, with whiskers from the least to the most of the rounds.

use super::{Names, escape, put};
use crate::compare::summary::{Cell, Row, Summary};
use crate::outcome::Better;
use crate::report::table::number;

const WIDTH: f64 = 560.0;
const TOP: f64 = 30.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const NAME: f64 = 118.0;
/// Room for `1,742,942 [1,514,152–1,800,000] 0.725×`.
const VALUE: f64 = 128.0;
/// More panels would hide the ones that matter; the table has them all.
const PANELS_MAX: usize = 3;
/// What is drawn first, where a scenario has it.
const FIRST: [&str; 3] = ["CPU per", "memory per", "lost"];

/// A panel for each of the figures that decide.
pub(super) fn panels(summary: &Summary, names: &Names) -> String {
    let decides = |row: &&Row| row.better != Better::Neither && !row.name.ends_with("growth");
    let mut rows: Vec<&Row> = summary.rows.iter().filter(decides).collect();
    let rank = |row: &Row| FIRST.iter().position(|first| row.name.starts_with(first));
    rows.sort_by_key(|row| rank(row).unwrap_or(FIRST.len()));
    rows.iter().take(PANELS_MAX).map(|row| panel(summary, row, names)).collect()
}

fn panel(summary: &Summary, row: &Row, names: &Names) -> String {
    let most = row.cells.iter().flatten().map(|cell| cell.max).fold(0.0, f64::max);
    let length = |value: f64| match most > 0.0 {
        true => value.max(0.0) / most * (WIDTH - NAME - VALUE),
        false => 0.0,
    };
    let height = TOP + ROW * summary.columns.len() as f64 + 6.0;
    let unit = if row.unit.is_empty() { String::new() } else { format!(", {}", row.unit) };
    let way = match row.better {
        Better::Less => "less is better",
        Better::More | Better::Neither => "more is better",
    };
    let mut letters = row.name.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let title = escape(&format!("{first}{}{unit}", letters.as_str()));
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<figure><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\
             <text class=\"title\" x=\"0\" y=\"16\">{title}</text>\
             <text class=\"tick end\" x=\"{WIDTH}\" y=\"16\">{way}</text>\n"
        ),
    );
    for (at, cell) in row.cells.iter().enumerate() {
        bar(&mut out, (summary, at, *cell), names, &length);
    }
    out + "</svg></figure>\n"
}

/// One server's line of a panel.
fn bar(
    out: &mut String,
    (summary, at, cell): (&Summary, usize, Option<Cell>),
    names: &Names,
    length: &dyn Fn(f64) -> f64,
) {
    let server = &summary.columns[at].server.name;
    let top = TOP + ROW * at as f64 + (ROW - BAR) / 2.0;
    let (name, base, end) = (escape(server), top + BAR - 4.0, NAME - 8.0);
    put(out, format_args!("<text class=\"name end\" x=\"{end}\" y=\"{base:.1}\">{name}</text>"));
    let Some(cell) = cell else {
        put(out, format_args!("<text class=\"tick\" x=\"{NAME}\" y=\"{base:.1}\">–</text>\n"));
        return;
    };
    let [median, min, max] = [cell.median, cell.min, cell.max].map(length);
    let (class, wide) = (names.class(server), median.max(1.0));
    put(
        out,
        format_args!(
            "<rect class=\"bar {class}\" x=\"{NAME}\" y=\"{top:.1}\" width=\"{wide:.1}\" \
             height=\"{BAR}\" rx=\"2\"/>"
        ),
    );
    if max - min > 1.0 {
        let (from, to, middle, high) = (NAME + min, NAME + max, top + BAR / 2.0, top + 4.0);
        put(
            out,
            format_args!(
                "<path class=\"whisker\" \
                 d=\"M{from:.1} {middle:.1}H{to:.1}M{from:.1} {high:.1}v8M{to:.1} {high:.1}v8\"/>"
            ),
        );
    }
    let ratio = cell.ratio.filter(|_| summary.base != Some(at));
    let ratio = ratio.map_or_else(String::new, |ratio| {
        format!(" <tspan class=\"ratio\">{}×</tspan>", number(ratio))
    });
    let (after, value) = (NAME + max.max(median) + 8.0, number(cell.median));
    put(
        out,
        format_args!(
            "<text class=\"value\" x=\"{after:.1}\" y=\"{base:.1}\">{value}{ratio}</text>\n"
        ),
    );
}
