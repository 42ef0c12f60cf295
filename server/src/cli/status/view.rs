//! What the figures of a server look like.
//!
//! Used by `status`. Never asks the server: it is shown what was answered.

use std::io;
use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Sparkline};

use super::Error;
use crate::http::status::Status;

/// How long a key may wait until it is seen.
pub(super) const KEY_INTERVAL: Duration = Duration::from_millis(50);
/// Rates kept for the curves; wider terminals are rare.
const CURVE_MAX: usize = 240;

/// Per second, between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    bytes_in: u64,
    bytes_out: u64,
    messages_in: u64,
    messages_out: u64,
    updates: u64,
}

impl Rates {
    /// None across a restart, which begins to count anew.
    fn between(before: &Status, now: &Status) -> Option<Rates> {
        let passed_ms = now.uptime_ms.checked_sub(before.uptime_ms).filter(|ms| *ms > 0)?;
        if before.started_ms != now.started_ms {
            return None;
        }
        let per_s = |before: u64, now: u64| now.saturating_sub(before) * 1000 / passed_ms;
        let (was, is) = (&before.traffic, &now.traffic);
        Some(Rates {
            bytes_in: per_s(was.bytes_in_total, is.bytes_in_total),
            bytes_out: per_s(was.bytes_out_total, is.bytes_out_total),
            messages_in: per_s(was.messages_in_total, is.messages_in_total),
            messages_out: per_s(was.messages_out_total, is.messages_out_total),
            updates: per_s(was.updates_total, is.updates_total),
        })
    }
}

/// What is on the screen.
pub(super) struct View {
    server: String,
    status: Status,
    rates: Option<Rates>,
    updates: Vec<u64>,
    bytes_out: Vec<u64>,
    lost: Option<String>,
    is_coloured: bool,
}

impl View {
    pub(super) fn new(server: &str, status: Status) -> View {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        View {
            server: server.to_owned(),
            status,
            rates: None,
            updates: Vec::new(),
            bytes_out: Vec::new(),
            lost: None,
            is_coloured: !no_color,
        }
    }

    /// The next answer.
    pub(super) fn show(&mut self, status: Status) {
        self.rates = Rates::between(&self.status, &status);
        let rates = self.rates.unwrap_or_default();
        for (curve, rate) in
            [(&mut self.updates, rates.updates), (&mut self.bytes_out, rates.bytes_out)]
        {
            curve.push(rate);
            if curve.len() > CURVE_MAX {
                curve.remove(0);
            }
        }
        self.status = status;
        self.lost = None;
    }

    /// There was no answer.
    pub(super) fn lose(&mut self, error: &Error) {
        self.lost = Some(error.to_string());
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let rows = rows(&self.status, self.rates.as_ref());
        let height = rows.len() as u16;
        let parts = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(height + 1),
            Constraint::Length(5),
            Constraint::Length(5),
            Constraint::Fill(1),
            Constraint::Length(1),
        ]);
        let [head, figures, updates, bytes, _, foot] = parts.areas(frame.area());
        let (state, color) = match &self.lost {
            Some(lost) => (lost.clone(), Color::Red),
            None if self.status.ready => (verdict(&self.status), Color::Green),
            None => (verdict(&self.status), Color::Red),
        };
        let server = Span::raw(format!("{}  ", self.server)).bold();
        let head_line = Line::from(vec![server, Span::styled(state, self.style(color))]);
        frame.render_widget(Paragraph::new(head_line), head);
        let lines: Vec<Line<'_>> = rows
            .iter()
            .map(|(label, value)| {
                Line::from(vec![Span::raw(format!("{label:<11} ")).dim(), Span::raw(value)])
            })
            .collect();
        frame.render_widget(Paragraph::new(lines), figures);
        self.curve(frame, updates, "updates a second", &self.updates);
        self.curve(frame, bytes, "bytes out a second", &self.bytes_out);
        frame.render_widget(Paragraph::new("q ends").dim(), foot);
    }

    /// The latest rates that fit, the newest on the right.
    fn curve(&self, frame: &mut Frame<'_>, area: ratatui::layout::Rect, what: &str, all: &[u64]) {
        let width = usize::from(area.width);
        let recent = &all[all.len().saturating_sub(width)..];
        let most = recent.iter().max().copied().unwrap_or_default();
        let block = Block::new().title(format!("{what}, at most {}", grouped(most)).dim());
        let curve = Sparkline::default().block(block).data(recent).style(self.style(Color::Cyan));
        frame.render_widget(curve, area);
    }

    fn style(&self, color: Color) -> Style {
        if self.is_coloured { Style::new().fg(color) } else { Style::new() }
    }
}

