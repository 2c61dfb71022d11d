//! The thread that writes one sink's lines.
//!
//! In: chunks of whole lines. Out: the same to a file or a pipe, as few writes as there are chunks. A failed write
//! loses the rest of its chunk, counted, and the next chunk is tried again: a disk that was full may have room by
//! then. Never: panics, gives up, or lets a torn line run into the next one.
//!
//! Two processes append to one file while an upgrade lasts. A chunk is one append, which the kernel does not mix with another (O_APPEND); only a disk
//! that fills in the middle of one can let a line of the other process run into it.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::record::books::Books;
use crate::record::queue::Queue;

/// A failing sink is told of this often at most.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Starts the writer; it ends when the queue is closed and empty.
pub(super) fn start(name: String, queue: Arc<Queue>, books: Books, out: impl Write + Send + 'static) -> io::Result<()> {
    let mut writer = Writer { name, books, out, torn: false, warned: None };
    let run = move || {
        let mut done = None;
        while let Some(chunk) = queue.next(done.take()) {
            writer.write(&chunk.bytes, chunk.lines);
            done = Some(chunk);
        }
    };
    thread::Builder::new().name("records".to_owned()).spawn(run).map(drop)
}

struct Writer<W> {
    name: String,
    books: Books,
    out: W,
    /// The last byte that the sink took was not a newline.
    torn: bool,
    warned: Option<Instant>,
}

impl<W: Write> Writer<W> {
    fn write(&mut self, bytes: &[u8], lines: u64) {
        let (taken, fault) = self.write_lines(bytes);
        let whole = if fault.is_none() { lines } else { whole_lines(bytes, taken) };
        self.books.written.inc_by(whole);
        self.books.lost_write.inc_by(lines.saturating_sub(whole));
        if let Some(fault) = fault {
            self.warn(&fault);
        }
    }

    /// Writes as much as the sink takes. Answers how many of `bytes` it took, and what stopped it.
    fn write_lines(&mut self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        if self.torn {
            // The torn line was counted as lost; it must not spoil the next one as well.
            if let (_, Some(fault)) = write_all(&mut self.out, b"\n") {
                return (0, Some(fault));
            }
            self.torn = false;
        }
        let (taken, fault) = write_all(&mut self.out, bytes);
        self.torn = taken > 0 && bytes.get(taken - 1) != Some(&b'\n');
        (taken, fault)
    }

    fn warn(&mut self, fault: &io::Error) {
        if self.warned.is_some_and(|warned| warned.elapsed() < WARN_EVERY) {
            return;
        }
        self.warned = Some(Instant::now());
        tracing::warn!(
            sink = self.name,
            error = %fault,
            lost = self.books.lost_write.get(),
            "records are being lost: the sink does not take them; make room or repair it, nothing needs a restart"
        );
    }
}

/// As `Write::write_all`, but says how much was taken when it fails.
fn write_all(out: &mut impl Write, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return (taken, Some(ErrorKind::WriteZero.into())),
            Ok(some) => taken += some,
            Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
            Err(fault) => return (taken, Some(fault)),
        }
    }
    (taken, None)
}

/// How many lines stand whole in a sink that took the first `taken` bytes. A line that lacks nothing but its newline is
/// whole: the newline is the first thing that the sink gets next.
fn whole_lines(bytes: &[u8], taken: usize) -> u64 {
    let (gone, left) = bytes.split_at(taken.min(bytes.len()));
    let newlines: u64 = gone.iter().map(|byte| u64::from(*byte == b'\n')).sum();
    let lacks_newline = left.first() == Some(&b'\n') && gone.last().is_some_and(|byte| *byte != b'\n');
    newlines + u64::from(lacks_newline)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::Writer;
    use crate::metrics::Metrics;
    use crate::record::books::Books;

    /// Takes as many bytes at a call as its script says; `None` is a failure.
    struct Scripted {
        script: Vec<Option<usize>>,
        taken: Vec<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.script.pop() {
                None => {
                    self.taken.extend_from_slice(bytes);
                    Ok(bytes.len())
                }
                Some(None) => Err(io::ErrorKind::StorageFull.into()),
                Some(Some(most)) => {
                    let some = bytes.len().min(most);
                    self.taken.extend_from_slice(&bytes[..some]);
                    Ok(some)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer(script: Vec<Option<usize>>) -> Writer<Scripted> {
        let books = Books::register(&Metrics::new(), "scripted");
        Writer { name: "scripted".to_owned(), books, out: Scripted { script, taken: Vec::new() }, torn: false, warned: None }
    }

    proptest! {
        #[test]
        fn however_a_sink_fails_the_books_say_what_stands_in_it(script in prop::collection::vec(prop::option::of(0_usize..40), 0..40)) {
            let mut writer = writer(script);
            for chunk in 0..10_u64 {
                let lines: String = (0..5).map(|line| format!("{{\"n\":{}}}\n", chunk * 5 + line)).collect();
                writer.write(lines.as_bytes(), 5);
            }
            // What comes after the failures settles whether a last torn line stands apart.
            writer.out.script.clear();
            writer.write(b"{\"n\":50}\n", 1);
            let (written, lost) = (writer.books.written.get(), writer.books.lost_write.get());
            prop_assert_eq!(written + lost, 51);
            let text = String::from_utf8(writer.out.taken).unwrap();
            prop_assert!(text.ends_with("{\"n\":50}\n"), "{}", text);
            let whole: Vec<u64> = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["n"].as_u64()).collect();
            prop_assert_eq!(whole.len() as u64, written);
            prop_assert!(whole.is_sorted());
        }
    }

    #[test]
    fn a_failing_sink_is_told_of_once_a_minute() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::fmt().with_writer(Told(Arc::clone(&told))).finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut writer = writer(vec![None; 3]);
            (0..3).for_each(|_| writer.write(b"{}\n", 1));
            assert_eq!(writer.books.lost_write.get(), 3);
        });
        let text = String::from_utf8(told.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("records are being lost") && text.contains("scripted"), "{text}");
    }

    struct Told(Arc<Mutex<Vec<u8>>>);

    impl tracing_subscriber::fmt::MakeWriter<'_> for Told {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            Self(Arc::clone(&self.0))
        }
    }

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
