//! The gate: first come, first served; nobody is lost; never more inside than may.

use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::*;

/// A place, at once or after a wait.
async fn enter(gate: &Arc<Gate>, limits: &LimitsPlan, within: Duration) -> Result<Pass, GateFault> {
    match gate.try_enter(limits) {
        Some(pass) => Ok(pass),
        None => gate.wait(limits, within).await,
    }
}

const LONG: Duration = Duration::from_secs(100);

fn limits(requests_max: u32, queue_max: u32) -> LimitsPlan {
    LimitsPlan { requests_max, queue_max, queue_wait: LONG }
}

/// One that asks, and is on the list when this returns.
async fn ask(gate: &Arc<Gate>, limits: LimitsPlan) -> JoinHandle<Result<Pass, GateFault>> {
    let task = tokio::runtime::Handle::current().spawn({
        let gate = Arc::clone(gate);
        async move { enter(&gate, &limits, LONG).await }
    });
    // On this one thread it runs as soon as this waits.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    task
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_in_turn_and_nobody_overtakes() {
    let (gate, limits) = (Gate::new(Gauge::default()), limits(1, 2));
    let inside = enter(&gate, &limits, LONG).await.expect("the first");
    let (one, two) = (ask(&gate, limits).await, ask(&gate, limits).await);
    assert_eq!(enter(&gate, &limits, LONG).await.err(), Some(GateFault::Full), "the queue is bounded");
    drop(inside);
    let inside = one.await.expect("task").expect("its turn");
    assert!(!two.is_finished());
    assert_eq!(gate.counts(), (1, 1));
    drop(inside);
    drop(two.await.expect("task").expect("its turn"));
    assert_eq!(gate.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_and_takes_no_place() {
    let (gate, limits) = (Gate::new(Gauge::default()), limits(1, 2));
    let inside = enter(&gate, &limits, LONG).await.expect("the first");
    let begun = tokio::time::Instant::now();
    assert_eq!(enter(&gate, &limits, Duration::from_secs(1)).await.err(), Some(GateFault::Late));
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!(gate.counts(), (1, 0));
    drop(inside);
    assert!(enter(&gate, &limits, LONG).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_away_in_the_queue_leaves_its_turn_to_the_next() {
    let (gate, limits) = (Gate::new(Gauge::default()), limits(1, 2));
    let inside = enter(&gate, &limits, LONG).await.expect("the first");
    let (gone, next) = (ask(&gate, limits).await, ask(&gate, limits).await);
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(gate.counts(), (1, 1));
    let third = ask(&gate, limits).await;
    drop(inside);
    drop(next.await.expect("task").expect("its turn"));
    drop(third.await.expect("task").expect("its turn"));
    assert_eq!((gate.counts(), gate.gauge.get()), ((0, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_comes_to_one_who_has_just_gone_is_not_lost() {
    let (gate, limits) = (Gate::new(Gauge::default()), limits(1, 2));
    let inside = enter(&gate, &limits, LONG).await.expect("the first");
    let gone = ask(&gate, limits).await;
    // Handed over, and ended before it has looked.
    drop(inside);
    gone.abort();
    drop(gone.await);
    assert_eq!(gate.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_makes_more_room_serves_those_who_wait_and_one_that_makes_less_cuts_nobody() {
    let gate = Gate::new(Gauge::default());
    let first = enter(&gate, &limits(1, 2), LONG).await.expect("the first");
    let waits = ask(&gate, limits(1, 2)).await;
    let third = enter(&gate, &limits(3, 2), LONG).await.expect("room by the newer configuration");
    let second = waits.await.expect("task").expect("its turn");
    let late = ask(&gate, limits(1, 2)).await;
    drop((first, second));
    assert_eq!(gate.counts(), (1, 1), "one is inside, and no more may");
    drop(third);
    assert!(late.await.expect("task").is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_whose_turn_has_come_needs_the_queue_no_more() {
    let (gate, limits) = (Gate::new(Gauge::default()), limits(1, 8));
    let inside = enter(&gate, &limits, LONG).await.expect("the first");
    let mut waits = Box::pin(gate.wait(&limits, LONG));
    assert!(futures_now(&mut waits).is_none(), "it is on the list");
    drop(inside);
    // Whoever takes its pass does so while another one has the lock: it would wait for ever if it looked at the list.
    let others = gate.locked();
    let pass = futures_now(&mut waits).expect("its turn").expect("a pass");
    drop(others);
    drop(waits);
    drop(pass);
    assert_eq!(gate.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn those_who_go_away_are_off_the_count_at_once_and_the_list_stays_as_short_as_twice_those_who_wait() {
    let (gate, limits) = (Gate::new(Gauge::default()), limits(1, 4));
    let inside = enter(&gate, &limits, LONG).await.expect("the first");
    let stays = ask(&gate, limits).await;
    for _ in 0..100 {
        let goes: Vec<_> = [ask(&gate, limits).await, ask(&gate, limits).await, ask(&gate, limits).await].into();
        assert_eq!(enter(&gate, &limits, LONG).await.err(), Some(GateFault::Full));
        for one in goes {
            one.abort();
            let _ = one.await;
        }
        assert_eq!((gate.counts(), gate.gauge.get()), ((1, 1), 1));
        assert!(gate.locked().len() <= 3, "{} are on the list", gate.locked().len());
    }
    let gone = ask(&gate, limits).await;
    let last = ask(&gate, limits).await;
    gone.abort();
    let _ = gone.await;
    drop(inside);
    drop(stays.await.expect("task").expect("its turn"));
    drop(last.await.expect("task").expect("its turn, past the one who has gone"));
    assert_eq!((gate.counts(), gate.gauge.get(), gate.locked().len()), ((0, 0), 0, 0));
}

/// What the future has now.
fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn on_many_threads_never_more_are_inside_than_may_and_nobody_oversleeps() {
    let gate = Gate::new(Gauge::default());
    let inside = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (gate, now) = (Arc::clone(&gate), Arc::clone(&inside));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
                runtime.block_on(async {
                    for _ in 0..500 {
                        let pass = enter(&gate, &limits(3, 8), LONG).await.expect("its turn");
                        assert!(now.fetch_add(1, Ordering::SeqCst) < 3);
                        tokio::task::yield_now().await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        drop(pass);
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every request had its turn");
    }
    assert_eq!((gate.counts(), gate.gauge.get()), ((0, 0), 0));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(u32),
    Leave(prop::sample::Index),
    GoAway(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u32..4).prop_map(Step::Ask),
        any::<prop::sample::Index>().prop_map(Step::Leave),
        any::<prop::sample::Index>().prop_map(Step::GoAway),
    ]
}

proptest! {
    /// Whoever comes, leaves and goes away in whatever order: the counts are true, and while a place is free nobody waits.
    #[test]
    fn the_counts_are_true_after_any_history(steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let gate = Gate::new(Gauge::default());
            let (mut inside, mut waiting) = (Vec::new(), Vec::new());
            let mut most = 1;
            for step in steps {
                match step {
                    Step::Ask(requests_max) => {
                        most = requests_max;
                        waiting.push(ask(&gate, limits(requests_max, 4)).await);
                    }
                    Step::Leave(at) if !inside.is_empty() => {
                        let at = at.index(inside.len());
                        drop(inside.remove(at));
                    }
                    Step::GoAway(at) if !waiting.is_empty() => {
                        let at = at.index(waiting.len());
                        let one: JoinHandle<Result<Pass, GateFault>> = waiting.remove(at);
                        one.abort();
                        let _ = one.await;
                    }
                    Step::Leave(_) | Step::GoAway(_) => {}
                }
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
                let (done, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|one| one.is_finished());
                waiting = rest;
                for one in done {
                    if let Ok(pass) = one.await.expect("task") {
                        inside.push(pass);
                    }
                }
                assert_eq!(gate.counts(), (inside.len() as u32, waiting.len() as u32));
                assert!(waiting.is_empty() || inside.len() as u32 >= most, "somebody waits beside a free place");
            }
        });
    }
}
