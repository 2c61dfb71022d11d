//! Tunnels between two ends in memory: what they carry, and how they end when they are told to.

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;

const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// A client's frame; the mask is all zeros, so that payloads stay readable.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0][..], payload].concat()
}

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()][..], payload].concat()
}

/// The frames in `bytes`, each as its first byte and its payload without the mask. Panics where they are none.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (first, second) = (bytes[0], bytes[1]);
        let (length, mask) = (usize::from(second & 0x7f), second & 0x80 != 0);
        assert!(length < 126);
        let key = if mask { bytes[2..6].to_vec() } else { vec![0] };
        let begin = if mask { 6 } else { 2 };
        let payload = bytes[begin..begin + length].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        frames.push((first, payload));
        bytes = &bytes[begin + length..];
    }
    frames
}

/// The two ends of a tunnel that runs.
struct Ends {
    client: DuplexStream,
    instance: DuplexStream,
    farewell: Farewell,
    passed: Rc<Passed>,
    running: tokio::task::JoinHandle<io::Result<()>>,
}

impl Ends {
    /// A tunnel whose pipes hold `bytes`.
    fn of(bytes: usize) -> Self {
        let (client, near) = duplex(bytes);
        let (instance, far) = duplex(bytes);
        let (farewell, passed) = (Farewell::default(), Rc::<Passed>::default());
        let (told, counted) = (farewell.clone(), Rc::clone(&passed));
        let running = tokio::task::spawn_local(async move { Tunnel::new(near, far, counted).run(&told).await });
        Self { client, instance, farewell, passed, running }
    }

