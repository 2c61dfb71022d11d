//! The account: three books compared number by number.
//!
//! In: what clients sent and were told, what instances executed, what tier 1 recorded, and what was done to whom. Out: every deviation with its
//! story, and a table. Never: forgives anything by itself; a test says what its deeds explain.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::fleet::event::{Event, What};
use crate::fleet::seat::Seat;
use crate::ledger::entries::{Executed, Kind, Outcome, Recorded, Sent};
use crate::ledger::fault::{Deviation, Fault};

/// What a busy machine may add to the flush window: the flush is due then, and somebody must run it.
pub const FLUSH_SLACK: Duration = Duration::from_millis(450);

/// Deviations that are told in full.
const TOLD_MAX: usize = 12;

/// The books.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Of all clients.
    pub sent: Vec<Sent>,
    /// Of all instances.
    pub executed: Vec<Executed>,
    /// Of both replicas of tier 1.
    pub recorded: Vec<Recorded>,
    /// What was done to whom.
    pub events: Vec<Event>,
    /// The flush window of the records, as it is stated.
    pub flush: Duration,
    /// The longest time from the first byte of a GET or a POST to its outcome, where there is one. A session lasts as long as its client likes.
    pub deadline: Option<Duration>,
}

/// The comparison.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Everything that is not as it should be, in the order of its beginning.
    pub deviations: Vec<Deviation>,
    /// How many were sent, by kind.
    pub sent: BTreeMap<Kind, usize>,
    /// How many got a 2xx, a session with an orderly end, or an echo.
    pub answered: BTreeMap<Kind, usize>,
    /// Refusals by kind, status and reason.
    pub refused: BTreeMap<(Kind, String), usize>,
    /// Idempotent requests that were executed more than once, which is lawful.
    pub repeated: usize,
    /// Lines in the instances' ledgers.
    pub executed: usize,
    /// Access records.
    pub recorded: usize,
    /// Of the requests whose record was not yet flushed when their replica was killed: the longest time between the answer and the kill.
    pub unflushed_for: Duration,
}

impl Account {
    /// Compares the books.
    #[must_use]
    pub fn compare(books: &Books) -> Self {
        let executed = by_number(&books.executed, |line| &line.number);
        let recorded = by_number(&books.recorded, |line| &line.number);
        let sent = by_number(&books.sent, |line| &line.number);
        let mut account = Self { executed: books.executed.len(), recorded: books.recorded.len(), ..Self::default() };
        for one in &books.sent {
            assert_eq!(sent.get(one.number.as_str()).map(Vec::len), Some(1), "{} was sent under a number that is taken", one.number);
            let none = (Vec::new(), Vec::new());
            let executed = executed.get(one.number.as_str()).unwrap_or(&none.0);
            let recorded = recorded.get(one.number.as_str()).unwrap_or(&none.1);
            account.judge(books, &Case { sent: one, executed, recorded });
        }
        for one in books.executed.iter().filter(|one| !sent.contains_key(one.number.as_str())) {
            account.deviations.push(nobodys(Fault::ExecutedOfNothing, &one.number, None, format!("{one:?}")));
        }
        for one in books.recorded.iter().filter(|one| !sent.contains_key(one.number.as_str())) {
            account.deviations.push(nobodys(Fault::RecordOfNothing, &one.number, Some(one), one.line.clone()));
        }
        account.deviations.sort_by_key(|deviation| deviation.time);
        account
    }

    /// The deviations of one fault.
    pub fn of(&self, fault: Fault) -> impl Iterator<Item = &Deviation> {
        self.deviations.iter().filter(move |deviation| deviation.fault == fault)
    }

    /// What a test does not accept, in words; empty when there is nothing. `excerpts` finds what logs say about a request id.
    #[must_use]
    pub fn complaint(&self, lawful: impl Fn(&Deviation) -> bool, excerpts: impl Fn(&str) -> String) -> String {
        let unlawful: Vec<_> = self.deviations.iter().filter(|deviation| !lawful(deviation)).collect();
        let mut text = String::new();
        for deviation in unlawful.iter().take(TOLD_MAX) {
            let _ = writeln!(text, "{}: {}", deviation.fault.name(), deviation.story);
            text.push_str(&deviation.request_id.as_deref().map(&excerpts).unwrap_or_default());
        }
        if unlawful.len() > TOLD_MAX {
            let _ = writeln!(text, "and {} more", unlawful.len() - TOLD_MAX);
        }
        text
    }

    fn judge(&mut self, books: &Books, case: &Case<'_>) {
        let kind = case.sent.kind;
        *self.sent.entry(kind).or_default() += 1;
        match &case.sent.outcome {
            Outcome::Answered(_) => *self.answered.entry(kind).or_default() += 1,
            Outcome::Refused(status, reason) => *self.refused.entry((kind, format!("{status} {reason}"))).or_default() += 1,
            _ => {}
        }
        self.repeated += usize::from(kind.is_idempotent() && case.executed.len() > 1);
        self.unflushed_for = self.unflushed_for.max(case.unflushed_for(books));
        let faults = case.of_outcome().into_iter().chain(case.of_time(books)).chain(case.of_execution()).chain(case.of_records(books));
        self.deviations.extend(faults.map(|fault| case.deviation(fault, books)));
    }
}

/// One number in all books.
struct Case<'a> {
    sent: &'a Sent,
    executed: &'a [&'a Executed],
    recorded: &'a [&'a Recorded],
}

