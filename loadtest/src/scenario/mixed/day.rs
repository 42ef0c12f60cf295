//! The day: how many people want to be there at what hour, where they go, what happens to all.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::Plan;
use super::visit::visit;
use crate::bot;
use crate::bot::dialect::Room;
use crate::latency;
use crate::load::Load;
use crate::outcome::{Dialect, Figure};
use crate::people::log::Log;
use crate::target::Target;

/// How many of the busiest hour's people are there at which hour.
const HOURS: [(f64, f64); 11] = [
    (0.0, 0.05),
    (6.0, 0.05),
    (9.0, 0.7),
    (10.5, 1.0),
    (12.5, 0.6),
    (14.5, 1.0),
    (16.5, 0.9),
    (18.0, 0.35),
    (20.0, 0.2),
    (23.0, 0.05),
    (24.0, 0.0),
];
const STORM_HOUR: f64 = 11.0;
const PASTE_HOUR: f64 = 14.0;
/// How often the door is looked after.
const TICK: Duration = Duration::from_millis(20);
/// One in so many types.
const TYPES_EVERY: u32 = 3;
/// A visit's mean length, in hours of the day.
const STAY_HOURS: f64 = 2.0;

/// A document.
pub(super) struct Place {
    pub(super) room: String,
    pub(super) history: Rc<Vec<u8>>,
    /// What each author typed, by client id.
    pub(super) logs: RefCell<HashMap<u64, Rc<RefCell<Log>>>>,
    /// All updates of visitors.
    pub(super) typed: RefCell<Vec<Vec<u8>>>,
}

/// The day while it passes.
pub(super) struct Day {
    pub(super) load: Rc<Load>,
    seconds: f64,
    people: u32,
    pub(super) keys: f64,
    pub(super) paste_bytes: usize,
    /// The most visited first.
    pub(super) places: Vec<Place>,
    pub(super) joins_us: RefCell<Histogram<u64>>,
    pub(super) empty_joins: Cell<u64>,
    pub(super) present: Cell<u32>,
    peak: Cell<u32>,
    visits: Cell<u64>,
    /// How often all connections broke.
    pub(super) storm: watch::Sender<u32>,
    storm_us: Cell<u64>,
    /// Who has come back from the storm so far, and when the last one did.
    pub(super) back: Cell<u64>,
    pub(super) back_us: Cell<u64>,
    /// Set until somebody has pasted.
    pub(super) is_paste_due: Cell<bool>,
    is_over: Cell<bool>,
}

/// How a visitor finds a document.
pub(super) struct Door {
    url: String,
    dialect: Dialect,
}

impl Door {
    pub(super) fn new(target: &Target) -> Self {
        Self { url: target.url.clone(), dialect: target.dialect }
    }

    pub(super) fn room(&self, name: &str) -> anyhow::Result<Room> {
        Room::at(&self.url, self.dialect, name)
    }
}

impl Day {
    pub(super) fn new(plan: &Plan, load: Rc<Load>, histories: &[Rc<Vec<u8>>]) -> Self {
        let name = bot::fresh_name();
        let places = (0..plan.documents as usize).map(|number| Place {
            room: format!("{name}-{number}"),
            history: Rc::clone(&histories[number % histories.len()]),
            logs: RefCell::default(),
            typed: RefCell::default(),
        });
        Self {
            load,
            seconds: plan.seconds,
            people: plan.people,
            keys: plan.keys,
            paste_bytes: plan.paste as usize * 1_000,
            places: places.collect(),
            joins_us: RefCell::new(latency::histogram()),
            empty_joins: Cell::new(0),
            present: Cell::new(0),
            peak: Cell::new(0),
            visits: Cell::new(0),
            storm: watch::Sender::new(0),
            storm_us: Cell::new(0),
            back: Cell::new(0),
            back_us: Cell::new(0),
            is_paste_due: Cell::new(false),
            is_over: Cell::new(false),
        }
    }

    /// Whether everybody has gone home.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Midnight.
    pub(super) fn end_us(&self) -> u64 {
        (self.seconds * 1e6) as u64
    }

    fn hour(&self) -> f64 {
        self.load.now_us() as f64 / 1e6 / self.seconds * 24.0
    }

    /// Joins, visits, the storm.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let joins = self.joins_us.borrow();
        let ms = |quantile| joins.value_at_quantile(quantile) as f64 / 1e3;
        let storm_ms = self.back_us.get().saturating_sub(self.storm_us.get()) as f64 / 1e3;
        vec![
            Figure::neither("visits", "", self.visits.get() as f64),
            Figure::neither("people at once, peak", "", f64::from(self.peak.get())),
            Figure::less("join p50", "ms", ms(0.5)),
            Figure::less("join p99", "ms", ms(0.99)),
            Figure::neither("came back after the storm", "", self.back.get() as f64),
            Figure::less("all back after", "ms", storm_ms),
        ]
    }
}

/// Lets the day pass: lets people in, breaks their connections, sends them home.
pub(super) async fn run(day: Rc<Day>, door: Rc<Door>) {
    let mut random = SmallRng::seed_from_u64(rand::random());
    let mut visits = JoinSet::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_calm, mut is_unpasted) = (true, true);
    loop {
        tick.tick().await;
        while visits.try_join_next().is_some() {}
        let hour = day.hour();
        if hour >= 24.0 {
            break;
        }
        if is_calm && hour >= STORM_HOUR {
            is_calm = false;
            day.storm_us.set(day.load.now_us());
            day.storm.send_modify(|count| *count += 1);
        }
        if is_unpasted && hour >= PASTE_HOUR {
            is_unpasted = false;
            day.is_paste_due.set(true);
        }
        let wanted = (wanted(hour) * f64::from(day.people)) as u32;
        for _ in day.present.get()..wanted {
            // Squared: a few documents have most of the visitors.
            let share = random.random::<f64>().powi(2);
            let place = (share * day.places.len() as f64) as usize;
            let stay_h = -STAY_HOURS * (1.0 - random.random::<f64>()).ln();
            let stay_us = (stay_h / 24.0 * day.seconds * 1e6) as u64;
            let types = random.random_range(0..TYPES_EVERY) == 0;
            day.present.set(day.present.get() + 1);
            day.visits.set(day.visits.get() + 1);
            let (day, door) = (Rc::clone(&day), Rc::clone(&door));
            visits.spawn_local(visit(day, door, (place, stay_us, types)));
        }
        day.peak.set(day.peak.get().max(day.present.get()));
    }
    while visits.join_next().await.is_some() {}
    day.is_over.set(true);
}

/// The share of the busiest hour's people who want to be there.
pub(super) fn wanted(hour: f64) -> f64 {
    let at = HOURS.iter().rposition(|(begin, _)| *begin <= hour).unwrap_or(0);
    let (from, low) = HOURS[at];
    let Some((to, high)) = HOURS.get(at + 1) else { return low };
    low + (high - low) * (hour - from) / (to - from)
}
