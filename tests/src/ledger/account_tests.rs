//! Made-up books, one for each thing that can be wrong: an account that cannot find it proves nothing.

use super::*;

const FLUSH: Duration = Duration::from_millis(50);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Sent at 10 s to the first replica, known at 10.1 s.
fn sent(number: &str, kind: Kind, outcome: Outcome) -> Sent {
    Sent {
        number: number.to_owned(),
        kind,
        replica: 0,
        connection: "h1-0:40000".to_owned(),
        begun: ms(10_000),
        ended: ms(10_100),
        outcome,
        request_id: Some(format!("id-{number}")),
        delay: Duration::ZERO,
    }
}

fn executed(number: &str) -> Executed {
    Executed { number: number.to_owned(), method: "ANY".to_owned(), instance: "orders-1".to_owned() }
}

fn recorded(number: &str, status: u16) -> Recorded {
    let line = format!("{{\"url.path\":\"/orders/{number}\"}}");
    Recorded { number: number.to_owned(), replica: 0, status: Some(status), request_id: Some(format!("id-{number}")), line }
}

fn killed(at: u64) -> Event {
    Event { seat: Seat::Security(0), what: What::Killed, before: ms(at), after: ms(at + 10) }
}

fn ok() -> Outcome {
    Outcome::Answered(200)
}

fn lost() -> Outcome {
    Outcome::Lost("reset".to_owned())
}

/// The books with one thing of each kind as it should be.
fn good() -> Books {
    let lines = [("1", Kind::Get, ok()), ("2", Kind::Post, ok()), ("3", Kind::Session, Outcome::Answered(101)), ("4", Kind::Message, ok())];
    Books {
        sent: lines.iter().map(|(number, kind, outcome)| sent(number, *kind, outcome.clone())).collect(),
        executed: ["1", "2", "3", "4"].map(executed).to_vec(),
        recorded: vec![recorded("1", 200), recorded("2", 200), recorded("3", 101)],
        events: Vec::new(),
        flush: FLUSH,
        deadline: None,
    }
}

/// The good books with a number more: what the account finds in them, as `FAULT NUMBER`.
#[track_caller]
fn check(sent: Option<Sent>, executed: &[Executed], recorded: &[Recorded], events: &[Event], expected: &[(Fault, &str)]) -> Account {
    let mut books = good();
    books.sent.extend(sent);
    books.executed.extend_from_slice(executed);
    books.recorded.extend_from_slice(recorded);
    books.events.extend_from_slice(events);
    let account = Account::compare(&books);
    let found: Vec<_> = account.deviations.iter().map(|deviation| (deviation.fault, deviation.number.as_str())).collect();
    assert_eq!(found, expected);
    account
}

#[test]
fn books_that_agree_have_no_deviation() {
    let account = check(None, &[], &[], &[], &[]);
    assert!(account.complaint(|_| false, |_| String::new()).is_empty());
    assert_eq!((account.sent[&Kind::Get], account.answered[&Kind::Post], account.executed, account.recorded), (1, 1, 4, 3));
}

#[test]
fn what_is_lost_is_found_whether_it_was_done_or_not() {
    let get = || Some(sent("9", Kind::Get, lost()));
    check(get(), &[], &[], &[], &[(Fault::Lost, "9")]);
    check(get(), &[executed("9")], &[recorded("9", 200)], &[], &[(Fault::Lost, "9")]);
    check(get(), &[executed("9")], &[], &[], &[(Fault::Lost, "9"), (Fault::RecordMissing, "9")]);
    // One that was not read needs no record, one that was may have one.
    check(get(), &[], &[recorded("9", 502)], &[], &[(Fault::Lost, "9")]);
    check(Some(sent("9", Kind::Message, lost())), &[], &[], &[], &[(Fault::Lost, "9")]);
}

#[test]
fn refused_cut_foreign_and_farewell_are_told_apart() {
    let refused = Outcome::Refused(502, "link-reset".to_owned());
    let account = check(Some(sent("9", Kind::Post, refused)), &[], &[recorded("9", 502)], &[], &[(Fault::Refused, "9")]);
    assert_eq!(account.refused[&(Kind::Post, "502 link-reset".to_owned())], 1);
    let cut = Outcome::Cut(200, "reset".to_owned());
    check(Some(sent("9", Kind::Get, cut)), &[executed("9")], &[recorded("9", 200)], &[], &[(Fault::Cut, "9")]);
    let foreign = Outcome::Foreign("1".to_owned());
    check(Some(sent("9", Kind::Get, foreign)), &[executed("9")], &[recorded("9", 200)], &[], &[(Fault::Foreign, "9")]);
    check(Some(sent("9", Kind::Message, Outcome::Farewell)), &[], &[], &[], &[(Fault::Farewell, "9")]);
}

#[test]
fn what_is_answered_after_its_deadline_is_late_whatever_it_was_told() {
    let late = |deadline: u64, kind, outcome| {
        let mut books = good();
        books.sent.push(sent("9", kind, outcome));
        // All others took as long, and are not looked at.
        books.deadline = Some(ms(deadline));
        Account::compare(&books).of(Fault::Late).filter(|late| late.number == "9").count()
    };
    let refused = || Outcome::Refused(504, "deadline".to_owned());
    assert_eq!((late(99, Kind::Get, ok()), late(99, Kind::Post, refused()), late(99, Kind::Get, lost())), (1, 1, 1));
    assert_eq!((late(100, Kind::Get, ok()), late(100, Kind::Post, refused())), (0, 0));
    assert_eq!((late(99, Kind::Session, Outcome::Answered(101)), late(99, Kind::Message, ok())), (0, 0));
}

