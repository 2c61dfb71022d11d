//! The open connections of one worker: which of them rest, and the word that asks one to end.
//!
//! In: the begin and end of connections and requests. Out: a word to each connection: go on, finish, stop. Refuses: connections that rest longer
//! than they may. Never: a lock or a timer per connection; one sweep per tick looks at them all.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wire::farewell::Farewell;
use wire::guard::line::GuardLine;

use crate::proof::Proof;
use crate::streamed::Streams;

/// What a connection is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing.
    GoOn,
    /// End after what is being answered: h2 GOAWAY, h1 after this response.
    Finish(&'static str),
    /// End now; it was asked to finish and did not.
    Stop(&'static str),
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has deadlines of its own.
    Handshake,
    /// HTTP; before the first request, and between requests, it rests.
    Http,
    /// It has left HTTP by an upgrade; the tier watches it.
    Tunnel,
}

/// One open connection.
#[derive(Debug)]
pub struct Open {
    /// What it is at.
    pub stage: Cell<Stage>,
    /// Requests begun on it.
    pub requests: Cell<u64>,
    /// Whether its protocol can tell the client to open no more requests (h2 GOAWAY).
    pub has_goaway: Cell<bool>,
    /// Told when the process closes or the connection is dismissed, for what has left HTTP and cannot be told by it.
    pub farewell: Farewell,
    /// The bodies of its HTTP/2 answers.
    pub(crate) streams: Streams,
    line: Arc<GuardLine>,
    bytes_seen: Cell<u64>,
    in_flight: Cell<u32>,
    rests_since: Cell<Instant>,
    word: Cell<Word>,
    closing: Rc<Cell<bool>>,
    /// Whether it is to give back what it is served with until somebody asks again.
    cools: Cell<bool>,
    /// The place of the listener that let it in.
    listener: usize,
    /// Since when that listener lets in others, if it does.
    dismissed: Cell<Option<Instant>>,
    /// Whether its peer may not come by that listener any more: nothing more is served to it.
    expelled: Cell<bool>,
    /// What its peer proved, once it has.
    proof: OnceCell<Proof>,
    waker: RefCell<Option<Waker>>,
}

/// How long connections may rest.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// Before the first byte.
    pub first: Duration,
    /// Between requests; from the first byte to the end of the head the guard has a deadline.
    pub idle: Duration,
    /// For an HTTP/2 answer: without its client taking anything of it.
    pub body: Duration,
    /// After its listener has come to let in others, whatever is in flight.
    pub dismissed: Duration,
}

/// Open connections by what they are at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// In their TLS handshake, or not taken up yet.
    pub handshake: usize,
    /// With a request that is not answered to its end.
    pub in_flight: usize,
    /// Between requests.
    pub resting: usize,
    /// Upgraded.
    pub tunnel: usize,
}

/// While it leaves: a client that keeps a connection busy gets one more answer, with `Connection: close`, instead of a closed door in
/// front of a request that is on its way.
pub const CLOSING_REST: Duration = Duration::from_secs(1);

/// A connection that was asked to finish, and has nothing to finish, gets so long for its farewell; one that leaves, an HTTP/2 one, gets
/// [`CLOSING_REST`], because no answer is held up by it and the drain is.
pub const FAREWELL: Duration = Duration::from_secs(5);

/// How long an HTTP/1 connection keeps what it is served with after a request: the next one often comes at once.
pub const WARM: Duration = Duration::from_secs(1);

/// Why a connection was ended that rested when others waited for its place.
pub const DISPLACED: &str = "displaced";

/// Who has rested for less is between two requests, and makes no room.
pub const ROOM_REST_MIN: Duration = Duration::from_secs(1);

/// One of so many resting connections makes room at once.
const ROOM_SHARE: usize = 64;

/// The open connections of one worker.
#[derive(Debug)]
pub struct Roster {
    open: RefCell<HashMap<u64, Rc<Open>>>,
    closing: Rc<Cell<bool>>,
    emptied: Notify,
    rest: Cell<Rest>,
}

impl Roster {
    /// An empty roster.
    #[must_use]
    pub fn new(rest: Rest) -> Self {
        Self { open: RefCell::default(), closing: Rc::default(), emptied: Notify::new(), rest: Cell::new(rest) }
    }