/// Whether the user wants to leave. Takes what keys are there without waiting.
pub(super) fn is_quit() -> io::Result<bool> {
    while event::poll(Duration::ZERO)? {
        let Event::Key(key) = event::read()? else { continue };
        let is_interrupt =
            key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// In a few words.
pub(super) fn verdict(status: &Status) -> String {
    let up = duration(status.uptime_ms / 1000);
    match &status.not_ready {
        None => format!("ready, version {}, up {up}", status.version),
        Some(why) => format!("NOT READY: {why}; version {}, up {up}", status.version),
    }
}

/// Label and value of each line.
pub(super) fn rows(status: &Status, rates: Option<&Rates>) -> Vec<(&'static str, String)> {
    let Status { sessions, documents, traffic, journal, disk, memory, .. } = status;
    let way = |now: Option<(u64, u64)>, bytes: u64, messages: u64| {
        let now = now.map(|(bytes, messages)| {
            format!("{}/s, {} messages/s; ", size(bytes), grouped(messages))
        });
        let (now, messages) = (now.unwrap_or_default(), grouped(messages));
        format!("{now}{} and {messages} messages since the start", size(bytes))
    };
    let per_s = rates.map(|rates| format!("{}/s; ", grouped(rates.updates))).unwrap_or_default();
    let read_only = if journal.is_read_only { "; READ-ONLY" } else { "" };
    let of = |total: Option<u64>| total.map(|it| format!(" of {}", size(it))).unwrap_or_default();
    let free = disk.free_bytes.map(|free| format!("; {} free", size(free))).unwrap_or_default();
    vec![
        (
            "sessions",
            format!(
                "{} open, {} since the start; {} of {} connections",
                grouped(sessions.open),
                grouped(sessions.opened_total),
                grouped(sessions.connections),
                grouped(sessions.connections_max)
            ),
        ),
        (
            "documents",
            format!(
                "{} in memory, {} of {}; {} people present",
                grouped(documents.loaded),
                size(documents.bytes),
                size(documents.bytes_max),
                grouped(documents.present)
            ),
        ),
        ("updates", format!("{per_s}{} since the start", grouped(traffic.updates_total))),
        (
            "in",
            way(
                rates.map(|it| (it.bytes_in, it.messages_in)),
                traffic.bytes_in_total,
                traffic.messages_in_total,
            ),
        ),
        (
            "out",
            way(
                rates.map(|it| (it.bytes_out, it.messages_out)),
                traffic.bytes_out_total,
                traffic.messages_out_total,
            ),
        ),
        (
            "lag",
            format!(
                "{} not yet durable, {} not yet folded{read_only}",
                size(journal.written.saturating_sub(journal.durable)),
                size(journal.durable.saturating_sub(journal.folded))
            ),
        ),
        ("disk", format!("{} kept{free}{}", size(disk.data_bytes), of(disk.total_bytes))),
        ("memory", memory.resident_bytes.map_or_else(|| "unknown".to_owned(), size)),
    ]
}

/// `12 345`, with narrow spaces left out of terminals that may not have them.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let step = (bytes.ilog2() / 10).min(4);
    let value = bytes as f64 / f64::from(1024_u32).powi(step as i32);
    format!("{value:.1} {}", units[step as usize - 1])
}

fn duration(s: u64) -> String {
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests;
