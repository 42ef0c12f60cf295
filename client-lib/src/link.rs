//! The task that keeps one replica connected: connect, pump frames both ways, wait, connect again.
//! Started by [`crate::replica`]; what frames mean is [`crate::state`]'s business.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::backoff::Waits;
use crate::error::Stop;
use crate::presence::RENEW_EVERY;
use crate::replica::{Options, Status};
use crate::state::State;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server that accepts the connection and then says nothing must not hold the link for ever.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a polite goodbye may take before the socket is just dropped.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);
/// tungstenite allocates this for every socket; its 128 KiB would make a thousand replicas cost 128
/// MiB.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// An answer may hold a whole document in one message; tungstenite's own bound for messages.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What a room's name may not hold unescaped in a request line. `/` stays: it parts the path.
const ESCAPED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'`');

/// How a connection ended.
enum End {
    /// Somebody called `disconnect`, or the replica is gone.
    Unwanted,
    /// It broke, or was closed with a code that says "come again".
    Broken,
    /// The server will not have us.
    Final(Stop),
}

/// Runs the link until the replica is dropped or the server refuses it for good.
pub(crate) async fn run(state: Arc<State>, options: Options, mut wanted: watch::Receiver<bool>) {
    let mut waits = Waits::new(options.backoff, options.seed);
    loop {
        if !*wanted.borrow_and_update() {
            state.set_status(Status::Offline);
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        state.set_status(Status::Connecting);
        let end = connection(&state, &options, &mut wanted, &mut waits).await;
        match end {
            End::Unwanted => state.closed(Status::Offline),
            End::Broken => {
                state.closed(Status::Connecting);
                // Either the wait is over or somebody changed their mind; both mean: look again.
                let _ = timeout(waits.next(), wanted.changed()).await;
            }
            End::Final(stop) => {
                state.closed(Status::Stopped(stop));
                return;
            }
        }
    }
}

/// One connection from its first byte to its last.
async fn connection(
    state: &State,
    options: &Options,
    wanted: &mut watch::Receiver<bool>,
    waits: &mut Waits,
) -> End {
    let connected = tokio::select! {
        connected = connect(options) => connected,
        _ = wanted.changed() => return End::Unwanted,
    };
    let socket = match connected {
        Ok(socket) => socket,
        Err(end) => return end,
    };
    state.opened();
    let mut status = state.status();
    let (mut sink, mut stream) = socket.split();
    // Read and write side by side: a link that stops reading while it writes would deadlock with a
    // server that does the same.
    let end = tokio::select! {
        end = read(state, &mut stream, options.silence_max) => end,
        end = write(state, &mut sink) => end,
        end = tend(state, &mut status, waits) => end,
        _ = wanted.changed() => End::Unwanted,
    };
    if matches!(end, End::Unwanted) {
        let goodbye = async {
            if let Some(frame) = state.farewell() {
                sink.send(Message::binary(frame)).await?;
            }
            sink.close().await?;
            while stream.next().await.is_some_and(|read| read.is_ok()) {}
            Ok::<(), Error>(())
        };
        // A server that does not answer is left behind.
        let _ = timeout(CLOSE_TIME_MAX, goodbye).await;
    }
    end
}

async fn connect(options: &Options) -> Result<Socket, End> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let connecting = connect_async_with_config(request(options)?, Some(config), true);
    match timeout(CONNECT_TIME_MAX, connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(Error::Http(response))) => {
            let status = response.status().as_u16();
            let is_final = (400..500).contains(&status) && ![408, 425, 429].contains(&status);
            Err(if is_final { End::Final(Stop::Refused { status }) } else { End::Broken })
        }
        Ok(Err(Error::Url(reason))) => Err(End::Final(Stop::Address(reason.to_string()))),
        Ok(Err(reason)) => {
            tracing::debug!(%reason, "no connection");
            Err(End::Broken)
        }
        Err(_) => Err(End::Broken),
    }
}

fn request(options: &Options) -> Result<Request, End> {
    let server = options.url.trim_end_matches('/');
    let address = format!("{server}/{}", utf8_percent_encode(&options.room, ESCAPED));
    let mut request = address
        .into_client_request()
        .map_err(|reason| End::Final(Stop::Address(reason.to_string())))?;
    if let Some(token) = &options.token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| End::Final(Stop::Address("the token is no header value".to_owned())))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

async fn read<S>(state: &State, stream: &mut S, silence_max: Duration) -> End
where
    S: StreamExt<Item = Result<Message, Error>> + Unpin,
{
    loop {
        match timeout(silence_max, stream.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                if let Err(reason) = state.receive(&bytes) {
                    tracing::warn!(%reason, "the server sent what this replica cannot take");
                    return End::Broken;
                }
            }
            Ok(Some(Ok(Message::Close(Some(close))))) => {
                let code = u16::from(close.code);
                tracing::debug!(code, reason = %close.reason, "closed by the server");
                return if (4400..4500).contains(&code) {
                    End::Final(Stop::Closed { code, reason: close.reason.to_string() })
                } else {
                    End::Broken
                };
            }
            Ok(Some(Ok(Message::Close(None)) | Err(_)) | None) | Err(_) => return End::Broken,
            Ok(Some(Ok(_))) => {} // text has no meaning here; pings are answered by tungstenite
        }
    }
}

async fn write<S>(state: &State, sink: &mut S) -> End
where
    S: SinkExt<Message, Error = Error> + Unpin,
{
    let mut frames = Vec::new();
    loop {
        state.outbox_filled.notified().await;
        state.take_frames(&mut frames);
        for frame in frames.drain(..) {
            if sink.feed(Message::binary(frame)).await.is_err() {
                return End::Broken;
            }
        }
        if sink.flush().await.is_err() {
            return End::Broken;
        }
    }
}

/// Renews the own presence, drops that of others, and forgives past failures once synced.
async fn tend(state: &State, status: &mut watch::Receiver<Status>, waits: &mut Waits) -> End {
    if status.wait_for(|status| *status == Status::Synced).await.is_ok() {
        waits.reset();
    }
    let mut tick = tokio::time::interval(RENEW_EVERY);
    tick.tick().await; // the first is immediate, and the outbox has announced us already
    loop {
        tick.tick().await;
        state.renew_presence();
    }
}
