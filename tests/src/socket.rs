//! A WebSocket that says anything: whole frames byte for byte, broken ones too, and reports how it
//! was closed.

use std::time::Duration;

use anyhow::Context;
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// What came, or how the socket ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A binary frame.
    Frame(Vec<u8>),
    /// The server closed with this code; 1005 stands for "without a code".
    Closed(u16),
    /// The connection broke without a close frame.
    Broken,
    /// Nothing within the time given.
    Silence,
}

/// A client without any manners of its own.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Connects to a full URL, room included.
    ///
    /// # Errors
    /// When the upgrade is refused; an HTTP answer is named by its status.
    pub async fn open(url: &str) -> anyhow::Result<Self> {
        let config = WebSocketConfig::default().read_buffer_size(4 << 10);
        match connect_async_with_config(url, Some(config), true).await {
            Ok((stream, _)) => Ok(Self { stream }),
            Err(Error::Http(response)) => anyhow::bail!("HTTP {}", response.status().as_u16()),
            Err(reason) => Err(reason).context("connecting"),
        }
    }

    /// Sends one binary frame.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, bytes: impl Into<Vec<u8>>) -> anyhow::Result<()> {
        self.send_message(Message::binary(bytes.into())).await
    }

    /// Sends any WebSocket message: text, a ping, a raw frame.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_message(&mut self, message: Message) -> anyhow::Result<()> {
        self.stream.send(message).await.context("sending")
    }

    /// The next binary frame, or how it ended. Pings, pongs and text are passed over.
    pub async fn hear(&mut self, within: Duration) -> Heard {
        let hearing = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Heard::Frame(bytes.to_vec()),
                    Some(Ok(Message::Close(close))) => {
                        return Heard::Closed(close.map_or(1005, |close| close.code.into()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Heard::Broken,
                }
            }
        };
        timeout(within, hearing).await.unwrap_or(Heard::Silence)
    }

    /// The next frame for which the condition holds; others are dropped.
    ///
    /// # Errors
    /// When the socket ends or the time is over before it comes.
    pub async fn hear_until(
        &mut self,
        within: Duration,
        mut condition: impl FnMut(&[u8]) -> bool,
    ) -> anyhow::Result<Vec<u8>> {
        let hearing = async {
            loop {
                match self.hear(within).await {
                    Heard::Frame(bytes) if condition(&bytes) => return Ok(bytes),
                    Heard::Frame(_) => {}
                    other => anyhow::bail!("{other:?} instead of the awaited frame"),
                }
            }
        };
        timeout(within, hearing).await.context("the awaited frame did not come")?
    }

    /// Reads to the end and tells how it came; frames on the way are dropped.
    pub async fn end(&mut self, within: Duration) -> Heard {
        let ending = async {
            loop {
                let heard = self.hear(within).await;
                if !matches!(heard, Heard::Frame(_)) {
                    return heard;
                }
            }
        };
        timeout(within, ending).await.unwrap_or(Heard::Silence)
    }

    /// Closes politely.
    pub async fn close(mut self) {
        // A peer that has gone already needs no goodbye.
        let _ = self.stream.close(None).await;
    }
}
