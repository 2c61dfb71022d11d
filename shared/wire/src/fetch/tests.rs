//! Against a server in the test, over real sockets: what it may say, and what is refused of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hickory_proto::rr::RecordType;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_http::HttpClient;
use scripted_dns::records::address;
use scripted_dns::reply::Reply;
use scripted_dns::server::ScriptedDns;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::fetch::fault::FetchFault;
use crate::fetch::otlp::OtlpClient;
use crate::fetch::{FetchLimits, FetchTerms, Fetcher};
use crate::resolver::Names;
use crate::tasks::Tasks;
use crate::tls::certificate::Certificate;
use crate::tls::forge::{Ca, Folder, Leaf, NOW};
use crate::tls::provider::TlsMinimum;
use crate::tls::roots::{Believed, Roots};
use crate::tls::server::{ServerTerms, ServerTls};

const LIMIT: usize = 1024;
/// For servers that are slow on purpose.
const HASTY: FetchLimits = FetchLimits { connect: Duration::from_millis(5_000), total: Duration::from_millis(300) };

type Answer = Response<BoxBody<Bytes, Infallible>>;
type Seen = Arc<Mutex<Vec<Request<()>>>>;

/// A document server: plain, or behind TLS as `issuer.demo`. It ends with its owner.
struct Documents {
    address: SocketAddr,
    seen: Seen,
    _tasks: JoinSet<()>,
}

impl Documents {
    async fn start(tls: Option<ServerTls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Seen::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, tls, Arc::clone(&seen)));
        Self { address, seen, _tasks: tasks }
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn serve(listener: TcpListener, tls: Option<ServerTls>, seen: Seen) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
            let http = hyper::server::conn::http1::Builder::new();
            let _ = match tls {
                None => http.serve_connection(TokioIo::new(stream), service).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok((stream, _)) => http.serve_connection(TokioIo::new(stream), service).await,
                    Err(_) => Ok(()),
                },
            };
        });
    }
}

async fn answer(request: Request<Incoming>, seen: Seen) -> Result<Answer, Infallible> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    seen.lock().unwrap().push(Request::from_parts(parts, ()));
    let (mut status, mut kind, mut document) = (200, "application/json", Bytes::from_static(b"{\"keys\":[]}"));
    match path.as_str() {
        "/redirect" => status = 302,
        "/missing" => status = 404,
        "/no-content" => status = 204,
        "/jwk-set" => kind = "Application/JWK-Set+JSON; charset=utf-8",
        "/html" => kind = "text/html",
        "/jsonp" => kind = "application/jsonp",
        "/untyped" => kind = "",
        "/at-limit" => document = vec![b' '; LIMIT].into(),
        "/above-limit" => document = vec![b' '; LIMIT + 1].into(),
        "/endless" => return Ok(Response::builder().header("content-type", kind).body(BoxBody::new(Endless)).unwrap()),
        "/silent" => std::future::pending().await,
        "/echo" => document = body.collect().await.unwrap().to_bytes(),
        _ => {}
    }
    let mut response = Response::builder().status(status).header("location", "/");
    if !kind.is_empty() {
        response = response.header("content-type", kind);
    }
    Ok(response.body(Full::new(document).boxed()).unwrap())
}

/// A body without a length and without an end.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 100])))))
    }
}

fn fetcher(names: Names, roots: &Roots) -> Fetcher {
    Fetcher::new(Arc::new(names), &terms(roots)).unwrap()
}

fn terms(roots: &Roots) -> FetchTerms {
    FetchTerms::of(Believed::read(roots).unwrap())
}

fn tasks() -> Tasks {
    Tasks::on(Handle::current())
}

fn plain() -> Fetcher {
    fetcher(Names::servers(&[], &tasks()), &Roots::WebPki)
}

async fn code(fetcher: &Fetcher, url: &str) -> &'static str {
    match fetcher.get_json(url, LIMIT, true).await {
        Ok(_) => "ok",
        Err(fault) => fault.code(),
    }
}