    /// What the client says is read by the instance.
    async fn say(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
        let mut heard = vec![0; bytes.len()];
        self.instance.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, bytes);
    }

    /// What the instance says is read by the client.
    async fn answer(&mut self, bytes: &[u8]) {
        self.instance.write_all(bytes).await.unwrap();
        let mut heard = vec![0; bytes.len()];
        self.client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, bytes);
    }

    async fn client_reads(&mut self, wanted: &[u8]) {
        let mut heard = vec![0; wanted.len()];
        self.client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, wanted);
    }

    /// The instance reads one of our Closes: a client's must be masked.
    async fn instance_reads_close(&mut self) {
        let mut close = [0; 8];
        self.instance.read_exact(&mut close).await.unwrap();
        assert_eq!(close[..2], [0x88, 0x82]);
        assert_eq!(frames(&close), [(0x88, vec![0x03, 0xe9])]);
    }

    /// Both ends read nothing but the end, and the tunnel is over.
    async fn end(self) {
        let Self { mut client, mut instance, running, .. } = self;
        for end in [&mut client, &mut instance] {
            let mut rest = Vec::new();
            timeout(Duration::from_secs(60), end.read_to_end(&mut rest)).await.expect("an end").unwrap();
            assert_eq!(rest, [] as [u8; 0]);
        }
        running.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn bytes_pass_both_ways_until_both_ends_have_closed_whatever_they_are() {
    let mut ends = Ends::of(16);
    ends.say(b"no frame at all").await;
    ends.answer(&[0xff; 10]).await;
    ends.client.shutdown().await.unwrap();
    assert_eq!(ends.instance.read(&mut [0; 8]).await.unwrap(), 0, "the client's end is told to the instance");
    ends.answer(b"late").await;
    ends.instance.shutdown().await.unwrap();
    assert_eq!((ends.passed.inbound.get(), ends.passed.outbound.get()), (15, 14));
    ends.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn ends_at_rest_are_told_at_once_and_the_tunnel_ends_when_they_have_answered() {
    let mut ends = Ends::of(64);
    ends.say(&masked(0x81, b"hi")).await;
    ends.answer(&unmasked(0x81, b"hi")).await;
    ends.farewell.tell();
    ends.client_reads(&GOING_AWAY).await;
    ends.instance_reads_close().await;
    // What was on its way crosses our Close, and is too late; both directions are told.
    ends.client.write_all(&[masked(0x82, b"late"), masked(0x88, &[3, 0xe9])].concat()).await.unwrap();
    ends.instance.write_all(&[unmasked(0x82, b"late"), unmasked(0x88, &[3, 0xe9])].concat()).await.unwrap();
    ends.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_frame_that_is_under_way_is_finished_first_in_each_direction() {
    let mut ends = Ends::of(64);
    let (question, answer) = (masked(0x01, b"a fragment"), unmasked(0x02, b"another"));
    ends.say(&question[..9]).await;
    ends.answer(&answer[..1]).await;
    ends.farewell.tell();
    ends.say(&question[9..12]).await;
    ends.answer(&answer[1..4]).await;
    // The end of the frame, and what nobody may hear any more: the rest of the message, and the end of it all.
    ends.client.write_all(&[&question[12..], &masked(0x80, b"end"), &masked(0x88, &[])].concat()).await.unwrap();
    ends.instance.write_all(&[&answer[4..], &unmasked(0x80, b"end"), &unmasked(0x88, &[])].concat()).await.unwrap();
    ends.client_reads(&[&answer[4..], &GOING_AWAY].concat()).await;
    let mut rest = vec![0; question.len() - 12];
    ends.instance.read_exact(&mut rest).await.unwrap();
    assert_eq!(rest, question[12..]);
    ends.instance_reads_close().await;
    ends.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn one_close_in_a_tunnel_is_enough() {
    for client_began in [true, false] {
        for cut in [1, 2, 4] {
            let mut ends = Ends::of(64);
            let (from_client, from_instance) = (masked(0x88, &[3, 0xe8]), unmasked(0x88, &[3, 0xe8]));
            if client_began {
                ends.say(&from_client[..cut]).await;
                ends.farewell.tell();
                ends.say(&from_client[cut..]).await;
                ends.answer(&from_instance).await;
            } else {
                ends.answer(&from_instance[..cut]).await;
                ends.farewell.tell();
                ends.answer(&from_instance[cut..]).await;
                ends.say(&from_client).await;
            }
            ends.instance.shutdown().await.unwrap();
            assert_eq!(ends.client.read(&mut [0; 8]).await.unwrap(), 0);
            ends.client.shutdown().await.unwrap();
            ends.end().await;
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_is_no_websocket_is_left_alone() {
    let mut ends = Ends::of(64);
    ends.say(b"\xff\xff").await;
    ends.farewell.tell();
    ends.say(b"anything").await;
    ends.answer(&unmasked(0x81, b"hi")).await;
    assert!(timeout(Duration::from_secs(60), ends.client.read(&mut [0; 8])).await.is_err(), "nobody says anything of his own");
    assert!(timeout(Duration::from_secs(60), ends.instance.read(&mut [0; 8])).await.is_err());
    assert!(!ends.running.is_finished(), "it ends at the deadline");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn nonsense_in_the_middle_of_a_farewell_is_passed_on_and_never_answered() {
    let mut ends = Ends::of(64);
    ends.say(&[0x82]).await;
    ends.farewell.tell();
    ends.client_reads(&GOING_AWAY).await;
    // A client's frame must be masked.
    ends.say(&[0x01, 0x00]).await;
    assert!(timeout(Duration::from_secs(60), ends.instance.read(&mut [0; 8])).await.is_err(), "no Close among what is no frame");
    ends.client.shutdown().await.unwrap();
    ends.end().await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_instance_that_does_not_answer_holds_nobody_and_a_client_that_does_not_holds_on() {
    let mut ends = Ends::of(64);
    ends.farewell.tell();
    ends.client_reads(&GOING_AWAY).await;
    ends.instance_reads_close().await;
    let mut both = Vec::new();
    ends.instance.write_all(&unmasked(0x88, &[3, 0xe9])).await.unwrap();
    assert!(timeout(Duration::from_secs(60), ends.client.read_to_end(&mut both)).await.is_err(), "the client has not answered");
    ends.client.write_all(&masked(0x88, &[3, 0xe9])).await.unwrap();
    ends.end().await;

    let mut ends = Ends::of(64);
    ends.farewell.tell();
    ends.client.write_all(&masked(0x88, &[3, 0xe9])).await.unwrap();
    ends.client_reads(&GOING_AWAY).await;
    ends.instance_reads_close().await;
    let begun = tokio::time::Instant::now();
    ends.end().await;
    assert!(begun.elapsed() >= ANSWER_MAX && begun.elapsed() < 2 * ANSWER_MAX, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn an_end_that_hangs_up_when_it_is_told_does_not_cut_the_other_one_off() {
    let mut ends = Ends::of(64);
    ends.farewell.tell();
    ends.instance_reads_close().await;
    drop(std::mem::replace(&mut ends.instance, duplex(1).0));
    ends.client_reads(&GOING_AWAY).await;
    ends.client.write_all(&masked(0x88, &[3, 0xe9])).await.unwrap();
    let mut rest = Vec::new();
    ends.client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    ends.running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_tunnel_that_begins_after_the_word_ends_at_once() {
    let (mut client, near) = duplex(64);
    let (mut instance, far) = duplex(64);
    let farewell = Farewell::default();
    farewell.tell();
    // What came together with the head of the request is not lost on the way to nowhere: it is a whole frame, and it is too late.
    client.write_all(&[masked(0x81, b"hi"), masked(0x88, &[])].concat()).await.unwrap();
    instance.write_all(&unmasked(0x88, &[])).await.unwrap();
    let mut tunnel = Tunnel::new(near, far, Rc::default());
    tunnel.run(&farewell).await.unwrap();
    let (mut to_client, mut to_instance) = (Vec::new(), Vec::new());
    drop(tunnel);
    client.read_to_end(&mut to_client).await.unwrap();
    instance.read_to_end(&mut to_instance).await.unwrap();
    assert_eq!(to_client, GOING_AWAY);
    assert_eq!(frames(&to_instance), [(0x88, vec![0x03, 0xe9])]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever is said in whatever pieces, and whenever the word comes: each end reads whole frames, the first ones of what the other said, and
    /// behind them one Close and nothing else.
    #[test]
    fn each_end_reads_whole_frames_and_one_close(
        questions in prop::collection::vec((0..3_u8, prop::collection::vec(any::<u8>(), 0..100)), 0..6),
        answers in prop::collection::vec((0..3_u8, prop::collection::vec(any::<u8>(), 0..100)), 0..6),
        pieces in prop::collection::vec((any::<bool>(), 1..150_usize), 1..40),
        told_after in 0..40_usize, pipe in 1..200_usize,
    ) {
        let said = |frames: &[(u8, Vec<u8>)], write: fn(u8, &[u8]) -> Vec<u8>| {
            let all = frames.iter().flat_map(|(opcode, payload)| write(0x80 | opcode, payload));
            all.chain(write(0x88, &[3, 0xe8])).collect::<Vec<u8>>()
        };
        let (from_client, from_instance) = (said(&questions, masked), said(&answers, unmasked));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build_local(Default::default()).unwrap();
        let talk = async {
            let Ends { client, instance, farewell, running, .. } = Ends::of(pipe);
            let ((client_reads, mut client_says), (instance_reads, mut instance_says)) =
                (tokio::io::split(client), tokio::io::split(instance));
            let listens = |mut end: tokio::io::ReadHalf<DuplexStream>| async move {
                let mut heard = Vec::new();
                end.read_to_end(&mut heard).await.unwrap();
                heard
            };
            let client_hears = tokio::task::spawn_local(listens(client_reads));
            let instance_hears = tokio::task::spawn_local(listens(instance_reads));
            let (mut left, mut right) = (&from_client[..], &from_instance[..]);
            for (at, (client_speaks, length)) in pieces.iter().enumerate() {
                if at == told_after {
                    farewell.tell();
                }
                let (words, end) = if *client_speaks { (&mut left, &mut client_says) } else { (&mut right, &mut instance_says) };
                let (now, later) = words.split_at(words.len().min(*length));
                *words = later;
                // An end that has answered and was hung up on says nothing more.
                let _hung_up = end.write_all(now).await;
                tokio::task::yield_now().await;
            }
            farewell.tell();
            let _hung_up = client_says.write_all(left).await;
            let _hung_up = instance_says.write_all(right).await;
            // Both have said Close; each hangs up.
            let _hung_up = client_says.shutdown().await;
            let _hung_up = instance_says.shutdown().await;
            running.await.unwrap().unwrap();
            (client_hears.await.unwrap(), instance_hears.await.unwrap())
        };
        let (to_client, to_instance) = runtime.block_on(async { timeout(Duration::from_secs(60), talk).await.expect("an end") });
        for (heard, said) in [(frames(&to_client), frames(&from_instance)), (frames(&to_instance), frames(&from_client))] {
            let (close, before) = heard.split_last().expect("a Close");
            prop_assert_eq!(close.0, 0x88);
            prop_assert!(before.iter().all(|(first, _)| *first != 0x88), "two Closes: {:?}", heard);
            prop_assert_eq!(before, &said[..before.len()]);
            prop_assert!(close.1 == [3, 0xe9] || before.len() + 1 == said.len(), "the other's own Close is the last of its frames");
        }
    }
}
