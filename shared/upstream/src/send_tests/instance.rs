//! A scripted instance: reads requests from real connections, writes down what it saw, and behaves as told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What an instance does with one request, once its head and its body of known length have been read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Writes these bytes and goes on reading requests.
    Say(&'static str),
    /// Writes these bytes and closes.
    SayAndClose(&'static str),
    /// Closes in order.
    Close,
    /// Closes with a RST.
    Reset,
    /// Keeps the connection and never answers; notices when the other side is gone.
    Nothing,
    /// Writes these bytes, then returns whatever comes.
    SayAndEcho(&'static str),
}

pub(super) const OK: Act = Act::Say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

/// What an instance saw.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Connections accepted.
    pub(super) connections: Cell<usize>,
    /// Connections whose end it has seen or made.
    pub(super) closed: Cell<usize>,
    /// The head and body of every request that was read whole.
    pub(super) requests: RefCell<Vec<String>>,
}

impl Ledger {
    pub(super) fn count(&self) -> usize {
        self.requests.borrow().len()
    }

    pub(super) fn last(&self) -> String {
        self.requests.borrow().last().cloned().unwrap_or_default()
    }
}

/// A running instance.
pub(super) struct Instance {
    pub(super) address: String,
    pub(super) ledger: Rc<Ledger>,
    task: tokio::task::JoinHandle<()>,
}

impl Instance {
    /// One that does `act` with the request of that number, counted from 0 over all connections.
    pub(super) async fn start(act: impl Fn(usize) -> Act + 'static) -> Self {
        Self::accepting(move |socket, ledger| {
            let act = act(ledger.count());
            async move { serve(socket, ledger, act).await }
        })
        .await
    }

    /// One that does the same with every request.
    pub(super) async fn always(act: Act) -> Self {
        Self::start(move |_| act).await
    }

    /// One that closes connections without reading.
    pub(super) async fn closing_at_once() -> Self {
        Self::accepting(|socket, ledger: Rc<Ledger>| async move {
            drop(socket);
            ledger.closed.set(ledger.closed.get() + 1);
        })
        .await
    }

    /// One whose connections a test handles itself.
    pub(super) async fn accepting<F>(handle: impl Fn(TcpStream, Rc<Ledger>) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        let ledger = Rc::new(Ledger::default());
        let seen = Rc::clone(&ledger);
        let task = tokio::task::spawn_local(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("accept");
                seen.connections.set(seen.connections.get() + 1);
                tokio::task::spawn_local(handle(socket, Rc::clone(&seen)));
            }
        });
        Self { address, ledger, task }
    }

    /// Stops listening: further connections are refused. Those that are open stay.
    pub(super) async fn stop_listening(self) -> Rc<Ledger> {
        self.task.abort();
        let _ = self.task.await;
        self.ledger
    }
}

/// Addresses in the order in which a service's set has them.
pub(super) fn sorted<const N: usize>(mut instances: [Instance; N]) -> [Instance; N] {
    instances.sort_by_key(|instance| instance.address.parse::<std::net::SocketAddr>().expect("address"));
    instances
}

/// Where nobody listens.
pub(super) async fn nobody() -> String {
    Instance::always(OK).await.refuse().await
}

impl Instance {
    async fn refuse(self) -> String {
        let address = self.address.clone();
        self.stop_listening().await;
        address
    }
}

async fn serve(mut socket: TcpStream, ledger: Rc<Ledger>, act: Act) {
    let mut again = Some(act);
    while let Some(request) = read_request(&mut socket).await {
        ledger.requests.borrow_mut().push(request);
        again = behave(&mut socket, act).await;
        if again.is_none() {
            break;
        }
    }
    if again.is_none() && matches!(act, Act::Reset) {
        socket.set_zero_linger().expect("linger");
    }
    drop(socket);
    ledger.closed.set(ledger.closed.get() + 1);
}

async fn behave(socket: &mut TcpStream, act: Act) -> Option<Act> {
    let mut rest = [0_u8; 4096];
    match act {
        Act::Say(text) => socket.write_all(text.as_bytes()).await.ok().map(|()| act),
        Act::SayAndClose(text) => {
            socket.write_all(text.as_bytes()).await.ok()?;
            None
        }
        Act::Close | Act::Reset => None,
        Act::Nothing => {
            while socket.read(&mut rest).await.is_ok_and(|read| read > 0) {}
            None
        }
        Act::SayAndEcho(text) => {
            socket.write_all(text.as_bytes()).await.ok()?;
            loop {
                match socket.read(&mut rest).await {
                    Ok(read) if read > 0 => socket.write_all(&rest[..read]).await.ok()?,
                    _ => return None,
                }
            }
        }
    }
}

/// Head and body of one request as they came; `None` when the connection ended. Chunks are kept as they are.
pub(super) async fn read_request(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(io.read_u8().await.ok()?));
    }
    let head = text.to_ascii_lowercase();
    if let Some(length) = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok()) {
        let mut body = vec![0; length];
        io.read_exact(&mut body).await.ok()?;
        text.push_str(&String::from_utf8_lossy(&body));
    } else if head.contains("transfer-encoding: chunked") {
        let start = text.len();
        while !text[start..].ends_with("\r\n\r\n") || !(text[start..].starts_with("0\r\n") || text[start..].contains("\r\n0\r\n")) {
            text.push(char::from(io.read_u8().await.ok()?));
        }
    }
    Some(text)
}
