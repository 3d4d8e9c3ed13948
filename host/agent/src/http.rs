//! The HTTP server of the daemon and the operator: `/healthz`, `/readyz`, `/metrics` and, for the daemon, `/status`.
//! Clients can change nothing through it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The largest number of open connections. A further connection closes the oldest one without a request, so that a
/// client that sends its request at once is answered, however many idle clients there are.
const CONNECTIONS: usize = 64;
/// The shortest time that a connection stays open, so that a request sent at once is read, however fast others connect.
/// No further connection is accepted in this time; if it were much longer, the accept queue of the kernel would
/// overflow.
const GRACE: Duration = Duration::from_millis(2);
/// The longest time that the head of a request may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(2);
/// The longest time of one request, from its first byte to the last byte of the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of a request or an answer that is read, in bytes.
const MAX_HEAD: usize = 16 << 10;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answers of a process to HTTP requests.
pub trait Answers: Send + Sync + 'static {
    /// Returns whether the process makes progress; otherwise it should be restarted.
    fn is_alive(&self) -> bool;
    /// Returns whether the process is ready.
    fn is_ready(&self) -> bool;
    /// Returns the metrics in the text format of Prometheus.
    fn metrics(&self) -> String;
    /// Returns whether the process serves `/status`.
    fn has_status(&self) -> bool {
        false
    }
    /// Returns the status as JSON, with at most the given number of runs of each manifest.
    fn status(&self, _runs: usize) -> String {
        String::new()
    }
}

/// Binds the address.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("the address {address} cannot be listened on; name another with --listen, or none"))
}

/// Serves answers until the process ends.
pub async fn serve(listener: TcpListener, who: Arc<impl Answers>) {
    let mut open = Open::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => open.take(stream, Arc::clone(&who)).await,
            Err(error) => {
                // For example, no file descriptor is left; one may be free a moment later.
                tracing::debug!("a connection was not accepted: {error}");
                open.make_room();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The open connections, oldest first.
#[derive(Default)]
struct Open(VecDeque<Connection>);

struct Connection {
    /// Set once the request has been read.
    has_asked: Arc<AtomicBool>,
    since: Instant,
    task: AbortHandle,
}

impl Open {
    async fn take(&mut self, stream: TcpStream, who: Arc<impl Answers>) {
        loop {
            self.0.retain(|connection| !connection.task.is_finished());
            if self.0.len() < CONNECTIONS {
                break;
            }
            let first = self.first_to_close().and_then(|at| self.0.get(at));
            match first.map(|connection| GRACE.saturating_sub(connection.since.elapsed())) {
                Some(wait) if !wait.is_zero() => tokio::time::sleep(wait).await,
                _ => self.make_room(),
            }
        }
        let has_asked = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(answered(stream, who, Arc::clone(&has_asked))).abort_handle();
        self.0.push_back(Connection { has_asked, since: Instant::now(), task });
    }

    /// Returns the place of the oldest connection without a request or, if all have sent one, of the oldest connection.
    fn first_to_close(&self) -> Option<usize> {
        let idle = self.0.iter().position(|connection| !connection.has_asked.load(Ordering::Relaxed));
        idle.or((!self.0.is_empty()).then_some(0))
    }

    fn make_room(&mut self) {
        if let Some(connection) = self.first_to_close().and_then(|at| self.0.remove(at)) {
            connection.task.abort();
        }
    }
}

async fn answered(stream: TcpStream, who: Arc<impl Answers>, has_asked: Arc<AtomicBool>) {
    let service = service_fn(|request| {
        has_asked.store(true, Ordering::Relaxed);
        let answer = answer(&request, &*who);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = server::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a request was not answered: {error}"),
        Err(_) => tracing::debug!("a request took too long"),
    }
}

fn answer(request: &Request<Incoming>, who: &impl Answers) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "there is nothing to be changed here\n");
    }
    let ok = |kind, text| response(StatusCode::OK, kind, text);
    match request.uri().path() {
        "/healthz" if who.is_alive() => ok(TEXT, "ok\n".to_owned()),
        "/healthz" => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "it does not go on\n"),
        "/readyz" if who.is_ready() => ok(TEXT, "ok\n".to_owned()),
        "/readyz" => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, "it is about to end, or has yet to begin\n"),
        "/metrics" => ok(METRICS, who.metrics()),
        "/status" if who.has_status() => match runs(request.uri().query()) {
            Some(runs) => ok(JSON, who.status(runs)),
            None => response(StatusCode::BAD_REQUEST, TEXT, "the only question is runs=NUMBER\n"),
        },
        _ if who.has_status() => {
            response(StatusCode::NOT_FOUND, TEXT, "there are /healthz, /readyz, /metrics and /status\n")
        }
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /healthz, /readyz and /metrics\n"),
    }
}

/// Parses the number of requested runs: all, or the number in `runs=`.
fn runs(query: Option<&str>) -> Option<usize> {
    query.map_or(Some(usize::MAX), |query| query.strip_prefix("runs=")?.parse().ok())
}

fn response(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Sends a request to a daemon, and reads an answer of at most `most` bytes.
pub async fn get(address: SocketAddr, path: &str, most: usize) -> anyhow::Result<Bytes> {
    let answer = tokio::time::timeout(PATIENCE, asked(address, path, most)).await;
    answer.context("it did not answer in time").flatten().with_context(|| {
        format!("the daemon does not answer on {address}; name the address that it listens on with --address")
    })
}

async fn asked(address: SocketAddr, path: &str, most: usize) -> anyhow::Result<Bytes> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        client::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    anyhow::ensure!(status.is_success(), "it answers with {status}");
    let body = Limited::new(response.into_body(), most).collect().await;
    Ok(body.map_err(|error| anyhow::anyhow!("its answer cannot be read: {error}"))?.to_bytes())
}

#[cfg(test)]
mod tests;
