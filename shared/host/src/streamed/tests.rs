//! Which bodies are ended, and what is left of them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::roster::{Rest, Roster};

const BODY_MAX: Duration = Duration::from_secs(30);
const REST: Rest = Rest { first: Duration::from_secs(10), idle: Duration::from_secs(75), body: BODY_MAX, dismissed: BODY_MAX };

/// Says what it was told to, then waits.
#[derive(Clone, Default)]
struct Script(Rc<RefCell<VecDeque<Bytes>>>, Rc<Cell<bool>>);

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.borrow_mut().pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Poll::Pending,
        }
    }
}

/// Tells its drop.
struct Kept(Script);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.1.set(true);
    }
}

impl http_body::Body for Kept {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

struct Scene {
    roster: Roster,
    open: Rc<Open>,
    script: Script,
    streamed: Streamed,
    begun: Instant,
}

impl Scene {
    fn new() -> Self {
        let roster = Roster::new(REST);
        let open = roster.enter(1, 0, Arc::default());
        open.speaks_http(true);
        let script = Script::default();
        let streamed = Streamed::new(&open, Body::boxed(Kept(script.clone())), open.request());
        let begun = Instant::now();
        roster.sweep(begun);
        Self { roster, open, script, streamed, begun }
    }

    fn say(&self, length: usize) {
        self.script.0.borrow_mut().push_back(Bytes::from(vec![7; length]));
    }

    fn poll(&mut self) -> Poll<Option<Result<usize, String>>> {
        let frame = Pin::new(&mut self.streamed).poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|item| item.map(|frame| frame.map(|frame| frame.into_data().unwrap().len()).map_err(|error| error.to_string())))
    }

    fn sweep(&self, after: u64) {
        self.roster.sweep(self.begun + Duration::from_secs(after));
    }

    fn is_given_up(&self) -> bool {
        self.script.1.get()
    }
}

#[test]
fn a_body_that_nobody_takes_is_dropped_without_a_poll_and_then_answers_an_error() {
    let mut scene = Scene::new();
    scene.sweep(29);
    assert!(!scene.is_given_up());
    scene.sweep(30);
    assert!(scene.is_given_up(), "what it held is given back although hyper never asks");
    assert!(scene.open.is_resting(), "and the request is no longer in flight");
    assert!(!scene.streamed.is_end_stream());
    assert_eq!(scene.poll(), Poll::Ready(Some(Err(StreamStalled.to_string()))));
}

#[test]
fn a_frame_that_was_taken_buys_one_more_span_and_no_second_one() {
    let mut scene = Scene::new();
    scene.say(1);
    assert_eq!(scene.poll(), Poll::Ready(Some(Ok(1))));
    scene.sweep(29);
    scene.sweep(58);
    assert!(!scene.is_given_up());
    scene.sweep(59);
    assert!(scene.is_given_up());
}

#[test]
fn a_body_that_waits_for_its_instance_is_left_to_wait() {
    let mut scene = Scene::new();
    assert_eq!(scene.poll(), Poll::Pending);
    for after in 1..600 {
        scene.sweep(after);
    }
    assert!(!scene.is_given_up());
    scene.say(5);
    assert_eq!(scene.poll(), Poll::Ready(Some(Ok(5))));
}

#[test]
fn a_window_that_closes_behind_a_waiting_body_is_found_out_and_loses_no_byte_before() {
    let mut scene = Scene::new();
    assert_eq!(scene.poll(), Poll::Pending);
    scene.sweep(1);
    scene.say(5);
    scene.sweep(31);
    assert_eq!(scene.streamed.size_hint().lower(), 5, "the sweep has asked in hyper's place");
    assert_eq!(scene.poll(), Poll::Ready(Some(Ok(5))), "what it got is handed on");
    assert_eq!(scene.poll(), Poll::Pending);
    scene.sweep(32);
    scene.say(5);
    scene.sweep(62);
    scene.sweep(91);
    assert!(!scene.is_given_up());
    scene.sweep(92);
    assert!(scene.is_given_up());
}

#[test]
fn large_frames_are_handed_on_in_slices() {
    let mut scene = Scene::new();
    scene.say(2 * SLICE_BYTES_MAX + 1);
    let lengths: Vec<_> = (0..3).map(|_| scene.poll()).collect();
    assert_eq!(lengths, [SLICE_BYTES_MAX, SLICE_BYTES_MAX, 1].map(|length| Poll::Ready(Some(Ok(length)))));
    assert_eq!(scene.poll(), Poll::Pending);
}
