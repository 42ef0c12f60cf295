//! The durable scenario: the server is killed between deliveries; what had been delivered or
//! acknowledged, and is gone?

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use sheaf_protocol::varint::Reader;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bot::account::Seen;
use crate::bot::dialect::Heard;
use crate::bot::{self, Bot, Joined, replica};
use crate::edits::token::Token;
use crate::edits::{Edits, Kind};
use crate::load::{Load, Span};
use crate::outcome::{Check, Figure, Outcome};
use crate::pace::Alarm;
use crate::progress::Progress;
use crate::target::Target;

/// Time for the answers to the opening.
const OPENING: Duration = Duration::from_millis(300);
/// Time to read what a dead server has sent.
const READ_TIME_MAX: Duration = Duration::from_secs(2);

/// Two editors write, the server is killed (SIGKILL) at a random moment and started again on the
/// same data, and a new client looks what is there. Needs a server that the rig starts.
///
/// Counted are edits that another client had received before the kill, and edits that the server
/// had acknowledged (Hocuspocus by itself, Y-Sweet and Sheaf when asked by message 102), and that
/// the new client is not shown: in the first answer, and within 1.5 seconds.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Updates a second, both editors together.
    #[arg(long, default_value_t = 200.0, value_name = "PER_SECOND")]
    rate: f64,
    /// How often the server is killed.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    kills: u32,
    /// The longest time between a start and a kill; the shortest is a tenth of it.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    seconds: f64,
    /// Time without edits before the kill.
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS")]
    quiet: f64,
    /// Makes the moments of the kills the same again.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
}

/// What is known of one editor's edits when the server dies.
#[derive(Default)]
struct Known {
    sent: u32,
    /// Received by the other.
    delivered: Seen,
    acknowledged: u32,
}

/// All kills together.
#[derive(Debug, Default)]
struct Sum {
    /// Whether the server can be asked what it has stored.
    is_asked: bool,
    sent: u64,
    delivered: u64,
    acknowledged: u64,
    /// Delivered, and not in the first answer; and not after a while.
    lost_at_first: u64,
    lost: u64,
    /// Acknowledged, and not there after a while.
    forgotten: u64,
    restarts: Vec<Duration>,
    /// Kills after which something was lost.
    kills_with_loss: u32,
}

/// Runs the scenario.
///
/// # Errors
/// When the plan makes no sense, or the rig did not start the server, or it does not come back.
pub(crate) async fn run(
    plan: &Plan,
    target: &Target,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    anyhow::ensure!(plan.kills > 0 && plan.rate > 0.0, "there must be edits and kills");
    let is_time = (0.1..=3_600.0).contains(&plan.seconds) && (0.0..=60.0).contains(&plan.quiet);
    anyhow::ensure!(is_time, "the times are 0.1 to 3,600 and 0 to 60 seconds");
    let mut random = SmallRng::seed_from_u64(plan.seed);
    let mut sum = Sum::default();
    if !target.is_floor {
        sum.is_asked = acknowledges(target).await?;
        for number in 1..=plan.kills {
            progress.says(&format!("kill {number} of {}", plan.kills));
            let after_s = random.random_range(plan.seconds / 10.0..=plan.seconds);
            kill_once(plan, target, after_s, &mut sum).await?;
        }
    }
    let mut outcome = sum.outcome(plan, target);
    outcome.settings = serde_json::to_value(plan)?;
    Ok(outcome)
}

/// Whether the server answers message 102. One that does not know it may close the connection, so a
/// client that is not counted asks.
async fn acknowledges(target: &Target) -> anyhow::Result<bool> {
    let Joined { mut bot, .. } = bot::join(bot::connect(target, &bot::fresh_name())).await?;
    bot.push_version(1);
    bot.flush().await?;
    let mut is_answered = false;
    let listening = async {
        while !is_answered {
            let listened = bot.listen(|heard| is_answered |= matches!(heard, Heard::Ack([1])));
            if listened.await.is_err() {
                return;
            }
        }
    };
    let _ = timeout(OPENING, listening).await;
    Ok(is_answered)
}

/// Two editors, a kill, a start, a look.
async fn kill_once(
    plan: &Plan,
    target: &Target,
    after_s: f64,
    sum: &mut Sum,
) -> anyhow::Result<()> {
    let room = bot::fresh_name();
    let known = Rc::new([RefCell::<Known>::default(), RefCell::default()]);
    let load = Rc::new(Load::new(Span { warm_up: 0.0, seconds: after_s }));
    let edits = [Edits::new(Kind::Chained, 0, rand::random()), {
        Edits::new(Kind::Chained, 0, rand::random())
    }];
    let mut bots = Vec::new();
    for _ in 0..2 {
        let Joined { mut bot, .. } = bot::join(bot::connect(target, &room)).await?;
        // The opening is acknowledged as well, and must not be taken for an edit.
        let listening = async { while bot.listen(|_| {}).await.is_ok() {} };
        let _ = timeout(OPENING, listening).await;
        bots.push(bot);
    }
    let mut tasks = JoinSet::new();
    load.begin();
    for ((bot, edits), number) in bots.into_iter().zip(edits).zip(0..) {
        let (known, load) = (Rc::clone(&known), Rc::clone(&load));
        let pace = (plan.rate / 2.0, number, sum.is_asked);
        tasks.spawn_local(edit(bot, edits, known, load, pace));
    }
    let [_, end] = load.measured();
    tokio::time::sleep_until(end + Duration::from_secs_f64(plan.quiet)).await;
    target.kill()?;
    // What the server had sent before it died has been delivered: the editors read to the end.
    let reading = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(READ_TIME_MAX, reading).await;
    tasks.abort_all();
    sum.restarts.push(target.start_again().await?);
    let shown = replica::join(target, &room, |_| false).await?;
    sum.add(&known, &shown);
    Ok(())
}

