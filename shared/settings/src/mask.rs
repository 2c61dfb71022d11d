//! Values of the environment, kept out of complaints.
//!
//! In: what variables gave to a document, and a sentence about it. Out: the sentence with each value as it is written in the file. Refuses: a
//! sentence that holds a piece of a value and not the whole, as one that was clipped. Never: shows more of a value than [`PIECE_CHARS`].

/// Shorter values say nothing, and are in every other sentence: a port, a number of threads.
const VALUE_BYTES_MIN: usize = 6;

/// A piece of a value that is as long as this is not there by chance.
const PIECE_CHARS: usize = 16;

/// The variables of a document and their values.
#[derive(Default)]
pub(crate) struct Mask {
    /// As written, as read, and as Rust would quote it.
    values: Vec<(String, String, String)>,
}

impl Mask {
    /// Keeps the value of `${name}`.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let written = format!("${{{name}}}");
        if value.len() >= VALUE_BYTES_MIN && !self.values.iter().any(|(known, ..)| *known == written) {
            self.values.push((written, value.to_owned(), value.escape_debug().to_string()));
            // What holds another value goes before it.
            self.values.sort_by_key(|(_, value, _)| std::cmp::Reverse(value.len()));
        }
    }

    /// The sentence without values; `None` where it cannot be told without them.
    pub(crate) fn over(&self, sentence: String) -> Option<String> {
        let mut sentence = sentence;
        for (written, value, quoted) in &self.values {
            sentence = replace(&sentence, quoted, written);
            sentence = replace(&sentence, value, written);
        }
        let chars: Vec<char> = lower(&sentence).chars().collect();
        let mut pieces = chars.windows(PIECE_CHARS).map(|piece| piece.iter().collect::<String>());
        let holds =
            |piece: &String| self.values.iter().any(|(_, value, quoted)| lower(value).contains(piece) || lower(quoted).contains(piece));
        (self.values.is_empty() || !pieces.any(|piece| holds(&piece))).then_some(sentence)
    }
}

/// Names of hosts are quoted in lower case.
fn replace(sentence: &str, value: &str, written: &str) -> String {
    let (low, wanted) = (lower(sentence), lower(value));
    let mut out = String::with_capacity(sentence.len());
    let mut last = 0;
    for (start, found) in low.match_indices(&wanted) {
        out.push_str(sentence.get(last..start).unwrap_or_default());
        out.push_str(written);
        last = start + found.len();
    }
    out.push_str(sentence.get(last..).unwrap_or_default());
    out
}

/// ASCII alone, so that places stay the same.
fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(value: &str, sentence: &str) -> Option<String> {
        let mut mask = Mask::default();
        mask.add("X", value);
        mask.over(sentence.to_owned())
    }

    #[test]
    fn a_value_is_told_as_it_is_written() {
        assert_eq!(over("S3cret", "no service is named \"S3cret\"").as_deref(), Some("no service is named \"${X}\""));
        assert_eq!(over("S3cret", "\"s3cret.example\" is no DNS name").as_deref(), Some("\"${X}.example\" is no DNS name"));
        assert_eq!(over("two\nlines", "found \"two\\nlines\"").as_deref(), Some("found \"${X}\""));
        assert_eq!(over("1", "write 1 to 128 characters").as_deref(), Some("write 1 to 128 characters"));
        assert_eq!(over("S3cret", "nothing of it").as_deref(), Some("nothing of it"));
    }

    #[test]
    fn what_holds_a_piece_of_a_value_is_not_told() {
        let value = "0123456789abcdefghij".repeat(10);
        assert_eq!(over(&value, &format!("no service is named {:?}…", &value[..64])), None);
        assert_eq!(over(&value, &format!("{:?} is no name", &value[3..20])), None);
        assert_eq!(over(&value, "\"0123456789\" is no name").as_deref(), Some("\"0123456789\" is no name"));
    }
}