#[tokio::test]
async fn a_document_comes_whole_and_is_asked_for_without_extras() {
    let documents = Documents::start(None).await;
    let document = plain().get_json(&documents.url("/keys?a=b"), LIMIT, true).await.unwrap();
    assert_eq!(document, "{\"keys\":[]}");
    let seen = documents.seen.lock().unwrap();
    let headers = seen[0].headers();
    assert_eq!(headers.get("accept").unwrap(), "application/json");
    assert!(headers.get("user-agent").unwrap().to_str().unwrap().starts_with("two-tier-gateway/"));
    for absent in ["cookie", "referer", "authorization", "accept-encoding"] {
        assert!(headers.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn only_a_json_document_of_bounded_size_is_taken() {
    let documents = Documents::start(None).await;
    let fetcher = plain();
    let cases = [
        ("/keys", "ok"),
        ("/jwk-set", "ok"),
        ("/at-limit", "ok"),
        ("/above-limit", "too-large"),
        ("/endless", "too-large"),
        ("/redirect", "redirect-refused"),
        ("/missing", "status"),
        ("/no-content", "status"),
        ("/html", "not-json"),
        ("/jsonp", "not-json"),
        ("/untyped", "not-json"),
    ];
    for (path, expected) in cases {
        assert_eq!(code(&fetcher, &documents.url(path)).await, expected, "{path}");
    }
    assert_eq!(documents.requests(), cases.len(), "one request each: no redirect was followed, nothing was repeated");
}

#[tokio::test]
async fn what_must_not_be_asked_is_not_asked() {
    let documents = Documents::start(None).await;
    let fetcher = plain();
    let refused = fetcher.get_json(&documents.url("/keys"), LIMIT, false).await.unwrap_err();
    assert_eq!(refused.code(), "scheme-refused");
    let port = documents.address.port();
    for (url, expected) in [
        (format!("ftp://127.0.0.1:{port}/"), "scheme-refused"),
        ("file:///etc/passwd".to_owned(), "scheme-refused"),
        ("keys".to_owned(), "url-malformed"),
        (String::new(), "url-malformed"),
        (format!("http://user:word@127.0.0.1:{port}/"), "url-malformed"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "address-refused"),
        ("http://2852039166/".to_owned(), "address-refused"),
        ("http://0xa9.0xfe.0xa9.0xfe/".to_owned(), "address-refused"),
        ("http://[fe80::1]/".to_owned(), "address-refused"),
        ("http://[fd00:ec2::254]/".to_owned(), "address-refused"),
        ("http://[::ffff:169.254.169.254]/".to_owned(), "address-refused"),
        ("http://0.0.0.0/".to_owned(), "address-refused"),
    ] {
        assert_eq!(code(&fetcher, &url).await, expected, "{url}");
    }
    assert_eq!(documents.requests(), 0);
}

#[tokio::test]
async fn names_are_resolved_by_our_service_and_may_not_lead_to_refused_addresses() {
    let (dns, documents) = (ScriptedDns::start().await, Documents::start(None).await);
    let port = documents.address.port();
    dns.set("issuer.demo", RecordType::A, Reply::records(vec![address("issuer.demo.", 60, "127.0.0.1")]));
    dns.set(
        "evil.demo",
        RecordType::A,
        Reply::records(vec![address("evil.demo.", 60, "127.0.0.1"), address("evil.demo.", 60, "169.254.169.254")]),
    );
    let fetcher = fetcher(Names::servers(&[dns.address()], &tasks()), &Roots::WebPki);
    assert_eq!(code(&fetcher, &format!("http://issuer.demo:{port}/keys")).await, "ok");
    assert_eq!(code(&fetcher, &format!("http://evil.demo:{port}/keys")).await, "address-refused");
    let fault = fetcher.get_json(&format!("http://gone.demo:{port}/keys?code=hush"), LIMIT, true).await.unwrap_err();
    assert_eq!((fault.code(), fault.to_string().as_str()), ("name-unresolved", "the host cannot be resolved: the name does not exist"));
    assert_eq!(documents.requests(), 1);

    // The same names, for those who have allowed the network by name.
    let allowed = FetchTerms { allowed: Arc::new(["169.254.169.254/32".parse().unwrap()]), ..terms(&Roots::WebPki) };
    let next = fetcher.ahead(&allowed).unwrap();
    assert_eq!(code(&next, &format!("http://evil.demo:{port}/keys")).await, "ok");
    assert_eq!(code(&fetcher, &format!("http://evil.demo:{port}/keys")).await, "address-refused", "nothing changes before it is settled");
    next.settle();
    assert_eq!(code(&fetcher, &format!("http://evil.demo:{port}/keys")).await, "ok");
    let literal = |url| super::check_url(url, true, &allowed.allowed).map(|_| ());
    assert_eq!(literal("http://169.254.169.254/"), Ok(()));
    assert_eq!(literal("http://[::ffff:169.254.169.254]/"), Ok(()), "it is the same address to the kernel");
    assert_eq!(literal("http://169.254.169.253/"), Err(FetchFault::AddressRefused));
}

#[tokio::test]
async fn a_server_that_is_silent_or_not_there_is_given_up() {
    let documents = Documents::start(None).await;
    let hasty = Fetcher::within(Arc::new(Names::servers(&[], &tasks())), &terms(&Roots::WebPki), HASTY).unwrap();
    assert_eq!(code(&hasty, &documents.url("/silent")).await, "timeout");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = plain().get_json(&format!("http://{gone}/keys?code=hush"), LIMIT, true).await.unwrap_err();
    assert_eq!(fault.code(), "connect-failed");
    assert!(!fault.to_string().contains("hush"), "{fault}");
}

#[tokio::test]
async fn over_tls_only_the_given_roots_are_believed() {
    let (folder, ca) = (Folder::new(), Ca::new("ca"));
    let roots = Roots::File(folder.write("ca.pem", &ca.pem));
    let (chain, key) = ca.issue(&Leaf::dns(&["issuer.demo"])).lay(&folder, "issuer");
    let certificates = vec![Certificate::load(&chain, &key, NOW).unwrap()];
    let tls = ServerTls::new(&ServerTerms { certificates, clients: None, minimum: TlsMinimum::Tls12, alpn: vec![b"http/1.1"] }).unwrap();
    let (dns, documents) = (ScriptedDns::start().await, Documents::start(Some(tls)).await);
    for name in ["issuer.demo", "other.demo"] {
        dns.set(name, RecordType::A, Reply::records(vec![address(&format!("{name}."), 60, "127.0.0.1")]));
    }
    let names = || Names::servers(&[dns.address()], &tasks());
    let url = format!("https://issuer.demo:{}/keys", documents.address.port());
    assert_eq!(fetcher(names(), &roots).get_json(&url, LIMIT, false).await.unwrap(), "{\"keys\":[]}");
    let fault = fetcher(names(), &Roots::WebPki).get_json(&url, LIMIT, false).await.unwrap_err();
    assert_eq!(fault.to_string(), "the TLS handshake failed: peer-certificate-untrusted");
    // Roots that are about to be believed are those of whoever starts with them, until they serve; then they are everybody's.
    let web = fetcher(names(), &Roots::WebPki);
    let exporter = web.clone();
    let next = web.ahead(&terms(&roots)).unwrap();
    assert_eq!((code(&next, &url).await, code(&exporter, &url).await), ("ok", "tls-failed"));
    next.settle();
    assert_eq!((code(&next, &url).await, code(&exporter, &url).await), ("ok", "ok"));
    web.ahead(&terms(&Roots::WebPki)).unwrap().settle();
    assert_eq!((code(&next, &url).await, code(&exporter, &url).await), ("tls-failed", "tls-failed"), "what has settled follows the others");
    let other = url.replace("issuer", "other");
    let fault = fetcher(names(), &roots).get_json(&other, LIMIT, false).await.unwrap_err();
    assert_eq!(fault.to_string(), "the TLS handshake failed: tls-peer-knows-no-such-name");
}

/// The exporter waits on a thread without a runtime.
#[tokio::test]
async fn spans_leave_from_a_thread_of_their_own() {
    let documents = Documents::start(None).await;
    let client = OtlpClient::new(&plain(), tasks());
    let requests = ["/echo", "/missing"].map(|path| Request::post(documents.url(path)).body(Bytes::from_static(b"spans")).unwrap());
    let (done, answers) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = done.send(requests.map(|request| block_on(client.send_bytes(request)).unwrap()));
    });
    let [echo, missing] = answers.await.unwrap();
    assert_eq!((echo.status().as_u16(), echo.body().as_ref()), (200, &b"spans"[..]));
    assert_eq!(missing.status().as_u16(), 404);
}

/// As little of a runtime as the exporter has.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}
