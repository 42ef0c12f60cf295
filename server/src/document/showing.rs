//! What a document's readers show and say to each other.
//!
//! Job: presence and notes, in and out, under the readers' lock. Called by sessions. Never writes
//! any of it to the journal.

use sheaf_ground::time::Moment;
use sheaf_protocol::ids::Principal;
use sheaf_protocol::scan;

use super::handle::Handle;
use super::readers::ReaderId;
use super::readers::presence::Telling;

impl Handle {
    /// Takes a reader's awareness frame. Gives the time at which the caller is to call
    /// [`Handle::tell`], if the others are not told now.
    pub fn present(
        &self,
        reader: ReaderId,
        who: &Principal,
        frame: &scan::Awareness<'_>,
    ) -> Option<Moment> {
        let claim = self.readers.lock().claimable(reader, frame);
        if let Some(client) = claim {
            let mut core = self.core();
            if !core.show(client, who) {
                return None;
            }
            self.readers.lock().claim(reader, client);
        }
        let telling = self.readers.lock().show(reader, frame, self.shared.clock.now());
        match telling {
            Telling::Nothing => None,
            Telling::At(moment) => Some(moment),
            Telling::Now(fanout) => {
                self.deliver(Some(fanout));
                None
            }
        }
    }

    /// Tells all readers what they have not seen of who is present.
    pub fn tell(&self) {
        let fanout = self.readers.lock().tell(self.shared.clock.now());
        self.deliver(Some(fanout));
    }

    /// The client id that a reader shows itself by.
    pub fn shown_by(&self, reader: ReaderId) -> Option<u64> {
        self.readers.lock().shown_by(reader)
    }

    /// Passes a note of a reader on to all the others.
    pub fn announce(&self, reader: ReaderId, note: &str) {
        let fanout = self.readers.lock().announce(reader, note);
        self.deliver(Some(fanout));
    }

    /// Shows a reader everyone again.
    pub fn show_again(&self, reader: ReaderId) {
        self.readers.lock().show_again(reader);
    }

    /// A reader that was challenged for its client id answered.
    pub fn answer_challenge(&self, reader: ReaderId) {
        self.readers.lock().answer_challenge(reader);
    }
}