/// One editor: writes at its pace, marks what comes from the other, until the server is gone.
async fn edit(
    mut bot: Bot,
    edits: Edits,
    known: Rc<[RefCell<Known>; 2]>,
    load: Rc<Load>,
    (rate, own, is_asked): (f64, usize, bool),
) {
    let Ok(alarm) = Alarm::new() else { return };
    loop {
        let number = known[own].borrow().sent;
        let due_us = ((f64::from(number) + own as f64 / 2.0) * 1e6 / rate) as u64;
        let is_over = load.is_over_at(due_us);
        let due = async {
            if is_over {
                std::future::pending::<()>().await;
            }
            alarm.until(load.instant(due_us)).await;
        };
        tokio::select! {
            () = due => {
                let mut update = Vec::new();
                // Whose it is stands in the place of its time.
                let token = Token { number, due_us: own as u64 };
                edits.write(token, &mut update);
                bot.push_update(&update);
                if is_asked {
                    bot.push_version(u64::from(number) + 1);
                }
                bot.try_flush();
                known[own].borrow_mut().sent += 1;
            }
            listened = bot.listen(|heard| hear(&heard, &known, own)) => {
                if listened.is_err() {
                    return; // the server is gone, as it should be
                }
            }
        }
    }
}

fn hear(heard: &Heard<'_>, known: &[RefCell<Known>; 2], own: usize) {
    match heard {
        Heard::Update(update) | Heard::Step2(update) => {
            for token in Token::find(update) {
                if token.due_us != own as u64 {
                    known[1 - own].borrow_mut().delivered.enter(token.number);
                }
            }
        }
        // Hocuspocus: one for each update, in order. Y-Sweet: the version that it is at.
        Heard::Ack(version) => {
            let acknowledged = &mut known[own].borrow_mut().acknowledged;
            *acknowledged = match Reader::new(version).uint() {
                Ok(version) => version as u32,
                Err(_) => *acknowledged + 1,
            };
        }
        _ => {}
    }
}

impl Sum {
    fn add(&mut self, known: &[RefCell<Known>; 2], shown: &replica::Shown) {
        let mut is_lost = false;
        for (own, known) in known.iter().enumerate() {
            let known = known.borrow();
            let there = |text: &Option<String>| {
                let mut there = vec![false; known.sent as usize];
                for token in Token::find(text.as_deref().unwrap_or("").as_bytes()) {
                    if token.due_us == own as u64
                        && let Some(is_there) = there.get_mut(token.number as usize)
                    {
                        *is_there = true;
                    }
                }
                there
            };
            let (first, later) = (there(&shown.first), there(&shown.later));
            // In order, so that all before the last one had come.
            let delivered = known.delivered.received() as usize;
            let missing = |there: &[bool], count: usize| {
                there[..count].iter().filter(|is_there| !**is_there).count() as u64
            };
            self.sent += u64::from(known.sent);
            self.delivered += delivered as u64;
            self.acknowledged += u64::from(known.acknowledged);
            self.lost_at_first += missing(&first, delivered);
            self.lost += missing(&later, delivered);
            self.forgotten += missing(&later, known.acknowledged as usize);
            is_lost |= missing(&later, delivered) > 0;
        }
        self.kills_with_loss += u32::from(is_lost);
    }

    fn outcome(&self, plan: &Plan, target: &Target) -> Outcome {
        let count = |name: &str, value: u64| Figure::neither(name, "edits", value as f64);
        let bad = |name: &str, value: u64| Figure::less(name, "edits", value as f64);
        let mut figures = vec![
            count("sent", self.sent),
            count("delivered", self.delivered),
            count("acknowledged", self.acknowledged),
            bad("delivered, lost", self.lost),
            bad("delivered, not in the first answer", self.lost_at_first),
            bad("acknowledged, lost", self.forgotten),
            Figure::less("kills with loss", "", f64::from(self.kills_with_loss)),
        ];
        let mut restarts = self.restarts.clone();
        restarts.sort_unstable();
        if let Some(middle) = restarts.get(restarts.len() / 2) {
            figures.push(Figure::less("restart", "ms", middle.as_secs_f64() * 1e3));
        }
        let check = |name: &str, lost: u64, of: u64| {
            let note = if target.is_floor {
                "not asked of a relay".to_owned()
            } else {
                format!("{lost} of {of} gone")
            };
            Check::new(name, lost == 0, note)
        };
        Outcome {
            load: format!(
                "{} updates/s, {} kills after at most {} s, {} s quiet before",
                plan.rate, plan.kills, plan.seconds, plan.quiet
            ),
            figures,
            checks: vec![
                check("what was delivered is there", self.lost, self.delivered),
                check("and in the first answer", self.lost_at_first, self.delivered),
                check("what was acknowledged is there", self.forgotten, self.acknowledged),
            ],
            ..Outcome::new("durable", target.server())
        }
    }
}
