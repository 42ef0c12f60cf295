//! Debouncing, order and retries, on a clock of the test's own.

use rand::SeedableRng;
use sheaf_protocol::stamp::Stamp;

use super::super::config::{HookConfig, Text};
use super::*;
use crate::vault::{File, Kind};
use sheaf_ground::time::{Clock, Hand};

struct Desk {
    queue: Queue,
    clock: Clock,
    hand: Hand,
    seq: u64,
}

fn vault() -> VaultName {
    VaultName::default()
}

fn doc(number: u64) -> DocId {
    DocId(Stamp::new(number, 0, 1))
}

impl Desk {
    fn new(events: &[EventType]) -> Desk {
        let config = HookConfig {
            url: "http://localhost/".to_owned(),
            secret: Some(Text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())),
            events: events.to_vec(),
            session_events_max: 3,
            ..HookConfig::default()
        };
        let hook = Hook::all(&[config]).expect("a hook").pop().expect("one");
        let (clock, hand) = Clock::test(1_000_000);
        let mut queue = Queue::new(&hook, StdRng::seed_from_u64(1));
        queue.begin(&vault(), &Place { epoch: 1, ..Place::default() }, true, clock.now());
        Desk { queue, clock, hand, seq: 0 }
    }

    fn change(&mut self, number: u64, is_new: bool, is_deleted: bool) -> Change {
        self.seq += 1;
        let file = File {
            id: doc(number),
            path: format!("{number}").into(),
            n: self.seq,
            seq: self.seq,
            kind: Kind::Text,
            size: 1,
            hash: None,
            created_ms: 0,
            updated: Stamp::new(self.clock.now_ms(), 0, 1),
            by: None,
            device: 0,
            from: None,
            is_deleted,
        };
        let change = Change { seq: self.seq, file };
        let upto = Cursor::at(1, self.seq);
        self.queue.read(&vault(), vec![(change.clone(), is_new)], upto, self.clock.now());
        change
    }

    fn edit(&mut self, number: u64) {
        self.change(number, false, false);
    }

    fn pass(&mut self, seconds: u64) {
        self.hand.advance(Duration::from_secs(seconds));
    }

    fn take(&mut self) -> Option<Job> {
        self.queue.take(self.clock.now())
    }

    fn done(&mut self, job: &Job, outcome: Outcome) -> Verdict {
        self.queue.done(job, outcome, self.clock.now(), self.clock.now_ms())
    }

    /// Lets time pass until something is due, and takes it. Returns the job and the wait.
    fn next(&mut self) -> Option<(Job, Duration)> {
        let now = self.clock.now();
        let wait = self.queue.next(now)?.since(now);
        self.hand.advance(wait);
        Some((self.take().expect("it is due now"), wait))
    }
}

fn body(job: &Job) -> serde_json::Value {
    serde_json::from_slice(&job.event.body).expect("JSON")
}

fn said(job: &Job) -> (String, u64) {
    let body = body(job);
    let number = body["document"]["path"].as_str().and_then(|path| path.parse().ok());
    (body["type"].as_str().expect("a type").to_owned(), number.expect("a number"))
}

fn failed() -> Outcome {
    Outcome::Failed(None)
}

#[test]
fn a_burst_of_edits_is_told_once_with_its_last_state() {
    let mut desk = Desk::new(&[]);
    for _ in 0..100 {
        desk.edit(1);
    }
    assert!(desk.take().is_none(), "it is not left alone yet");
    desk.pass(2);
    let job = desk.take().expect("quiet for 2 s");
    assert_eq!(body(&job)["document"]["n"], 100);
    assert_eq!(desk.done(&job, Outcome::Taken), Verdict::Told);
    assert_eq!((desk.queue.pending(), desk.queue.next(desk.clock.now())), (0, None));
}

#[test]
fn a_document_that_is_never_left_alone_is_told_all_the_same() {
    let mut desk = Desk::new(&[]);
    let mut told = Vec::new();
    for second in 0..30 {
        desk.edit(1);
        while let Some(job) = desk.take() {
            told.push(second);
            desk.done(&job, Outcome::Taken);
        }
        desk.pass(1);
    }
    assert_eq!(told, [10, 21], "10 s after the first change that was not told");
}

#[test]
fn what_is_new_or_gone_is_told_at_once() {
    let mut desk = Desk::new(&[]);
    desk.change(1, true, false);
    let job = desk.take().expect("at once");
    assert_eq!(said(&job), ("document.created".to_owned(), 1));
    desk.done(&job, Outcome::Taken);
    assert_eq!(desk.queue.news().told, [(vault(), doc(1))]);
    desk.change(1, false, true);
    let job = desk.take().expect("at once");
    assert_eq!(said(&job), ("document.deleted".to_owned(), 1));
    desk.done(&job, Outcome::Taken);
    let news = desk.queue.news();
    assert_eq!((news.told, news.forgotten), (vec![], vec![(vault(), doc(1))]));
}

