//! The replicas of one case, what is under way between them and the server, and what must hold.

use std::collections::VecDeque;

use sheaf_client::replica::{Options, Status};
use sheaf_client::state::State;
use sheaf_tests::model::{Hub, Said, Session};
use yrs::StateVector;

use super::canonical::canonical;
use super::edit::edit;
use super::plan::{Plan, Step, What};

/// Frames exchanged until nobody has anything to say; more is a quarrel without end.
const ROUNDS_MAX: usize = 10_000;

struct Peer {
    state: State,
    session: Option<Session>,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    /// Whether no frame was lost or overtaken upward on this connection. Where one was, an echo
    /// proves nothing: TCP would not have done that.
    is_true: bool,
    /// Echoes asked for, with what the replica held then.
    asked: Vec<(u64, StateVector)>,
}

pub(super) struct World<'a> {
    hub: &'a mut dyn Hub,
    peers: Vec<Peer>,
    next_session: Session,
    /// Frames that arrived.
    pub(super) passed: usize,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: &Plan, hub: &'a mut dyn Hub) -> Self {
        let peers = (0..plan.replicas).map(|number| Peer {
            state: State::new(&Options {
                client_id: 1_000 + u32::from(number),
                ..Options::new("ws://nowhere", "case")
            }),
            session: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            is_true: true,
            asked: Vec::new(),
        });
        Self { hub, peers: peers.collect(), next_session: 1, passed: 0 }
    }

    /// Connects everybody, does all steps, then lets everybody connect and talk until nothing is
    /// left to say.
    pub(super) fn run(&mut self, plan: &Plan) -> Result<(), String> {
        for number in 0..self.peers.len() {
            self.join(number);
        }
        for step in &plan.steps {
            self.step(step)?;
        }
        // Twice: what was lost without a trace is found by asking anew.
        for _ in 0..2 {
            for number in 0..self.peers.len() {
                self.cut(number);
                self.join(number);
            }
            self.settle()?;
        }
        self.check()
    }

    pub(super) fn text(&self) -> String {
        self.peers[0].state.text()
    }

    /// How much there is in the document.
    pub(super) fn blocks(&mut self) -> usize {
        canonical(&self.hub.encode()).len()
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let number = usize::from(step.replica) % self.peers.len();
        let peer = &mut self.peers[number];
        match step.what {
            What::Edit(kind, a, b) => {
                edit(&peer.state, kind, a, b);
                self.collect(number);
            }
            What::Up(count) => return (0..count).try_for_each(|_| self.pass_up(number).map(drop)),
            What::Down(count) => {
                return (0..count).try_for_each(|_| self.pass_down(number).map(drop));
            }
            What::Join => self.join(number),
            What::Cut => self.cut(number),
            What::Ask => {
                let held = peer.state.state_vector();
                peer.asked.push((peer.state.ask_echo(), held));
                self.collect(number);
            }
            What::LoseUp => peer.is_true &= peer.up.pop_front().is_none(),
            What::DoubleUp => peer.up.extend(peer.up.front().cloned()),
            What::SwapUp if peer.up.len() > 1 => {
                peer.up.swap(0, 1);
                peer.is_true = false;
            }
            What::LoseDown => drop(peer.down.pop_front()),
            What::DoubleDown => peer.down.extend(peer.down.front().cloned()),
            What::SwapDown if peer.down.len() > 1 => peer.down.swap(0, 1),
            What::SwapUp | What::SwapDown => {}
            What::Put(number) => {
                let said = self.hub.put(number);
                self.spread(said);
            }
            What::Restart => {
                for number in 0..self.peers.len() {
                    self.cut(number);
                }
                self.hub.restart();
            }
        }
        Ok(())
    }

    fn join(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        if peer.session.is_some() {
            return;
        }
        let session = self.next_session;
        self.next_session += 1;
        peer.session = Some(session);
        peer.is_true = true;
        peer.state.opened();
        let said = self.hub.join(session);
        self.spread(said);
        self.collect(number);
    }

    fn cut(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        if let Some(session) = peer.session.take() {
            peer.up.clear();
            peer.down.clear();
            peer.state.closed(Status::Connecting);
            self.hub.leave(session);
        }
    }

    /// Passes one frame to the server. Returns whether there was one.
    fn pass_up(&mut self, number: usize) -> Result<bool, String> {
        let peer = &mut self.peers[number];
        let (Some(session), Some(frame)) = (peer.session, peer.up.pop_front()) else {
            return Ok(false);
        };
        self.passed += 1;
        let said = self.hub.deliver(session, &frame);
        self.spread(said);
        Ok(true)
    }

    /// Passes one frame to the replica. Returns whether there was one.
    fn pass_down(&mut self, number: usize) -> Result<bool, String> {
        let peer = &mut self.peers[number];
        let Some(frame) = peer.down.pop_front() else { return Ok(false) };
        self.passed += 1;
        peer.state.receive(&frame).map_err(|reason| format!("replica {number}: {reason}"))?;
        self.collect(number);
        self.check_echoes(number)?;
        Ok(true)
    }

    /// Puts what the replica has to say on its way.
    fn collect(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        if peer.session.is_some() {
            let mut frames = Vec::new();
            peer.state.take_frames(&mut frames);
            peer.up.extend(frames);
        }
    }

    fn spread(&mut self, said: Said) {
        for (session, frame) in said {
            let peer = self.peers.iter_mut().find(|peer| peer.session == Some(session));
            if let Some(peer) = peer {
                peer.down.push_back(frame);
            }
        }
    }

    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            let mut is_quiet = true;
            for number in 0..self.peers.len() {
                is_quiet &= !self.pass_up(number)?;
                is_quiet &= !self.pass_down(number)?;
            }
            if is_quiet {
                return Ok(());
            }
        }
        Err("they do not stop talking".to_owned())
    }

    /// What the server says is durable, it has.
    fn check_echoes(&mut self, number: usize) -> Result<(), String> {
        let peer = &mut self.peers[number];
        let heard = peer.asked.iter().filter(|(echo, _)| peer.state.has_echo(*echo)).count();
        for (echo, held) in peer.asked.drain(..heard) {
            if peer.is_true {
                let stored = state_vector(&self.hub.encode());
                for (client, clock) in held.iter() {
                    if stored.get(client) < *clock {
                        let (client, has) = (client.get(), stored.get(client));
                        return Err(format!(
                            "echo {echo} of replica {number}: {client} is at {clock}, stored {has}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Everybody holds the same text, the same clocks and the same encoding.
    fn check(&mut self) -> Result<(), String> {
        let stored = self.hub.encode();
        let (clocks, form) = (state_vector(&stored), canonical(&stored));
        let text = self.text();
        for (number, peer) in self.peers.iter().enumerate() {
            if peer.state.text() != text {
                let other = peer.state.text();
                return Err(format!("replica {number} reads {other:?}, replica 0 {text:?}"));
            }
            if peer.state.state_vector() != clocks {
                let held = peer.state.state_vector();
                return Err(format!("replica {number} holds {held:?}, the server {clocks:?}"));
            }
            let held = canonical(&peer.state.encode());
            if let Some(at) =
                (0..held.len().max(form.len())).find(|at| held.get(*at) != form.get(*at))
            {
                let (held, form) = (held.get(at), form.get(at));
                return Err(format!("replica {number} holds {held:?}, the server {form:?}"));
            }
        }
        Ok(())
    }
}

fn state_vector(encoded: &[u8]) -> StateVector {
    use yrs::updates::decoder::Decode;
    let vector = yrs::encode_state_vector_from_update_v1(encoded).expect("an encoded document");
    StateVector::decode_v1(&vector).expect("a state vector")
}
