//! Notifications to systemd: readiness, reloads, stopping and watchdog pings. Without systemd, none is sent.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The service manager's socket, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    socket: Option<UnixDatagram>,
    /// The watchdog interval of the service manager, if it has one.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads the socket and the watchdog interval from the environment (`NOTIFY_SOCKET`, `WATCHDOG_USEC`).
    pub(crate) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let socket = variable("NOTIFY_SOCKET").and_then(|name| match connect(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!("the service manager cannot be notified: NOTIFY_SOCKET {name}: {error}");
                None
            }
        });
        let own = variable("WATCHDOG_PID").is_none_or(|id| id == std::process::id().to_string());
        let watchdog = variable("WATCHDOG_USEC").and_then(|time| time.parse().ok()).map(Duration::from_micros);
        Self { watchdog: watchdog.filter(|time| own && socket.is_some() && !time.is_zero()), socket }
    }

    /// Returns the longest time until the next [`Notifier::alive`]: half the watchdog interval.
    pub(crate) fn beat(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 2)
    }

    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    pub(crate) fn alive(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(message.as_bytes()) {
            tracing::debug!("the service manager was not notified of {message:?}: {error}");
        }
    }
}

/// Connects to the socket. A name that begins with `@` is in the abstract namespace, not a path.
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A service manager that does not read must not block the daemon.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
