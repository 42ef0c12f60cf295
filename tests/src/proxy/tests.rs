//! The proxy passes bytes on unharmed, and does what its plan says.

use super::*;

async fn echo_server() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    (address, serving)
}

#[tokio::test]
async fn bytes_arrive_whole_and_in_order_however_they_are_delayed() {
    let (target, _serving) = echo_server().await;
    let proxy = Proxy::start(target, 1).await.unwrap();
    proxy.set_faults(Faults { delay_ms_max: 3, drip_one_in: 2, ..Faults::default() });
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let sent: Vec<u8> = (0..2_000_u32).map(|n| n as u8).collect();
    for piece in sent.chunks(100) {
        stream.write_all(piece).await.unwrap();
    }
    let mut heard = vec![0; sent.len()];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut heard))
        .await
        .expect("all of it arrives in time")
        .unwrap();
    assert_eq!(heard, sent);
    let occurred = proxy.occurred();
    assert!(occurred.delays > 0 && occurred.drips > 0, "{occurred:?}");
}

#[tokio::test]
async fn a_shut_proxy_cuts_what_stands_and_lets_nobody_in() {
    let (target, _serving) = echo_server().await;
    let proxy = Proxy::start(target, 2).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"a").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'a');

    proxy.shut();
    assert!(stream.read_u8().await.is_err());
    let mut late = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(late.read_u8().await.is_err());

    proxy.open();
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    again.write_all(b"b").await.unwrap();
    assert_eq!(again.read_u8().await.unwrap(), b'b');
}

#[tokio::test]
async fn a_plan_with_cuts_cuts() {
    let (target, _serving) = echo_server().await;
    let proxy = Proxy::start(target, 3).await.unwrap();
    proxy.set_faults(Faults { cut_one_in: 1, ..Faults::default() });
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    assert!(stream.read_exact(&mut [0; 5]).await.is_err());
    assert_eq!(proxy.occurred().cuts, 1);
}
