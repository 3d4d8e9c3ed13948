use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// What a kubelet waits for an answer to a probe.
const PROBE: Duration = Duration::from_secs(1);

struct Fine {
    metrics: String,
}

impl Answers for Fine {
    fn is_alive(&self) -> bool {
        true
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn metrics(&self) -> String {
        self.metrics.clone()
    }
}

async fn serving(metrics: usize) -> SocketAddr {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Arc::new(Fine { metrics: "x".repeat(metrics) })));
    address
}

async fn connected(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

async fn wrote(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = connected(address).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Asks as a kubelet does.
async fn probe(address: SocketAddr) -> Result<String, String> {
    let asked = async {
        let mut stream = wrote(address, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = tokio::time::timeout(PROBE, asked).await.map_err(|_| "it takes too long".to_owned())?;
    answer.map_err(|error| error.to_string())
}

async fn is_fine(address: SocketAddr, what: &str) {
    for _ in 0..5 {
        let answer = probe(address).await;
        assert!(answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")), "{what}: {answer:?}");
    }
}

/// Whether the other side has closed it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    match tokio::time::timeout(Duration::from_millis(100), stream.read(&mut byte)).await {
        Ok(read) => read.map_or(true, |count| count == 0),
        Err(_) => false,
    }
}

#[tokio::test]
async fn nobody_who_only_holds_on_keeps_a_probe_from_its_answer() {
    let address = serving(0).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(connected(address).await);
    }
    is_fine(address, "200 idle connections").await;
    for _ in 0..200 {
        held.push(wrote(address, "GET /healthz HTTP/1.1\r\nHost: a\r\nX: ").await);
    }
    is_fine(address, "200 half requests").await;
    for _ in 0..200 {
        held.push(wrote(address, "POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx").await);
    }
    is_fine(address, "200 requests whose bodies do not come").await;
    for _ in 0..200 {
        held.push(wrote(address, &format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100_000))).await);
    }
    is_fine(address, "200 heads without end").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_come_back_at_once_keep_no_probe_from_its_answer() {
    let address = serving(0).await;
    let strangers: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut held = VecDeque::new();
                loop {
                    if let Ok(stream) = TcpStream::connect(address).await {
                        held.push_back(stream);
                    }
                    if held.len() > 25 {
                        held.pop_front();
                    }
                }
            })
        })
        .collect();
    let writer = tokio::spawn(async move {
        loop {
            let mut stream = connected(address).await;
            while stream.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    });
    // A kubelet acts on the third failure in a row. Strangers who use up all of a machine may cost it one.
    let mut failures = Vec::new();
    for _ in 0..50 {
        match probe(address).await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => failures.clear(),
            other => failures.push(other),
        }
        assert!(failures.len() < 3, "{failures:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    strangers.iter().for_each(tokio::task::JoinHandle::abort);
    writer.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_the_answer_keeps_no_probe_from_its_own() {
    // More than the buffers of a socket take.
    let address = serving(2 << 20).await;
    let mut held = Vec::new();
    for _ in 0..150 {
        held.push(wrote(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await);
    }
    is_fine(address, "150 who do not read").await;
}

#[tokio::test]
async fn the_oldest_that_has_not_asked_goes_first() {
    let address = serving(8 << 20).await;
    // Answers that nobody reads are not done with.
    let mut asked = wrote(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut idle = Vec::new();
    for _ in 1..CONNECTIONS {
        idle.push(connected(address).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!is_closed(&mut idle[0]).await, "there is room for all of them");
    let _one_more = connected(address).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(is_closed(&mut idle[0]).await, "the oldest one");
    assert!(!is_closed(&mut idle[1]).await, "and no other");
    let mut answer = vec![0; 15];
    asked.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn half_a_request_is_not_waited_for_long() {
    let address = serving(0).await;
    let begun = Instant::now();
    let mut half = wrote(address, "GET /healthz HTTP/1.1\r\n").await;
    let mut idle = connected(address).await;
    let mut answer = Vec::new();
    // However it is closed.
    drop(half.read_to_end(&mut answer).await);
    drop(idle.read_to_end(&mut answer).await);
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn no_more_of_an_answer_is_read_than_was_asked_for() {
    let address = serving(64 << 10).await;
    let all = get(address, "/metrics", 64 << 10).await.unwrap();
    assert_eq!(all.len(), 64 << 10);
    let error = get(address, "/metrics", (64 << 10) - 1).await.unwrap_err();
    assert!(format!("{error:#}").ends_with("its answer cannot be read: length limit exceeded"), "{error:#}");
    // One whose head never ends, and one that never ends.
    for text in ["HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let wrote = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut sum = 0_usize;
            drop(stream.write_all(text.as_bytes()).await);
            while sum < 64 << 20 && stream.write_all(&[b'x'; 4096]).await.is_ok() {
                sum += 4096;
            }
            sum
        });
        let begun = Instant::now();
        get(address, "/status", 64 << 10).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5), "it is let go of at once");
        assert!(wrote.await.unwrap() < 64 << 20, "{text:?}");
    }
}
