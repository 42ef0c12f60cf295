//! What a file is to hold, as it is put: a text, or bytes of any size.
//!
//! For `writing`. A text is read as a whole; what cannot be one goes to the disk as it comes. Never
//! holds more of bytes in memory than a text may have.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use hyper::http::{HeaderMap, header};
use sheaf_protocol::ids::VaultName;

use super::State;
use super::ask::Ask;
use super::body::{self, Chunks, FRAME_BYTES};
use super::coding;
use super::error::Error;
use crate::blob::cut::CHUNK_BYTES_MAX;
use crate::blob::{self, Gathering, Hash};
use crate::memory::Permit;
use sheaf_ground::task;

/// The body of a request that writes a file.
pub(super) enum Content {
    /// A text.
    Text(String),
    /// Bytes that the vault has, by their hash.
    Blob(Hash),
}

/// Reads the content of a file: text if it says so or can be one, else bytes, or what a header says
/// of them.
///
/// # Errors
/// As [`Ask::bytes`] and, of what says that it is text, [`Ask::text`]; `TooLarge` of what may be a
/// text and is larger than one: it is not made bytes behind its back; `Malformed` if there is no
/// body at all: a forgotten one must not empty a file; those of blobs.
pub(super) async fn read(state: &State, ask: &Ask, vault: &VaultName) -> Result<Content, Error> {
    if let Some(hash) = ask.blob_header()? {
        ask.bytes(state, 0).await?;
        return Ok(Content::Blob(hash));
    }
    let bytes_max = state.limits.document_bytes as usize;
    let kind = ask.headers.get(header::CONTENT_TYPE).map(|it| it.as_bytes());
    if kind.is_some_and(|it| it.to_ascii_lowercase().starts_with(b"text/")) {
        return Ok(Content::Text(ask.text(state, bytes_max).await?));
    }
    ask.check_has_body()?;
    let bytes = if coding::of_request(&ask.headers)?.is_some() {
        ask.bytes(state, bytes_max).await?
    } else {
        let mut chunks = ask.chunks()?;
        let coming = Coming { state, vault, all: BytesMut::new(), permit: None, gathering: None };
        match coming.read(&ask.headers, &mut chunks).await {
            Ok(Come::Whole(bytes, permit)) => {
                ask.keep(permit);
                bytes
            }
            Ok(Come::Stored(hash)) => return Ok(Content::Blob(hash)),
            Err(error) => {
                body::drain(state, &ask.headers, chunks);
                return Err(error);
            }
        }
    };
    match String::from_utf8(bytes.into()) {
        Ok(text) if !text.contains('\0') => Ok(Content::Text(text)),
        Ok(bytes) => stored(state, vault, bytes.as_bytes()),
        Err(bytes) => stored(state, vault, bytes.as_bytes()),
    }
}

fn stored(state: &State, vault: &VaultName, bytes: &[u8]) -> Result<Content, Error> {
    let (hash, _) = task::block(|| state.vaults.put_bytes(vault, bytes))?;
    Ok(Content::Blob(Hash(hash)))
}

/// Whether these bytes, of which more may come, can begin a text.
fn may_be_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

/// A body on its way in.
struct Coming<'a> {
    state: &'a State,
    vault: &'a VaultName,
    /// What is not on the disk.
    all: BytesMut,
    permit: Option<Permit>,
    /// It can be no text: where it goes.
    gathering: Option<Gathering>,
}

/// What came.
enum Come {
    /// It may be a text. The permit is to be kept with it.
    Whole(Bytes, Option<Permit>),
    /// It is none, and is kept as a blob.
    Stored(Hash),
}

impl Coming<'_> {
    async fn read(self, headers: &HeaderMap, chunks: &mut Chunks) -> Result<Come, Error> {
        let bytes_max = self.state.blobs.file_bytes_max();
        let announced = body::announced(headers);
        if announced.is_some_and(|bytes| bytes > bytes_max) {
            return Err(blob::Error::TooLarge { bytes_max }.into());
        }
        let time = body::time(announced.unwrap_or(bytes_max));
        let come = self
            .state
            .clock
            .clone()
            .deadline(time, self.collect(announced.unwrap_or(0), chunks))
            .await;
        come.unwrap_or_else(|_| Err(body::late()))
    }

    async fn collect(mut self, announced: u64, chunks: &mut Chunks) -> Result<Come, Error> {
        let mut bytes = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| body::broke_off(bytes))?;
            bytes += chunk.len();
            let has_zero = chunk.contains(&0);
            self.all.extend_from_slice(&chunk);
            let text_max = self.state.limits.document_bytes as usize;
            if self.gathering.is_none() && (has_zero || bytes > text_max) {
                if !has_zero && may_be_text(&self.all) {
                    return Err(body::too_large(text_max));
                }
                let gathering = || self.state.vaults.gather_bytes(self.vault, announced);
                self.gathering = Some(task::block(gathering)?);
            }
            if self.gathering.is_some() && self.all.len() >= FRAME_BYTES {
                self.put()?;
            }
            let held = self.all.len() + if self.gathering.is_some() { CHUNK_BYTES_MAX } else { 0 };
            // As it comes, not as it is announced: a promise alone takes nothing from others.
            body::cover(&self.state.memory, &mut self.permit, held.min(bytes))?;
        }
        if self.gathering.is_none() {
            return Ok(Come::Whole(self.all.freeze(), self.permit));
        }
        self.put()?;
        let gathering = self.gathering.take().expect("it is there");
        Ok(Come::Stored(task::block(|| gathering.finish())?.hold.hash()))
    }

    /// Gives what is here to the disk.
    fn put(&mut self) -> Result<(), Error> {
        if let Some(gathering) = &mut self.gathering {
            task::block(|| gathering.take(&self.all))?;
            self.all.clear();
        }
        Ok(())
    }
}
