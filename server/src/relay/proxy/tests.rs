//! Headers whole, cut at every byte, and wrong.

use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::*;

/// Gives one byte a call, and every second time nothing at first.
struct Dripping {
    bytes: Cursor<Vec<u8>>,
    is_late: bool,
}

impl Dripping {
    fn new(bytes: &[u8]) -> Dripping {
        Dripping { bytes: Cursor::new(bytes.to_vec()), is_late: false }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes.get_ref()[self.bytes.position() as usize..]
    }
}

impl AsyncRead for Dripping {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.is_late = !self.is_late;
        if self.is_late {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let at = self.bytes.position() as usize;
        if let Some(byte) = self.bytes.get_ref().get(at).copied() {
            into.put_slice(&[byte]);
            self.bytes.set_position(at as u64 + 1);
        }
        Poll::Ready(Ok(()))
    }
}

type Found = Result<Option<SocketAddr>, Error>;

/// What is read, and what is left for the request.
fn read_all(bytes: &[u8]) -> (Found, Vec<u8>) {
    let mut stream = Dripping::new(bytes);
    let found = futures::executor::block_on(read(&mut stream));
    (found, stream.rest().to_vec())
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().expect("an address"))
}

/// A header of version 2 with these fields and so many bytes of extensions.
fn v2(command: u8, family: u8, addresses: &[u8], extensions: &[u8]) -> Vec<u8> {
    let length = (addresses.len() + extensions.len()) as u16;
    let mut bytes = v2::PROTOCOL_PREFIX.to_vec();
    bytes.extend([command, family]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(addresses);
    bytes.extend(extensions);
    bytes
}

const FOUR: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

#[test]
fn a_header_is_read_to_its_last_byte_and_no_further() {
    let mut six = [0; 36];
    six[..4].copy_from_slice(&[0x20, 1, 0x0D, 0xB8]);
    six[15] = 7;
    six[32..34].copy_from_slice(&[0x12, 0x67]);
    let extension = [0x04, 0, 3, 1, 2, 3];
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(), address("192.0.2.1:4711")),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec(), address("[2001:db8::7]:4711")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN whatever else there is\r\n".to_vec(), None),
        (v2(0x21, 0x11, &FOUR, &[]), address("192.0.2.1:4711")),
        (v2(0x21, 0x11, &FOUR, &extension), address("192.0.2.1:4711")),
        (v2(0x21, 0x21, &six, &extension), address("[2001:db8::7]:4711")),
        (v2(0x21, 0x31, &[0; 216], &[]), None),
        (v2(0x20, 0x00, &[], &[]), None),
        (v2(0x20, 0x11, &FOUR, &[]), None),
        (v2(0x21, 0x00, &[], &extension), None),
    ] {
        let request = b"GET / HTTP/1.1\r\n\r\n";
        let (found, rest) = read_all(&[&header, request.as_slice()].concat());
        let shown = String::from_utf8_lossy(&header);
        assert_eq!(found.unwrap_or_else(|error| panic!("{shown}: {error}")), client, "{shown}");
        assert_eq!(rest, request, "{shown}");
        for end in 0..header.len() {
            assert!(matches!(read_all(&header[..end]).0, Err(Error::Io(_))), "{end} of {shown}");
        }
    }
}

#[test]
fn what_is_no_header_is_no_connection() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"]
    {
        assert!(matches!(read_all(bytes).0, Err(Error::Missing)));
    }
    let long = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100], b"\r\n"].concat();
    for bytes in [
        &b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n"[..],
        b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 65536\r\n",
        b"PROXY TCP4 2001:db8::7 10.0.0.1 4711 80\r\n",
        b"PROXY TCP4 192.0.2.999 10.0.0.1 4711 80\r\n",
        b"PROXY UDP4 192.0.2.1 10.0.0.1 4711 80\r\n",
        b"PROXY  TCP4 192.0.2.1 10.0.0.1 4711 80\r\n",
        &long,
        &v2(0x11, 0x11, &FOUR, &[]),
        &v2(0x22, 0x11, &FOUR, &[]),
        &v2(0x21, 0x41, &FOUR, &[]),
        &v2(0x21, 0x11, &FOUR[..11], &[]),
        &v2(0x21, 0x11, &FOUR, &[0; 3000]),
    ] {
        let (found, _) = read_all(bytes);
        assert!(matches!(found, Err(Error::Malformed)), "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn the_longest_line_is_107_bytes() {
    let line =
        |filling: usize| [b"PROXY UNKNOWN ".as_slice(), &vec![b'x'; filling], b"\r\n"].concat();
    assert_eq!(line(91).len(), V1_BYTES_MAX);
    assert!(read_all(&line(91)).0.is_ok());
    assert!(matches!(read_all(&line(92)).0, Err(Error::Malformed)));
    // No end in sight: it stops reading.
    let (found, rest) = read_all(&[b"PROXY ".as_slice(), &[b'x'; 10_000]].concat());
    assert!(matches!(found, Err(Error::Malformed)));
    assert_eq!(rest.len(), 10_006 - V1_BYTES_MAX);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_beyond_its_bounds(
        version in 0_usize..3,
        tail in proptest::collection::vec(any::<u8>(), 0..3_000),
    ) {
        let start: &[u8] = [&b""[..], b"PROXY ", v2::PROTOCOL_PREFIX][version];
        let bytes = [start, &tail].concat();
        let (found, rest) = read_all(&bytes);
        prop_assert!(bytes.len() - rest.len() <= V2_BYTES_MAX);
        if let Ok(Some(client)) = found {
            prop_assert!(version > 0, "{client} out of nothing");
        }
    }

    #[test]
    fn every_address_is_read_as_it_was_written(octets in any::<[u8; 4]>(), port in any::<u16>()) {
        let client = SocketAddr::from((octets, port));
        let line = format!("PROXY TCP4 {} 10.0.0.1 {port} 80\r\n", client.ip());
        prop_assert_eq!(read_all(line.as_bytes()).0.expect("a header"), Some(client));
        let addresses = [&octets[..], &[10, 0, 0, 1], &port.to_be_bytes(), &[0, 80]].concat();
        let header = v2(0x21, 0x11, &addresses, &[]);
        prop_assert_eq!(read_all(&header).0.expect("a header"), Some(client));
    }
}