impl Case<'_> {
    fn of_outcome(&self) -> Option<Fault> {
        match self.sent.outcome {
            Outcome::Answered(_) => None,
            Outcome::Refused(..) => Some(Fault::Refused),
            Outcome::Foreign(_) => Some(Fault::Foreign),
            Outcome::Cut(..) => Some(Fault::Cut),
            Outcome::Lost(_) => Some(Fault::Lost),
            Outcome::Unprocessed(_) => Some(Fault::Unprocessed),
            Outcome::Farewell => Some(Fault::Farewell),
        }
    }

    fn of_time(&self, books: &Books) -> Option<Fault> {
        let has_one = matches!(self.sent.kind, Kind::Get | Kind::Post);
        let took = self.sent.ended.saturating_sub(self.sent.begun);
        books.deadline.filter(|deadline| has_one && took > *deadline).map(|_| Fault::Late)
    }

    fn of_execution(&self) -> Option<Fault> {
        let times = self.executed.len();
        match self.sent.outcome {
            _ if times > 1 && !self.sent.kind.is_idempotent() => Some(Fault::Twice),
            Outcome::Answered(_) if times == 0 => Some(Fault::Unexecuted),
            Outcome::Unprocessed(_) if times > 0 => Some(Fault::Haunting),
            _ => None,
        }
    }

    fn of_records(&self, books: &Books) -> Option<Fault> {
        if !self.sent.kind.is_recorded() {
            return (!self.recorded.is_empty()).then_some(Fault::RecordOfNothing);
        }
        match self.recorded {
            [] if self.was_read() && self.is_unflushed(books) => Some(Fault::RecordUnflushed),
            [] if self.was_read() => Some(Fault::RecordMissing),
            [] => None,
            [record] => (!self.agrees(record)).then_some(Fault::RecordWrong),
            _ => Some(Fault::RecordDouble),
        }
    }

    /// Whether a replica of tier 1 has certainly read the request's head.
    fn was_read(&self) -> bool {
        let answered = matches!(self.sent.outcome, Outcome::Answered(_) | Outcome::Refused(..) | Outcome::Foreign(_) | Outcome::Cut(..));
        answered || !self.executed.is_empty()
    }

    /// Whether the record, written when the request ended, was still to be flushed when its replica was killed.
    fn is_unflushed(&self, books: &Books) -> bool {
        let window = books.flush + FLUSH_SLACK;
        self.kills(books).any(|kill| self.sent.begun <= kill.after && self.sent.ended + window >= kill.before)
    }

    fn unflushed_for(&self, books: &Books) -> Duration {
        if self.of_records(books) != Some(Fault::RecordUnflushed) {
            return Duration::ZERO;
        }
        let ages = self.kills(books).map(|kill| kill.before.saturating_sub(self.sent.ended));
        ages.filter(|age| *age <= books.flush + FLUSH_SLACK).max().unwrap_or_default()
    }

    fn in_killed(&self, books: &Books) -> bool {
        self.kills(books).any(|kill| self.sent.begun <= kill.after && self.sent.ended >= kill.before)
    }

    fn kills<'a>(&self, books: &'a Books) -> impl Iterator<Item = &'a Event> {
        let seat = Seat::Security(self.sent.replica);
        books.events.iter().filter(move |event| event.seat == seat && event.what == What::Killed)
    }

    fn agrees(&self, record: &Recorded) -> bool {
        let status = match &self.sent.outcome {
            Outcome::Answered(status) | Outcome::Refused(status, _) | Outcome::Cut(status, _) => Some(*status),
            _ => None,
        };
        let same_status = status.is_none() || record.status == status;
        let same_id = self.sent.request_id.is_none() || record.request_id == self.sent.request_id;
        same_status && same_id && record.replica == self.sent.replica
    }

    fn deviation(&self, fault: Fault, books: &Books) -> Deviation {
        let sent = self.sent;
        let id = sent.request_id.clone().or_else(|| self.recorded.iter().find_map(|record| record.request_id.clone()));
        Deviation {
            fault,
            number: sent.number.clone(),
            kind: Some(sent.kind),
            replica: Some(sent.replica),
            time: Some((sent.begun, sent.ended)),
            in_killed: self.in_killed(books),
            request_id: id,
            story: self.story(books),
        }
    }

    /// Everything that the books say about the number.
    fn story(&self, books: &Books) -> String {
        let sent = self.sent;
        let mut text = format!(
            "{:?} {} over {} to security-{}, from {:?} to {:?} (delay {:?}): {}\n",
            sent.kind,
            sent.number,
            sent.connection,
            sent.replica + 1,
            sent.begun,
            sent.ended,
            sent.delay,
            sent.outcome
        );
        for one in self.executed {
            let _ = writeln!(text, "  executed by {} as {}", one.instance, one.method);
        }
        for one in self.recorded {
            let _ = writeln!(text, "  recorded by security-{}: {}", one.replica + 1, one.line);
        }
        let near = |event: &&Event| event.before <= sent.ended && event.after + Duration::from_secs(1) >= sent.begun;
        for event in books.events.iter().filter(near) {
            let _ = writeln!(text, "  meanwhile {} {:?} from {:?} to {:?}", event.seat, event.what, event.before, event.after);
        }
        text
    }
}

fn by_number<T>(lines: &[T], number: fn(&T) -> &String) -> BTreeMap<&str, Vec<&T>> {
    let mut found: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for line in lines {
        found.entry(number(line).as_str()).or_default().push(line);
    }
    found
}

fn nobodys(fault: Fault, number: &str, record: Option<&Recorded>, story: String) -> Deviation {
    Deviation {
        fault,
        number: number.to_owned(),
        kind: None,
        replica: record.map(|record| record.replica),
        time: None,
        in_killed: false,
        request_id: record.and_then(|record| record.request_id.clone()),
        story,
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
