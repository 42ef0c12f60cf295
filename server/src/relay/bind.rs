//! Sockets that listen, TCP and unix, and the file that a unix socket leaves.
//!
//! `listen` binds all of them before anything else starts. Never takes an address away from a
//! server that answers on it.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::address::{Address, Place};
use super::stream::Stream;

/// Connections the kernel holds for us. With the usual 128, a storm of reconnects loses SYNs and
/// each of those clients waits a second (measured with 500 at once).
const BACKLOG: i32 = 4096;
/// A peer whose machine is gone without a word leaves our side open: after this long without an
/// acknowledgement of what was sent the kernel gives up. Sessions that are read too slowly are
/// told so, earlier.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// A bound socket.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a unix socket, removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: should the path be another's by then, it stays.
    identity: (u64, u64),
}

impl Bound {
    /// Binds. `all` are the addresses that are listened on together.
    pub(super) fn new(address: &Address, all: &[Address], unix_mode: u32) -> io::Result<Bound> {
        match &address.place {
            Place::Tcp(tcp) => Ok(Bound::Tcp(bind_tcp(*tcp, all)?)),
            Place::Unix(path) => {
                let (socket, file) = bind_unix(path, unix_mode)?;
                Ok(Bound::Unix(socket, file))
            }
        }
    }

    /// Where it is, with the port that was taken.
    pub(super) fn place(&self) -> io::Result<Place> {
        match self {
            Bound::Tcp(socket) => socket.local_addr().map(Place::Tcp),
            Bound::Unix(_, file) => Ok(Place::Unix(file.path.clone())),
        }
    }

    /// The next connection, and its other end's address; a unix socket's has none.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Bound::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok((stream.into(), Some(address)))
            }
            Bound::Unix(socket, _) => Ok((socket.accept().await?.0.into(), None)),
        }
    }
}

fn bind_tcp(address: SocketAddr, all: &[Address]) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // An IPv6 wildcard also takes the IPv4 port, unless somebody asked for that one apart.
        let is_twin = |it: SocketAddr| it.is_ipv4() && it.port() == address.port();
        socket.set_only_v6(all.iter().filter_map(Address::tcp).any(is_twin))?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let found = fs::symlink_metadata(path)?;
    let file = SocketFile { path: path.to_owned(), identity: (found.dev(), found.ino()) };
    // Before it listens: nobody gets in by what the umask left open.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

/// Removes the socket that a killed server has left, and nothing else.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        let what = "there is a file of this name, and it is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            // Should it stay, the next start clears it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
