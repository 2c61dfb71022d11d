//! What the server has been told, and what it was asked.
//!
//! In: scripts by name and type, questions. Out: the reply to each question, and the counts. Never: takes a repeated datagram, or the way over
//! TCP after a cut answer, for another question.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hickory_proto::rr::RecordType;
use tokio::sync::watch;

use crate::reply::{Reply, Script};

/// Questions that are remembered in their order; they are counted beyond that.
const QUESTIONS_MAX: usize = 65_536;
/// Datagrams that are known again. The id of a question is random, so that an old one may come back by chance.
const DATAGRAMS_MAX: usize = 64;

/// A name in small letters without its final dot, and a type.
pub(crate) type Key = (String, RecordType);

/// One question as it came.
pub(crate) struct Asked {
    pub(crate) key: Key,
    pub(crate) id: u16,
    pub(crate) tcp: bool,
}

/// The script of one name and type.
struct Page {
    script: Script,
    turn: usize,
}

#[derive(Default)]
struct Pages {
    scripts: HashMap<Key, Page>,
    /// What is said to everything, if anything is.
    to_all: Option<Reply>,
    counts: HashMap<Key, usize>,
    over_tcp: HashMap<Key, usize>,
    order: VecDeque<Key>,
    datagrams: VecDeque<(u16, Key, Option<Reply>)>,
    /// The replies that were cut off over UDP and are waited for over TCP.
    cut: HashMap<Key, Reply>,
    under_way: HashMap<Key, usize>,
    most: HashMap<Key, usize>,
}

/// The book of one server.
pub(crate) struct Book {
    pages: Mutex<Pages>,
    news: watch::Sender<()>,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self { pages: Mutex::default(), news: watch::Sender::new(()) }
    }

    pub(crate) fn set(&self, key: Key, script: Script) {
        self.pages().scripts.insert(key, Page { script, turn: 0 });
    }

    pub(crate) fn to_all(&self, reply: Option<Reply>) {
        self.pages().to_all = reply;
    }

    /// The reply to this question, and whether the question is a new one, which is under way from now on; none where it is being answered already.
    pub(crate) fn reply(&self, asked: &Asked) -> Option<(Reply, bool)> {
        let mut pages = self.pages();
        let pages = &mut *pages;
        if asked.tcp {
            *pages.over_tcp.entry(asked.key.clone()).or_default() += 1;
            if let Some(cut) = pages.cut.get(&asked.key) {
                return Some((cut.clone(), false));
            }
        } else if let Some((.., said)) = pages.datagrams.iter().find(|(id, key, _)| *id == asked.id && *key == asked.key) {
            return said.clone().map(|reply| (reply, false));
        }
        let reply = pages.next(&asked.key);
        if !asked.tcp {
            pages.cut.remove(&asked.key);
            // Whoever repeats a question that is held back is held back already.
            let again = Some(reply.clone()).filter(|reply| !matches!(reply, Reply::Held(..)));
            pages.datagrams.push_back((asked.id, asked.key.clone(), again));
            if pages.datagrams.len() > DATAGRAMS_MAX {
                pages.datagrams.pop_front();
            }
        }
        *pages.counts.entry(asked.key.clone()).or_default() += 1;
        pages.order.push_back(asked.key.clone());
        if pages.order.len() > QUESTIONS_MAX {
            pages.order.pop_front();
        }
        let now = pages.under_way.entry(asked.key.clone()).or_default();
        *now += 1;
        let most = pages.most.entry(asked.key.clone()).or_default();
        *most = (*most).max(*now);
        self.news.send_replace(());
        Some((reply, true))
    }

    /// The question was answered, or never will be.
    pub(crate) fn done(&self, key: &Key) {
        if let Some(now) = self.pages().under_way.get_mut(key) {
            *now = now.saturating_sub(1);
        }
    }

    /// What was answered over UDP with a mark that it is cut: over TCP the same is said, whole.
    pub(crate) fn cut(&self, key: &Key, reply: &Reply) {
        self.pages().cut.insert(key.clone(), reply.clone());
    }

    pub(crate) fn count(&self, key: &Key) -> usize {
        self.pages().counts.get(key).copied().unwrap_or_default()
    }

    pub(crate) fn over_tcp(&self, key: &Key) -> usize {
        self.pages().over_tcp.get(key).copied().unwrap_or_default()
    }

    pub(crate) fn most(&self, key: &Key) -> usize {
        self.pages().most.get(key).copied().unwrap_or_default()
    }

    pub(crate) fn order(&self) -> Vec<Key> {
        self.pages().order.iter().cloned().collect()
    }

    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn next(&mut self, key: &Key) -> Reply {
        if let Some(reply) = &self.to_all {
            return reply.clone();
        }
        let Some(page) = self.scripts.get_mut(key) else { return Reply::no_such_name() };
        let reply = page.script.at(page.turn).cloned();
        page.turn += 1;
        reply.unwrap_or(Reply::Silence)
    }
}
