//! Blobs on their way in: whole, or in parts.
//!
//! For `blobs`, which has the routes. A blob is sent by `PUT`, the next part of one by `PUT` with
//! `Content-Range` (RFC 9110 §14.5). Never leaves a client that sends too much without an answer.

use bytes::BytesMut;
use futures::StreamExt;
use hyper::http::{HeaderMap, StatusCode};
use sheaf_protocol::error::Refusal;
use sheaf_protocol::ids::{VaultName, VaultNo};
use warp::Reply;
use warp::reply::Response;

use super::{BlobInfo, UploadInfo, at, named, stored};
use crate::auth::Role;
use crate::blob::cut::CHUNK_BYTES_MAX;
use crate::blob::{self, Hash, Incoming};
use crate::http::State;
use crate::http::ask::Ask;
use crate::http::body::{self, Chunks, FRAME_BYTES};
use crate::http::error::{Error, Problem};
use crate::http::range::{self, Sent};
use sheaf_ground::task;

/// Takes a blob in, or with `Content-Range` the next part of it.
#[utoipa::path(
    put,
    path = "/v1/vaults/{vault}/blobs/{hash}",
    tag = "blobs",
    operation_id = "putBlob",
    params(
        ("vault" = String, Path, description = "The vault's name"),
        ("hash" = String, Path, description = "SHA-256 of its bytes, in hex"),
        ("Content-Range" = Option<String>, Header,
            description = "Which part of the blob the body is: bytes <first>-<last>/<size>"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It has been here", body = BlobInfo),
        (status = 201, description = "It is here, durably", body = BlobInfo),
        (status = 202, description = "This part is here, for a day", body = UploadInfo,
            headers(("Upload-Offset" = u64))),
        (status = 404, description = "There is no such vault", body = Problem),
        (status = 408, description = "The body did not come in time", body = Problem),
        (status = 412, description = "Less of it is here; Upload-Offset tells how much",
            body = Problem, headers(("Upload-Offset" = u64))),
        (status = 413, description = "It is too large", body = Problem),
        (status = 415, description = "It is encoded", body = Problem),
        (status = 422, description = "These are not the bytes of this hash", body = Problem),
        (status = 507, description = "A quota of the vault is used up", body = Problem),
    )
)]
pub(in crate::http) async fn put(state: State, ask: Ask) -> Result<Response, Error> {
    let (name, hash) = named(&ask)?;
    ask.caller.grant(&name, None, Role::Write).await?;
    ask.query(&[])?;
    let vault = state.vaults.number(&name)?;
    let sent = range::sent(&ask.headers).map_err(|what| Refusal::malformed(0, what))?;
    let mut chunks = ask.chunks()?;
    let mut upload = Upload { state: &state, name: &name, vault, hash, sent };
    let taken = match upload.check(&ask.headers) {
        Ok(bytes) => {
            let deadline = body::time(bytes);
            let taken = state.clock.deadline(deadline, upload.take(&mut chunks)).await;
            taken.unwrap_or_else(|_| Err(body::late()))
        }
        Err(error) => Err(error),
    };
    match taken {
        Ok(incoming) => {
            // The body may have outlived the grant.
            ask.caller.grant(&name, None, Role::Write).await?;
            upload.finish(incoming)
        }
        Err(error) => {
            body::drain(&state, &ask.headers, chunks);
            let offset = error.detail("offset");
            let response = error.into_response();
            Ok(match offset {
                Some(offset) => at(response, offset),
                None => response,
            })
        }
    }
}

/// A blob on its way in.
struct Upload<'a> {
    state: &'a State,
    name: &'a VaultName,
    vault: VaultNo,
    hash: Hash,
    /// Which part of it; none: all.
    sent: Option<Sent>,
}

impl Upload<'_> {
    /// Checks what is announced; how many bytes may come.
    fn check(&self, headers: &HeaderMap) -> Result<u64, Error> {
        let bytes_max = self.state.blobs.file_bytes_max();
        let length = body::announced(headers);
        let part = self.sent.as_ref().map(|sent| sent.part.end - sent.part.start);
        if let (Some(part), Some(length)) = (part, length)
            && part != length
        {
            let what = "the body is not as long as Content-Range says";
            return Err(Refusal::malformed(0, what).into());
        }
        let size = self.sent.as_ref().map_or(length, |sent| Some(sent.size));
        if size.is_some_and(|size| size > bytes_max) {
            return Err(blob::Error::TooLarge { bytes_max }.into());
        }
        self.state.vaults.check_quota(self.name, size.unwrap_or(0))?;
        Ok(part.or(length).unwrap_or(bytes_max))
    }

    async fn take(&mut self, chunks: &mut Chunks) -> Result<Incoming, Error> {
        let begin = self.sent.as_ref().map_or(0, |sent| sent.part.start);
        let end = self.sent.as_ref().map_or(u64::MAX, |sent| sent.part.end);
        let upload = || self.state.blobs.upload(self.vault, &self.hash, begin);
        let mut incoming = task::block(upload)?;
        let mut permit = None;
        let mut frame = BytesMut::new();
        loop {
            let chunk = chunks.next().await;
            frame.extend_from_slice(match &chunk {
                Some(Ok(chunk)) => chunk,
                Some(Err(_)) | None => &[],
            });
            if frame.len() >= FRAME_BYTES || !matches!(chunk, Some(Ok(_))) {
                let bytes = (incoming.at() - begin).min(CHUNK_BYTES_MAX as u64) as usize;
                body::cover(&self.state.memory, &mut permit, bytes + frame.len())?;
                if frame.len() as u64 > end - incoming.at() {
                    let what = "the body is longer than Content-Range says";
                    return Err(Refusal::malformed(0, what).into());
                }
                task::block(|| incoming.take(&frame))?;
                frame.clear();
            }
            match chunk {
                Some(Ok(_)) => {}
                Some(Err(_)) => return Err(body::broke_off(incoming.at() as usize)),
                None if self.sent.is_none() || incoming.at() == end => return Ok(incoming),
                None => return Err(body::broke_off(incoming.at() as usize)),
            }
        }
    }

    fn finish(&self, incoming: Incoming) -> Result<Response, Error> {
        let offset = incoming.at();
        if self.sent.as_ref().is_some_and(|sent| offset < sent.size) {
            // Written before it is said.
            task::block(|| drop(incoming));
            let mut response = crate::http::unstored(&UploadInfo { offset });
            *response.status_mut() = StatusCode::ACCEPTED;
            return Ok(at(response, offset));
        }
        Ok(stored(&task::block(|| incoming.finish())?))
    }
}