#[test]
fn twice_is_a_fault_of_what_is_not_idempotent_alone() {
    let (twice, records) = ([executed("9"), executed("9")], [recorded("9", 200)]);
    check(Some(sent("9", Kind::Post, ok())), &twice, &records, &[], &[(Fault::Twice, "9")]);
    check(Some(sent("9", Kind::Message, ok())), &twice, &[], &[], &[(Fault::Twice, "9")]);
    let account = check(Some(sent("9", Kind::Get, ok())), &twice, &records, &[], &[]);
    assert_eq!(account.repeated, 1);
    // Also of one whose client never heard of it.
    check(Some(sent("9", Kind::Post, lost())), &twice, &records, &[], &[(Fault::Lost, "9"), (Fault::Twice, "9")]);
}

#[test]
fn answers_without_execution_and_executions_without_request_are_found() {
    check(Some(sent("9", Kind::Get, ok())), &[], &[recorded("9", 200)], &[], &[(Fault::Unexecuted, "9")]);
    check(None, &[executed("9")], &[], &[], &[(Fault::ExecutedOfNothing, "9")]);
    let unprocessed = || Some(sent("9", Kind::Post, Outcome::Unprocessed("GOAWAY")));
    check(unprocessed(), &[], &[], &[], &[(Fault::Unprocessed, "9")]);
    check(unprocessed(), &[executed("9")], &[recorded("9", 200)], &[], &[(Fault::Unprocessed, "9"), (Fault::Haunting, "9")]);
}

#[test]
fn every_request_has_exactly_one_true_record() {
    let (get, done) = (|| Some(sent("9", Kind::Get, ok())), [executed("9")]);
    check(get(), &done, &[], &[], &[(Fault::RecordMissing, "9")]);
    check(get(), &done, &[recorded("9", 200), recorded("9", 200)], &[], &[(Fault::RecordDouble, "9")]);
    check(get(), &done, &[recorded("9", 502)], &[], &[(Fault::RecordWrong, "9")]);
    let other_id = Recorded { request_id: Some("id-8".to_owned()), ..recorded("9", 200) };
    check(get(), &done, &[other_id], &[], &[(Fault::RecordWrong, "9")]);
    let other_replica = Recorded { replica: 1, ..recorded("9", 200) };
    check(get(), &done, &[other_replica], &[], &[(Fault::RecordWrong, "9")]);
    check(None, &[], &[recorded("9", 200)], &[], &[(Fault::RecordOfNothing, "9")]);
    let refused = Outcome::Refused(503, "link-unavailable".to_owned());
    check(Some(sent("9", Kind::Get, refused)), &[], &[], &[], &[(Fault::Refused, "9"), (Fault::RecordMissing, "9")]);
    // Messages have none.
    check(Some(sent("9", Kind::Message, ok())), &done, &[recorded("9", 200)], &[], &[(Fault::RecordOfNothing, "9")]);
}

#[test]
fn a_kill_explains_what_was_in_flight_and_the_flush_window_and_nothing_else() {
    let get = |outcome| Some(sent("9", Kind::Get, outcome));
    let in_killed = |outcome, at: u64| {
        let mut books = good();
        books.sent.extend(get(outcome));
        books.events.push(killed(at));
        Account::compare(&books).of(Fault::Lost).map(|deviation| deviation.in_killed).collect::<Vec<_>>()
    };
    assert_eq!(in_killed(lost(), 10_050), [true]);
    assert_eq!(in_killed(lost(), 10_101), [false], "it ended before the kill");
    assert_eq!(in_killed(lost(), 9_900), [false], "it began after the kill");
    // Answered at 10.1 s and killed at once: its record was not yet flushed. Killed much later, it ought to be there.
    let account = check(get(ok()), &[executed("9")], &[], &[killed(10_110)], &[(Fault::RecordUnflushed, "9")]);
    assert_eq!(account.unflushed_for, ms(10));
    let window = u64::try_from((FLUSH + FLUSH_SLACK).as_millis()).unwrap();
    check(get(ok()), &[executed("9")], &[], &[killed(10_101 + window)], &[(Fault::RecordMissing, "9")]);
    // The other replica's death explains nothing.
    let other = Event { seat: Seat::Security(1), ..killed(10_110) };
    check(get(ok()), &[executed("9")], &[], &[other], &[(Fault::RecordMissing, "9")]);
    // Nor does a death in order.
    let left = Event { what: What::Left, ..killed(10_110) };
    check(get(ok()), &[executed("9")], &[], &[left], &[(Fault::RecordMissing, "9")]);
}

#[test]
fn the_complaint_tells_what_is_not_lawful_with_all_that_is_known() {
    let account =
        check(Some(sent("9", Kind::Get, lost())), &[executed("9")], &[recorded("9", 502)], &[killed(10_050)], &[(Fault::Lost, "9")]);
    assert!(account.complaint(|deviation| deviation.in_killed, |_| String::new()).is_empty());
    let complaint = account.complaint(|_| false, |id| format!("  log of {id}\n"));
    for word in ["lost: Get 9", "h1-0:40000", "security-1", "executed by orders-1", "/orders/9", "Killed", "log of id-9"] {
        assert!(complaint.contains(word), "{word} in {complaint}");
    }
    assert!(account.to_string().lines().any(|line| line.starts_with("lost") && line.contains('1')), "{account}");
}

#[test]
fn a_number_is_given_once() {
    let mut books = good();
    books.sent.push(sent("1", Kind::Get, ok()));
    assert!(std::panic::catch_unwind(|| Account::compare(&books)).is_err());
}