#[test]
fn a_new_document_stays_new_until_it_was_told() {
    let mut desk = Desk::new(&[]);
    desk.change(1, true, false);
    let job = desk.take().expect("due");
    desk.edit(1);
    desk.done(&job, failed());
    let (job, _) = desk.next().expect("again");
    assert_eq!(said(&job), ("document.created".to_owned(), 1));
    assert_eq!(body(&job)["cursor"], "1.2", "with its latest state");
    desk.edit(1);
    desk.done(&job, Outcome::Taken);
    let (job, wait) = desk.next().expect("what was written meanwhile");
    assert_eq!((said(&job).0.as_str(), wait), ("document.changed", Duration::from_secs(2)));
}

#[test]
fn a_document_that_came_and_went_unseen_is_not_told() {
    let mut desk = Desk::new(&[]);
    desk.change(1, true, false);
    desk.change(1, false, true);
    assert_eq!(desk.queue.pending(), 0);
    let mut desk = Desk::new(&[EventType::Deleted]);
    desk.change(1, true, true);
    assert!(desk.take().is_some(), "who asks for deletions alone gets all of them");
}

#[test]
fn no_document_has_two_deliveries_under_way() {
    let mut desk = Desk::new(&[]);
    desk.edit(1);
    desk.edit(2);
    desk.pass(2);
    let first = desk.take().expect("one");
    let second = desk.take().expect("the other, at the same time");
    assert_ne!(first.about, second.about);
    desk.edit(1);
    desk.pass(60);
    assert!(desk.take().is_none(), "its earlier state is still on its way");
    desk.done(&first, Outcome::Taken);
    desk.pass(2);
    let third = desk.take().expect("now");
    assert_eq!(said(&third).1, said(&first).1);
}

#[test]
fn a_pause_grows_from_one_second_to_one_hour_and_the_id_stays() {
    let mut desk = Desk::new(&[]);
    desk.change(1, true, false);
    let first = desk.take().expect("due");
    let mut job = first.clone();
    let mut pauses = Vec::new();
    let start_ms = desk.clock.now_ms();
    while desk.done(&job, failed()) == Verdict::Again {
        let (again, wait) = desk.next().expect("again");
        assert_eq!(again.event, first.event, "the same event, the same id");
        assert!(again.is_retry);
        pauses.push(wait);
        job = again;
    }
    assert!(pauses[0] >= Duration::from_secs(1) && pauses[0] <= Duration::from_secs(2));
    for (at, pause) in pauses.iter().enumerate().take(11) {
        let whole = Duration::from_secs(2 << at);
        assert!(*pause >= whole / 2 && *pause <= whole, "pause {at} is {pause:?}");
    }
    let longest = pauses.iter().max().expect("some");
    assert!(*longest > Duration::from_secs(1800) && *longest <= PAUSE_MAX);
    let tried_for_s = (desk.clock.now_ms() - start_ms) / 1000;
    assert!((72 * 3600..74 * 3600).contains(&tried_for_s), "given up after {tried_for_s} s");
    assert_eq!(desk.queue.pending(), 0);
}

#[test]
fn what_is_written_while_the_receiver_is_down_is_never_given_up() {
    let mut desk = Desk::new(&[]);
    desk.edit(1);
    desk.pass(2);
    let mut job = desk.take().expect("due");
    for _ in 0..200 {
        desk.edit(1);
        assert_eq!(desk.done(&job, failed()), Verdict::Again);
        job = desk.next().expect("again").0;
    }
    assert_eq!(body(&job)["document"]["n"], 201);
}

#[test]
fn a_document_that_is_refused_does_not_hold_up_the_others() {
    let mut desk = Desk::new(&[]);
    desk.edit(1);
    desk.pass(2);
    let mut refused = 0;
    for number in 2..100 {
        desk.edit(number);
        let mut is_told = false;
        while !is_told {
            let (job, wait) = desk.next().expect("something is due");
            assert!(wait <= Duration::from_secs(4), "the others wait for {wait:?}");
            is_told = said(&job).1 == number;
            refused += u32::from(!is_told);
            desk.done(&job, if is_told { Outcome::Taken } else { failed() });
        }
    }
    assert!((4..12).contains(&refused), "tried {refused} times in 200 s");
}

