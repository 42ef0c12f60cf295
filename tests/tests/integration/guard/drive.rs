//! What a running document does with an update, without the socket, the clock and the disk.

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use sheaf_server::document::state::State;

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// The scan, the plan or yrs' decoder refused it; the document is as before.
    Refused(Code),
    /// It stands on what is not there.
    Dropped,
    /// yrs refused it half way. The server throws the document away and loads it again.
    Reloaded,
    /// It was merged, and everything afterwards worked.
    Merged,
}

/// Gives `bytes` to a document with `held`, and then does everything a server does later.
///
/// # Panics
/// When something goes wrong after the guard let the bytes pass.
pub(crate) fn drive(bytes: &[u8], held: Option<&[u8]>, source: Source) -> Outcome {
    let update = match scan::update(bytes) {
        Ok(update) => update,
        Err(refusal) => return Outcome::Refused(refusal.code),
    };
    let mut state = State::new();
    if let Some(held) = held {
        state.replay(held).expect("a real update");
    }
    let plan = match state.plan(&update, source) {
        Ok(Some(plan)) => plan,
        Ok(None) => return Outcome::Dropped,
        Err(refusal) => return refused(&refusal),
    };
    match state.integrate(plan) {
        Ok(_) => {}
        Err(refusal) => return refused(&refusal),
    }
    check_survives(&mut state);
    Outcome::Merged
}

fn refused(refusal: &Refusal) -> Outcome {
    match refusal.code {
        Code::Internal if refusal.what == "the update does not apply" => Outcome::Reloaded,
        Code::Internal => panic!("{refusal}"),
        code => Outcome::Refused(code),
    }
}

/// A joining client, a checkpoint and a restart all find the same document.
pub(crate) fn check_survives(state: &mut State) {
    let encoded = state.encode();
    let mut restarted = State::new();
    restarted.replay(&encoded).expect("a document reads its own encoding");
    assert_eq!(restarted.clocks(), state.clocks(), "clocks after a restart");
    let vector = state.state_vector();
    let vector = scan::state_vector(&vector).expect("its own state vector");
    assert_eq!(vector.entries().collect::<std::collections::HashMap<_, _>>(), *state.clocks());
    assert!(state.diff(&vector).len() <= encoded.len());
    restarted.encode();
}