    /// Connections may rest so long from now on, also those that rest already.
    pub fn rest(&self, rest: Rest) {
        self.rest.set(rest);
    }

    /// A connection has come, by the listener at this place of the plan.
    pub fn enter(&self, id: u64, listener: usize, line: Arc<GuardLine>) -> Rc<Open> {
        let open = Rc::new(Open {
            stage: Cell::new(Stage::Handshake),
            requests: Cell::new(0),
            has_goaway: Cell::new(false),
            farewell: Farewell::default(),
            line,
            streams: Streams::default(),
            bytes_seen: Cell::new(0),
            in_flight: Cell::new(0),
            rests_since: Cell::new(Instant::now()),
            word: Cell::new(Word::GoOn),
            closing: Rc::clone(&self.closing),
            cools: Cell::new(false),
            listener,
            dismissed: Cell::new(None),
            expelled: Cell::new(false),
            proof: OnceCell::new(),
            waker: RefCell::new(None),
        });
        if self.closing.get() {
            open.farewell.tell();
        }
        self.open.borrow_mut().insert(id, Rc::clone(&open));
        open
    }

    /// A connection is gone.
    pub fn leave(&self, id: u64) {
        let mut open = self.open.borrow_mut();
        open.remove(&id);
        if open.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// Whether no connection is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Waits until no connection is open.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// What the open connections are at.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for open in self.open.borrow().values() {
            *match open.stage.get() {
                Stage::Handshake => &mut census.handshake,
                Stage::Http if open.is_resting() => &mut census.resting,
                Stage::Http => &mut census.in_flight,
                Stage::Tunnel => &mut census.tunnel,
            } += 1;
        }
        census
    }

    /// Every connection, also one that is yet to come, ends after what it is doing.
    pub fn close(&self) {
        self.closing.set(true);
        self.open.borrow().values().for_each(|open| open.leave());
    }

    /// Every connection that came by a listener that is `meant` ends after what it is doing; those that are yet to come do not. One whose peer may not
    /// come `still` is served nothing more, not even what is on its way; in a handshake, that is asked at its end.
    pub fn dismiss(&self, meant: impl Fn(usize) -> bool, still: impl Fn(usize, &Proof) -> bool) {
        let now = Instant::now();
        for open in self.open.borrow().values().filter(|open| meant(open.listener)) {
            let expelled = open.proof.get().is_some_and(|proof| !still(open.listener, proof));
            if open.dismissed.get().is_none() {
                open.dismissed.set(Some(now));
                open.leave();
            }
            if expelled {
                open.expel();
            }
        }
    }

    /// Looks at every connection: those that rest too long are asked to finish, those that were asked long ago are stopped.
    pub fn sweep(&self, now: Instant) {
        let rest = self.rest.get();
        // Waking tasks runs none of their code, and no body knows of the roster, so the borrow is safe.
        for open in self.open.borrow().values() {
            open.streams.sweep(now, rest.body);
            self.look_at(open, rest, now);
        }
    }

    /// Since when the connection rests that rests longest, of those that may have to make room.
    pub(crate) fn rests_longest_since(&self, now: Instant) -> Option<Instant> {
        let first = self.rest.get().first;
        self.open.borrow().values().filter(|open| open.may_make_room(first, now)).map(|open| open.rests_since.get()).min()
    }

    /// Asks those that rest longest to finish, one of [`ROOM_SHARE`] and one at least, because others wait to come in. Since when the next one rests.
    pub(crate) fn make_room(&self, now: Instant) -> Option<Instant> {
        let (open, first) = (self.open.borrow(), self.rest.get().first);
        let mut resting: Vec<&Rc<Open>> = open.values().filter(|open| open.may_make_room(first, now)).collect();
        let number = (resting.len() / ROOM_SHARE).max(1).min(resting.len());
        resting.sort_unstable_by_key(|open| open.rests_since.get());
        let (asked, left) = resting.split_at(number);
        asked.iter().for_each(|open| open.finish(DISPLACED, now));
        left.first().map(|open| open.rests_since.get())
    }

    fn look_at(&self, open: &Open, may: Rest, now: Instant) {
        let rested = now.saturating_duration_since(open.rests_since.get());
        let leaves = open.leaves();
        if let (Some(since), Some(why)) = (open.dismissed.get(), leaves)
            && now.saturating_duration_since(since) >= may.dismissed
        {
            // A client that keeps something in flight, or does not answer our farewell, must not outlast the terms that it was let in by.
            return open.ask(Word::Stop(why));
        }
        if let (Stage::Handshake, Some(why)) = (open.stage.get(), leaves)
            && rested >= CLOSING_REST
        {
            // Browsers and probes open connections and say nothing; the drain does not wait for their handshake's own deadline.
            return open.ask(Word::Stop(why));
        }
        if open.stage.get() != Stage::Http || open.in_flight.get() > 0 {
            return;
        }
        if rested >= WARM && !open.has_goaway.get() && !open.cools.replace(true) {
            open.wake();
        }
        if let (true, Some(why)) = (open.expelled.get() && rested >= CLOSING_REST, leaves) {
            // Its last answer has had its time, and whatever it sends counts for nothing.
            return open.ask(Word::Stop(why));
        }
        let silent = open.requests.get() == 0 && open.line.bytes_in() == 0;
        let stalled = open.streams.stalled() > 0;
        let (rest, why) = match (leaves, silent) {
            (Some(why), _) => (CLOSING_REST.min(may.idle), why),
            // Nothing can be said to a client that takes nothing: its streams are over, and it learns that by the end of the connection.
            (None, _) if stalled => (Duration::ZERO, STREAM_STALLED),
            (None, true) => (may.first, "no-request"),
            // A head that began at the end of the rest has its own time, of which the guard takes care.
            (None, false) if open.line.is_in_head() => (may.idle.saturating_add(may.first), "idle"),
            (None, false) => (may.idle, "idle"),
        };
        let farewell = if leaves.is_some() && open.has_goaway.get() { CLOSING_REST } else { FAREWELL };
        match open.word.get() {
            Word::GoOn if rested >= rest => open.finish(why, now),
            // A slow reader of an answer that we are done with is still at it; one that lets an answer stand is not, whatever else it sends.
            Word::Finish(_) if open.bytes_moved() && !stalled => open.rests_since.set(now),
            Word::Finish(why) if rested >= farewell => open.ask(Word::Stop(why)),
            _ => {}
        }
    }
}