#[test]
fn a_receiver_that_is_down_gets_one_try_at_a_time() {
    let mut desk = Desk::new(&[]);
    for number in 0..50 {
        desk.change(number, true, false);
    }
    let jobs: Vec<_> = std::iter::from_fn(|| desk.take()).collect();
    assert_eq!(jobs.len(), 4, "parallel_max");
    for job in &jobs {
        desk.done(job, failed());
    }
    let mut tries = 0;
    let start = desk.clock.now();
    while desk.clock.now().since(start) < Duration::from_secs(3600) {
        let (job, _) = desk.next().expect("again");
        assert!(desk.take().is_none(), "one at a time");
        desk.done(&job, failed());
        tries += 1;
    }
    assert!(tries < 20, "{tries} tries in an hour");
    // It is back: everything is told without more waiting than each one's own pause.
    let (job, _) = desk.next().expect("again");
    desk.done(&job, Outcome::Taken);
    let mut told = 1;
    while let Some((job, wait)) = desk.next() {
        assert!(wait <= Duration::from_secs(4), "{wait:?}");
        desk.done(&job, Outcome::Taken);
        told += 1;
    }
    assert_eq!(told, 50);
}

#[test]
fn a_receiver_says_itself_when_it_wants_to_be_asked_again() {
    let mut desk = Desk::new(&[]);
    desk.change(1, true, false);
    let job = desk.take().expect("due");
    desk.done(&job, Outcome::Failed(Some(Duration::from_secs(120))));
    let (job, wait) = desk.next().expect("again");
    assert_eq!(wait, Duration::from_secs(120));
    desk.done(&job, Outcome::Failed(Some(Duration::from_secs(1_000_000))));
    let (_, wait) = desk.next().expect("again");
    assert_eq!(wait, PAUSE_MAX);
}

#[test]
fn after_410_nothing_is_sent_and_nothing_forgotten() {
    let mut desk = Desk::new(&[]);
    desk.change(1, true, false);
    let job = desk.take().expect("due");
    assert_eq!(desk.done(&job, Outcome::Gone), Verdict::Kept);
    desk.change(2, true, false);
    desk.pass(100_000);
    assert!(desk.take().is_none() && desk.queue.next(desk.clock.now()).is_none());
    assert!(desk.queue.is_disabled());
    let places = desk.queue.news().places;
    let place = places[0].1.as_ref().expect("a place");
    assert_eq!((place.seq, place.open.len()), (2, 2), "the next start goes on from here");
}

#[test]
fn session_events_are_told_one_after_the_other_and_the_oldest_go_first() {
    let mut desk = Desk::new(&[]);
    let stamps: Vec<_> = (1..=5).map(|ms| Stamp::new(1_000_000 + ms, 0, 1)).collect();
    for (at, stamp) in stamps.iter().enumerate() {
        let dropped = desk.queue.push_session(*stamp, Bytes::from_static(b"{}"));
        assert_eq!(dropped, u64::from(at >= 3));
    }
    assert_eq!(desk.queue.news().gone, &stamps[..2]);
    for stamp in &stamps[2..] {
        let job = desk.take().expect("due");
        assert_eq!(job.about, About::Session(*stamp));
        assert!(desk.take().is_none(), "the later ones wait");
        desk.done(&job, Outcome::Taken);
    }
    assert_eq!(desk.queue.pending(), 0);
    assert_eq!(desk.queue.news().gone, stamps);
}

#[test]
fn a_full_lane_does_not_wait_for_quiet() {
    let mut desk = Desk::new(&[]);
    for number in 0..OPEN_MAX as u64 {
        assert!(desk.queue.room(&vault()) > 0);
        desk.edit(number);
    }
    assert_eq!(desk.queue.room(&vault()), 0);
    let job = desk.take().expect("there is no room to wait in");
    desk.done(&job, Outcome::Taken);
    assert_eq!(desk.queue.room(&vault()), 1);
}

#[test]
fn what_is_stored_is_where_a_restart_goes_on() {
    let mut desk = Desk::new(&[]);
    let first = desk.change(1, true, false);
    desk.edit(2);
    let job = desk.take().expect("due");
    desk.done(&job, failed());
    let places = desk.queue.news().places;
    let place = places[0].1.clone().expect("a place");
    desk.queue.saved();
    assert!(!desk.queue.is_unsaved());
    desk.queue.begin(&vault(), &place, false, desk.clock.now());
    assert_eq!(desk.queue.lane(&vault()).expect("a lane").lost(), [1, 2]);
    desk.pass(60);
    assert!(desk.take().is_none(), "what they say is not known yet");
    desk.queue.recall(&vault(), first);
    let again = desk.take().expect("it has not changed since");
    assert_eq!(again.event, job.event, "the same event, the same id");
    assert!(again.is_retry);
    desk.done(&again, Outcome::Taken);
    desk.edit(2);
    desk.pass(2);
    assert_eq!(said(&desk.take().expect("the feed has brought it again")).1, 2);
    desk.queue.drop_lost(&vault());
    assert_eq!(desk.queue.pending(), 1);
}
