//! The PROXY protocol, versions 1 and 2: what a proxy says before the first byte of a connection.
//!
//! `listen` reads it from trusted peers, on addresses where it is configured, under the deadline of
//! a request's head. Never reads a byte beyond the header and never takes its absence for one.
//!
//! Source: <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header of version 1, its line ending included.
const V1_BYTES_MAX: usize = 107;
/// Header of version 2: signature, version and command, family, length.
const V2_HEAD_BYTES: usize = 16;
/// The longest header of version 2 that is read. Addresses take at most 216 bytes; the rest are
/// extensions, of which the longest in use names a TLS client's certificate.
const V2_BYTES_MAX: usize = 2048;
/// Both versions are at least this long and differ before.
const FIRST_BYTES: usize = v2::PROTOCOL_PREFIX.len();

/// Why a connection does not begin as it must.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer left, or was cut off.
    #[error("the connection ended inside its PROXY header: {0}")]
    Io(#[from] io::Error),
    /// It begins with something else, a request perhaps.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// It begins like one.
    #[error("the PROXY header is not well formed")]
    Malformed,
}

/// Reads a header, and nothing behind it. None: the proxy speaks for itself (a health check), or
/// does not know.
///
/// # Errors
/// See [`Error`]; nothing sensible can be read from the connection after one.
pub async fn read<S>(stream: &mut S) -> Result<Option<SocketAddr>, Error>
where
    S: AsyncRead + Unpin,
{
    let mut first = [0; FIRST_BYTES];
    stream.read_exact(&mut first).await?;
    if first.as_slice() == v2::PROTOCOL_PREFIX {
        read_v2(stream, &first).await
    } else if first.starts_with(b"PROXY ") {
        read_v1(stream, &first).await
    } else {
        Err(Error::Missing)
    }
}

/// Byte by byte: what comes behind the line is not ours to take, and it is at most 95 of them.
async fn read_v1<S>(stream: &mut S, first: &[u8]) -> Result<Option<SocketAddr>, Error>
where
    S: AsyncRead + Unpin,
{
    let mut line = Vec::with_capacity(V1_BYTES_MAX);
    line.extend_from_slice(first);
    while !line.ends_with(b"\r\n") {
        if line.len() == V1_BYTES_MAX {
            return Err(Error::Malformed);
        }
        line.push(stream.read_u8().await?);
    }
    let header = v1::Header::try_from(line.as_slice()).map_err(|_| Error::Malformed)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(it) => Some((it.source_address, it.source_port).into()),
        v1::Addresses::Tcp6(it) => Some((it.source_address, it.source_port).into()),
        v1::Addresses::Unknown => None,
    })
}

async fn read_v2<S>(stream: &mut S, first: &[u8]) -> Result<Option<SocketAddr>, Error>
where
    S: AsyncRead + Unpin,
{
    let mut bytes = first.to_vec();
    bytes.resize(V2_HEAD_BYTES, 0);
    stream.read_exact(&mut bytes[FIRST_BYTES..]).await?;
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if V2_HEAD_BYTES + length > V2_BYTES_MAX {
        return Err(Error::Malformed);
    }
    bytes.resize(V2_HEAD_BYTES + length, 0);
    stream.read_exact(&mut bytes[V2_HEAD_BYTES..]).await?;
    let header = v2::Header::try_from(bytes.as_slice()).map_err(|_| Error::Malformed)?;
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(it) => Some((it.source_address, it.source_port).into()),
        v2::Addresses::IPv6(it) => Some((it.source_address, it.source_port).into()),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    })
}

#[cfg(test)]
mod tests;
