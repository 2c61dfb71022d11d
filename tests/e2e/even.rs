//! What a few long-lived clients ask reaches all workers of tier 2 alike.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tests::rig::Rig;
use tests::rig::client::handshake;
use tests::rig::scene::Scene;

use crate::BINARIES;

const WORKERS: usize = 4;
const CLIENTS: usize = 4;
const REQUESTS_EACH: usize = 400;

/// Requests of each worker of tier 2 so far.
fn counts(rig: &Rig) -> BTreeMap<usize, f64> {
    (0..WORKERS).map(|worker| (worker, rig.routing.metric(&format!("gateway_worker_requests_total{{worker=\"{worker}\"}}")))).collect()
}

/// So many h2 clients, each with so many requests at once over one connection to the end.
fn ask(rig: &Rig, clients: usize, streams: usize) {
    let (editor, identity, door) = (rig.editor(), rig.identity(), rig.door());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..clients {
            let io = TokioIo::new(handshake(door, &identity, &[b"h2"]).await.expect("a connection"));
            let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("h2");
            tokio::runtime::Handle::current().spawn(connection);
            for _ in 0..streams {
                let (mut sender, editor) = (sender.clone(), editor.clone());
                tasks.spawn(async move {
                    for _ in 0..REQUESTS_EACH / streams {
                        let request = Request::get(format!("https://localhost:{}/orders/1", door.port()))
                            .header(header::AUTHORIZATION, format!("Bearer {editor}"))
                            .body(Full::new(Bytes::new()))
                            .expect("a request");
                        let response = sender.send_request(request).await.expect("an answer");
                        assert_eq!(response.status(), 200);
                        http_body_util::BodyExt::collect(response.into_body()).await.expect("a body");
                    }
                });
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a client");
        }
    });
}

#[test]
fn no_worker_of_tier_two_has_more_than_half_again_the_mean() {
    let rig = Scene::default().routing("workers: 2", &format!("workers: {WORKERS}")).raise(&BINARIES);
    // A lone client whose requests come one after the other would need one connection, and that reaches one worker. Then what is promised: one
    // request after the other, some at once, many, and few again with all the connections that many have left.
    for (clients, streams) in [(1, 1), (CLIENTS, 1), (CLIENTS, 4), (CLIENTS, 16), (CLIENTS, 1)] {
        let before = counts(&rig);
        ask(&rig, clients, streams);
        let served: Vec<f64> = counts(&rig).iter().map(|(worker, now)| now - before[worker]).collect();
        let mean = served.iter().sum::<f64>() / WORKERS as f64;
        assert!(mean * WORKERS as f64 >= (clients * REQUESTS_EACH) as f64, "{served:?}");
        let most = served.iter().copied().fold(0.0, f64::max);
        assert!(most <= 1.5 * mean, "{clients} clients with {streams} streams each: {served:?}, a mean of {mean}");
    }
}
