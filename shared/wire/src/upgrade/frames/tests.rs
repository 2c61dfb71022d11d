//! Lawful frames in arbitrary pieces, and what is none.

use proptest::prelude::*;

use super::*;

/// A frame to be written.
#[derive(Clone, Debug)]
struct Frame {
    last: bool,
    rsv: u8,
    opcode: u8,
    length: usize,
}

impl Frame {
    fn bytes(&self, masked: bool) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![if self.last { 0x80 } else { 0 } | self.rsv << 4 | self.opcode];
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short), _) if short < 126 => bytes.push(mask_bit | short),
            (_, Ok(medium)) => {
                bytes.push(mask_bit | 126);
                bytes.extend(medium.to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend((self.length as u64).to_be_bytes());
            }
        }
        if masked {
            bytes.extend([0x88, 0x80, 0x08, 0xff]);
        }
        // A payload that looks like Close frames wherever it is cut.
        bytes.extend([0x88, 0x00].iter().cycle().take(self.length));
        bytes
    }
}

fn frame() -> impl Strategy<Value = Frame> {
    let length = prop_oneof![0..=130_usize, 65_530..=65_540_usize, Just(0), Just(125), Just(126), Just(65_535), Just(65_536)];
    let data = (any::<bool>(), 0..8_u8, 0..=2_u8, length).prop_map(|(last, rsv, opcode, length)| Frame { last, rsv, opcode, length });
    let control = (0..8_u8, 9..=10_u8, 0..=125_usize).prop_map(|(rsv, opcode, length)| Frame { last: true, rsv, opcode, length });
    prop_oneof![data, control]
}

/// Cuts `bytes` at `cuts`.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn boundaries_are_found_however_lawful_frames_arrive(
        frames in prop::collection::vec(frame(), 0..8), close in prop::option::of(0..=125_usize), masked: bool,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for frame in &frames {
            bytes.extend(frame.bytes(masked));
            ends.push(bytes.len());
        }
        let closes = bytes.len();
        if let Some(length) = close {
            bytes.extend(Frame { last: true, rsv: 0, opcode: CLOSE, length }.bytes(masked));
        }
        let closed = bytes.len();
        // Nothing counts after a Close.
        if close.is_some() {
            bytes.extend([0xff, 0x00, 0x81]);
        }

        let (mut whole, mut at) = (Frames::new(masked), 0);
        for piece in pieces(&bytes, &cuts) {
            whole.read(piece);
            at += piece.len();
            prop_assert!(!whole.is_lost());
            prop_assert_eq!(whole.is_at_boundary(), ends.contains(&at) && (close.is_none() || at <= closes), "at {}", at);
            prop_assert_eq!(whole.is_closed(), close.is_some() && at >= closed, "at {}", at);
            prop_assert_eq!(whole.is_closing(), close.is_some() && at > closes, "at {}", at);
        }

        // Frame by frame, it stops where the frames end.
        let (mut single, mut at, mut found) = (Frames::new(masked), 0, vec![0]);
        while at < closes {
            at += single.read_frame(&bytes[at..closes]);
            found.push(at);
        }
        prop_assert_eq!(found, ends);
    }

    #[test]
    fn whatever_comes_is_read_to_its_end_and_the_same_in_every_piece(
        bytes in prop::collection::vec(any::<u8>(), 0..400), masked: bool, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let (mut whole, mut cut) = (Frames::new(masked), Frames::new(masked));
        whole.read(&bytes);
        for piece in pieces(&bytes, &cuts) {
            cut.read(piece);
        }
        prop_assert_eq!(whole.state, cut.state);
        prop_assert!(u8::from(whole.is_at_boundary()) + u8::from(whole.is_closing()) + u8::from(whole.is_lost()) <= 1);
    }
}

/// A frame of a server's bytes, or of a client's, that no frame may begin with.
#[track_caller]
fn unlawful(masked: bool, bytes: &[u8]) {
    let mut frames = Frames::new(masked);
    frames.read(bytes);
    assert!(frames.is_lost(), "{bytes:?}");
    frames.read(&[0x88, 0x00, 0x81, 0x00]);
    assert!(frames.is_lost() && !frames.is_closing() && !frames.is_at_boundary(), "what was lost is not found again");
}

#[test]
fn what_is_no_frame_is_never_taken_for_one() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        unlawful(false, &[0x80 | opcode]);
    }
    unlawful(false, &[0x08]);
    unlawful(false, &[0x09]);
    unlawful(false, &[0x81, 0x80]);
    unlawful(true, &[0x81, 0x00]);
    unlawful(false, &[0x88, 126]);
    unlawful(false, &[0x89, 127]);
    unlawful(false, &[0x82, 126, 0, 125]);
    unlawful(false, &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    unlawful(true, &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    unlawful(false, b"HTTP/1.1 200 OK\r\n");
}

#[test]
fn the_longest_lawful_frame_is_counted_to_its_end() {
    let mut frames = Frames::new(true);
    frames.read(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(frames.state, State::Rest { opcode: 2, left: (1 << 63) - 1 + 4 });
    frames.read(&[0; 1 << 16]);
    assert!(!frames.is_lost() && !frames.is_at_boundary());
}
