//! Where the frames of a WebSocket begin and end (RFC 6455 §5.2), in one direction of it.
//!
//! In: the bytes as they come, in whatever pieces. Out: whether the last one ended a frame, whether a Close has come, and whether the bytes can be
//! understood at all. It looks at heads and counts payloads. Never: holds, changes or unmasks a byte; guesses where frames are once it is lost.

/// RFC 6455 §5.5: the payload of a control frame.
const CONTROL_BYTES_MAX: u64 = 125;

/// RFC 6455 §5.2: opcodes from here on are those of control frames.
const CONTROL: u8 = 0x8;

/// RFC 6455 §5.5.1.
const CLOSE: u8 = 0x8;

/// RFC 6455 §5.5.3: the last of the control frames.
const PONG: u8 = 0xa;

/// RFC 6455 §5.2: the last of the frames that carry data; those up to control frames are reserved.
const BINARY: u8 = 0x2;

/// The frames of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    /// Whether frames are masked in this direction, as a client's must be and a server's must not (RFC 6455 §5.1).
    masked: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between two frames.
    Boundary,
    /// The first byte of a head was read.
    Opened { opcode: u8 },
    /// The long form of the length is being read: `left` of its bytes are to come.
    Length { opcode: u8, left: u8, length: u64, least: u64 },
    /// `left` bytes of mask and payload are to come.
    Rest { opcode: u8, left: u64 },
    /// A Close has come; nothing counts that follows it.
    Closed,
    /// Something has come that no frame begins with.
    Lost,
}

impl Frames {
    /// The frames of a client, or of a server.
    pub(crate) fn new(masked: bool) -> Self {
        Self { masked, state: State::Boundary }
    }

    /// Whether what has come so far ends with a frame, so that another one may follow. Not after a Close.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.state == State::Boundary
    }

    /// Whether the whole of a Close has come.
    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether a Close has come, or has begun to come.
    pub(crate) fn is_closing(&self) -> bool {
        match self.state {
            State::Closed => true,
            State::Opened { opcode } | State::Length { opcode, .. } | State::Rest { opcode, .. } => opcode == CLOSE,
            State::Boundary | State::Lost => false,
        }
    }

    /// Whether it cannot be said any more where frames are.
    pub(crate) fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Reads all of `bytes`.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = bytes.get(self.read_frame(bytes)..).unwrap_or_default();
        }
    }

    /// Reads to the end of the present frame, or of `bytes`; tells how many bytes that was, which is at least one of any.
    pub(crate) fn read_frame(&mut self, bytes: &[u8]) -> usize {
        let mut read = 0;
        while let Some(byte) = bytes.get(read) {
            match self.state {
                State::Closed | State::Lost => return bytes.len(),
                State::Rest { opcode, left } => {
                    let there = bytes.len() - read;
                    let here = usize::try_from(left).map_or(there, |left| left.min(there));
                    read += here;
                    self.state = rest(opcode, left - here as u64);
                }
                State::Boundary | State::Opened { .. } | State::Length { .. } => {
                    read += 1;
                    self.state = self.after(*byte);
                }
            }
            if matches!(self.state, State::Boundary | State::Closed) {
                break;
            }
        }
        read
    }

    /// The state after one more byte of a head.
    fn after(&self, byte: u8) -> State {
        match self.state {
            // The first bit says whether the message ends here, which a control frame must; the next three are an extension's, like that of
            // permessage-deflate, and say nothing about lengths.
            State::Boundary => match byte & 0x0f {
                opcode @ CLOSE..=PONG if byte & 0x80 != 0 => State::Opened { opcode },
                opcode @ 0..=BINARY => State::Opened { opcode },
                _ => State::Lost,
            },
            State::Opened { .. } if (byte & 0x80 != 0) != self.masked => State::Lost,
            State::Opened { opcode } => match byte & 0x7f {
                126.. if opcode >= CONTROL => State::Lost,
                126 => State::Length { opcode, left: 2, length: 0, least: CONTROL_BYTES_MAX + 1 },
                127 => State::Length { opcode, left: 8, length: 0, least: 1 << 16 },
                short => self.payload(opcode, u64::from(short)),
            },
            State::Length { opcode, left, length, least } => {
                let (left, length) = (left - 1, length << 8 | u64::from(byte));
                match left {
                    1.. => State::Length { opcode, left, length, least },
                    // RFC 6455 §5.2: the shortest form, and no more than 63 bits.
                    0 if length < least || length >> 63 != 0 => State::Lost,
                    0 => self.payload(opcode, length),
                }
            }
            state @ (State::Rest { .. } | State::Closed | State::Lost) => state,
        }
    }

    fn payload(&self, opcode: u8, length: u64) -> State {
        rest(opcode, length + if self.masked { 4 } else { 0 })
    }
}

/// The state when so many bytes of a frame are to come.
fn rest(opcode: u8, left: u64) -> State {
    match left {
        1.. => State::Rest { opcode, left },
        0 if opcode == CLOSE => State::Closed,
        0 => State::Boundary,
    }
}

#[cfg(test)]
mod tests;
