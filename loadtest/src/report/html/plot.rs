//! Lines over an axis, as SVG.

use super::{escape, put};
use crate::report::table::number;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
/// Ticks wanted on an axis; nice steps decide.
const TICKS: f64 = 5.0;

/// A plot.
pub(super) struct Plot {
    title: &'static str,
    x: Axis,
    y: Axis,
    lines: Vec<Line>,
}

/// A server's line.
pub(super) struct Line {
    pub(super) label: String,
    /// Carries its colour.
    pub(super) class: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// How values are laid out along an edge.
pub(super) struct Axis {
    unit: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// From 0.
    Linear,
    Log,
    /// Quantiles, each nine as wide as the one before.
    Percentiles,
}

impl Axis {
    pub(super) fn linear(unit: &'static str) -> Self {
        Self { unit, kind: Kind::Linear }
    }

    pub(super) fn log(unit: &'static str) -> Self {
        Self { unit, kind: Kind::Log }
    }

    pub(super) fn percentiles() -> Self {
        Self { unit: "percentile", kind: Kind::Percentiles }
    }

    /// Where a value lies, before it is stretched to the edge.
    fn place(&self, value: f64) -> f64 {
        match self.kind {
            Kind::Linear => value,
            Kind::Log => value.max(1e-4).log10(),
            Kind::Percentiles => -(1.0 - value).max(1e-7).log10(),
        }
    }

    /// Ticks within the values given: place and text. The first and last are the edge's ends.
    fn ticks(&self, values: impl Iterator<Item = f64>) -> Vec<(f64, String)> {
        let places: Vec<f64> = values.map(|value| self.place(value)).collect();
        let low = places.iter().copied().fold(f64::INFINITY, f64::min);
        let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.kind {
            Kind::Linear => linear_ticks(high),
            Kind::Log => log_ticks(low, high),
            Kind::Percentiles => percentile_ticks(high),
        }
    }
}

fn linear_ticks(high: f64) -> Vec<(f64, String)> {
    let high = if high > 0.0 { high } else { 1.0 };
    let raw = high / TICKS;
    let decade = 10_f64.powf(raw.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|step| step * decade).into_iter().find(|step| *step >= raw);
    let step = step.unwrap_or(raw);
    let count = (high / step).ceil() as u32;
    (0..=count).map(|at| f64::from(at) * step).map(|value| (value, short(value))).collect()
}

fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let decades = high - low;
    let steps: &[f64] = if decades > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all: Vec<f64> = ((low.floor() as i32)..=(high.ceil() as i32))
        .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
        .collect();
    // The nearest tick outside on both sides, and what lies between.
    let first = all.iter().rposition(|tick| tick.log10() <= low + 1e-9).unwrap_or(0);
    let last = all.iter().position(|tick| tick.log10() >= high - 1e-9).unwrap_or(all.len() - 1);
    let last = last.max(first + 1).min(all.len() - 1);
    all[first..=last].iter().map(|value| (value.log10(), short(*value))).collect()
}

fn percentile_ticks(high: f64) -> Vec<(f64, String)> {
    let nines = (high.ceil() as u32).clamp(2, 6);
    let mut ticks = vec![(0.0, "0".to_owned()), (2_f64.log10(), "50".to_owned())];
    ticks.extend((1..=nines).map(|nine| {
        let text = match nine {
            1 => "90".to_owned(),
            2 => "99".to_owned(),
            more => format!("99.{}", "9".repeat(more as usize - 2)),
        };
        (f64::from(nine), text)
    }));
    ticks
}

/// A tick's text, without digits that say nothing.
fn short(value: f64) -> String {
    if value >= 1e6 {
        return format!("{}M", trimmed(value / 1e6));
    }
    if value >= 1e4 { format!("{}k", trimmed(value / 1e3)) } else { trimmed(value) }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Plot {
    pub(super) fn new(title: &'static str, x: Axis, y: Axis) -> Self {
        Self { title, x, y, lines: Vec::new() }
    }

    pub(super) fn line(&mut self, line: Line) {
        if line.points.len() > 1 {
            self.lines.push(line);
        }
    }

    pub(super) fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// The drawing.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x_ticks = self.x.ticks(points().map(|(x, _)| *x));
        let y_ticks = self.y.ticks(points().map(|(_, y)| *y));
        let x = Edge::new(&x_ticks, LEFT, WIDTH - RIGHT);
        let y = Edge::new(&y_ticks, HEIGHT - BOTTOM, TOP);
        let mut out = String::new();
        let title = self.title;
        put(
            &mut out,
            format_args!(
                "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\
                 <text class=\"title\" x=\"0\" y=\"16\">{title}</text>\n"
            ),
        );
        self.axes(&mut out, (&x, &x_ticks), (&y, &y_ticks));
        for line in &self.lines {
            let places = line.points.iter();
            let places = places.map(|(a, b)| (x.at(self.x.place(*a)), y.at(self.y.place(*b))));
            let path: Vec<String> = places.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let highest = line.points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
            put(
                &mut out,
                format_args!(
                    "<polyline class=\"line {}\" points=\"{}\"><title>{}, at most {} {}</title>\
                     </polyline>\n",
                    line.class,
                    path.join(" "),
                    escape(&line.label),
                    number(highest),
                    self.y.unit
                ),
            );
        }
        out + "</svg></figure>\n"
    }

    fn axes(
        &self,
        out: &mut String,
        (x, x_ticks): (&Edge, &[(f64, String)]),
        (y, y_ticks): (&Edge, &[(f64, String)]),
    ) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (place, text) in y_ticks {
            let (at, below) = (y.at(*place), y.at(*place) + 4.0);
            put(
                out,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" \
                     y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                     <text class=\"tick end\" x=\"{:.1}\" y=\"{below:.1}\">{text}</text>\n",
                    LEFT - 8.0
                ),
            );
        }
        for (place, text) in x_ticks {
            let (at, below) = (x.at(*place), bottom + 16.0);
            put(
                out,
                format_args!(
                    "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" \
                     y1=\"{TOP}\" y2=\"{bottom}\"/>\
                     <text class=\"tick middle\" x=\"{at:.1}\" y=\"{below:.1}\">{text}</text>\n"
                ),
            );
        }
        let (x_unit, y_unit) = (self.x.unit, self.y.unit);
        let low = HEIGHT - 6.0;
        put(
            out,
            format_args!(
                "<text class=\"tick end\" x=\"{right}\" y=\"{low}\">{x_unit}</text>\
                 <text class=\"tick end\" x=\"{right}\" y=\"16\">{y_unit}</text>\n"
            ),
        );
    }
}

/// From places to pixels.
struct Edge {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Edge {
    fn new(ticks: &[(f64, String)], from: f64, to: f64) -> Self {
        let low = ticks.first().map_or(0.0, |(place, _)| *place);
        let high = ticks.last().map_or(1.0, |(place, _)| *place);
        Self { low, high, from, to }
    }

    fn at(&self, place: f64) -> f64 {
        let share = (place - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }
}

#[cfg(test)]
mod tests;