impl Open {
    /// Asks a connection that rests to end.
    fn finish(&self, why: &'static str, now: Instant) {
        // From here the time for the farewell counts.
        self.rests_since.set(now);
        // hyper finishes a connection that has had no request yet only after its first one.
        self.ask(if self.requests.get() == 0 && !self.has_goaway.get() { Word::Stop(why) } else { Word::Finish(why) });
    }

    /// Whether it rests, and has for a while. Whose first request is on its way has the time that a head may take, `first`.
    fn may_make_room(&self, first: Duration, now: Instant) -> bool {
        let rests = self.stage.get() == Stage::Http && self.is_resting() && self.word.get() == Word::GoOn && self.leaves().is_none();
        let arrives = self.requests.get() == 0 && self.line.bytes_in() > 0;
        let least = if arrives { ROOM_REST_MIN.max(first) } else { ROOM_REST_MIN };
        rests && !self.line.is_in_head() && now.saturating_duration_since(self.rests_since.get()) >= least
    }

    /// Waits until the connection is asked to end at once, and tells why.
    pub async fn stopped(&self) -> &'static str {
        std::future::poll_fn(|cx| match self.word(cx) {
            Word::Stop(why) => std::task::Poll::Ready(why),
            Word::GoOn | Word::Finish(_) => std::task::Poll::Pending,
        })
        .await
    }

    /// The present word; the task of the connection is woken when it changes.
    pub fn word(&self, cx: &Context<'_>) -> Word {
        let mut waker = self.waker.borrow_mut();
        match waker.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        self.word.get()
    }

    /// Gives the connection a word.
    pub fn ask(&self, word: Word) {
        self.word.set(word);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Whether it rests, for so long that it is to keep nothing but its socket and TLS. Only for a conversation that has just been polled and waits.
    pub(crate) fn is_cold(&self) -> bool {
        self.cools.get() && self.is_resting() && self.line.is_quiet()
    }

    /// It keeps nothing more that it could give back.
    pub(crate) fn has_cooled(&self) {
        self.cools.set(true);
    }

    /// Why it was asked to end, if it was.
    #[must_use]
    pub fn asked(&self) -> Option<&'static str> {
        match self.word.get() {
            Word::GoOn => None,
            Word::Finish(why) | Word::Stop(why) => Some(why),
        }
    }

    /// Why it ends after what it is doing, if it does: the process closes, or its listener lets in others by now.
    #[must_use]
    pub fn leaves(&self) -> Option<&'static str> {
        match (self.closing.get(), self.dismissed.get().is_some()) {
            (true, _) => Some("drained"),
            (false, true) => Some("reconfigured"),
            (false, false) => None,
        }
    }

    /// Its peer has proved who it is.
    pub(crate) fn proves(&self, proof: Proof) {
        // It is told once, when HTTP begins.
        let _first = self.proof.set(proof);
    }

    /// What its peer proved, where others are let in by now.
    pub(crate) fn proof_if_dismissed(&self) -> Option<&Proof> {
        self.dismissed.get().and_then(|_| self.proof.get())
    }

    /// Whether its peer may not come any more, so that nothing may be served to it.
    #[must_use]
    pub fn is_expelled(&self) -> bool {
        self.expelled.get()
    }

    /// From here on nothing more is served on it; what is being answered is answered.
    fn expel(&self) {
        self.expelled.set(true);
        if let (Stage::Http, true, Some(why)) = (self.stage.get(), self.is_resting(), self.leaves()) {
            self.ask(Word::Stop(why));
        }
    }

    /// From here on it ends after what it is doing.
    fn leave(&self) {
        let Some(why) = self.leaves() else { return };
        self.farewell.tell();
        if self.stage.get() == Stage::Handshake || (self.has_goaway.get() && self.is_resting()) {
            // From here the time counts in which a client that is at it may still come to its request, or say farewell.
            self.rests_since.set(Instant::now());
        }
        // A resting HTTP/1 connection is left open a little: a request may be on its way to it.
        // So is one whose answer is on its way without `Connection: close`: its client may send the next request on it. Later answers say so.
        if self.word.get() == Word::GoOn && self.stage.get() == Stage::Http && self.has_goaway.get() {
            self.ask(Word::Finish(why));
        }
    }

    /// The guard's side of it.
    #[must_use]
    pub fn line(&self) -> Arc<GuardLine> {
        Arc::clone(&self.line)
    }

    /// Whether a byte has come or gone since the last time that this was asked.
    fn bytes_moved(&self) -> bool {
        let moved = self.line.bytes_in().wrapping_add(self.line.bytes_out());
        self.bytes_seen.replace(moved) != moved
    }

    /// Whether no request is in flight.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        self.in_flight.get() == 0
    }

    /// HTTP begins; the connection rests until the first request.
    pub fn speaks_http(&self, has_goaway: bool) {
        self.stage.set(Stage::Http);
        self.has_goaway.set(has_goaway);
        self.rests_since.set(Instant::now());
        if let (true, Some(why)) = (has_goaway, self.leaves()) {
            self.word.set(Word::Finish(why));
        }
    }

    /// A request begins; it ends when the answer's last byte was taken, or the guard of it is dropped.
    #[must_use]
    pub fn request(self: &Rc<Self>) -> Flight {
        self.requests.set(self.requests.get() + 1);
        self.cools.set(false);
        self.in_flight.set(self.in_flight.get() + 1);
        Flight(Rc::clone(self))
    }
}

/// Why a connection was ended whose client let answers stand.
pub const STREAM_STALLED: &str = "stream-stalled";

/// One request in flight.
#[derive(Debug)]
pub struct Flight(Rc<Open>);

impl Drop for Flight {
    fn drop(&mut self) {
        let left = self.0.in_flight.get().saturating_sub(1);
        self.0.in_flight.set(left);
        if left == 0 {
            self.0.rests_since.set(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
