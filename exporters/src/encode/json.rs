//! JSON, as RFC 8259 has it.

use super::document::Sink;

/// Written to the end of a buffer.
pub(crate) struct Json<'a>(pub(crate) &'a mut Vec<u8>);

impl Json<'_> {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A comma, unless this is the first of a map or list.
    fn comma(&mut self) {
        if !matches!(self.0.last(), Some(b'{' | b'[')) {
            self.0.push(b',');
        }
    }
}

impl Sink for Json<'_> {
    const TAIL: usize = "]}".len();

    fn begin_map(&mut self, _: usize) {
        self.0.push(b'{');
    }
    fn end_map(&mut self) {
        self.0.push(b'}');
    }
    fn begin_list(&mut self, _: usize) {
        self.0.push(b'[');
    }
    fn end_list(&mut self) {
        self.0.push(b']');
    }

    fn key(&mut self, key: &'static str) {
        self.comma();
        self.0.push(b'"');
        self.raw(key);
        self.raw("\":");
    }
    fn any_key(&mut self, key: &str) {
        self.comma();
        self.text(key);
        self.0.push(b':');
    }
    fn entry(&mut self) {
        self.comma();
    }

    /// All that need not be escaped between two characters that must be is copied at once.
    fn text(&mut self, text: &str) {
        self.0.push(b'"');
        let bytes = text.as_bytes();
        let mut copied = 0;
        for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| ESCAPED[usize::from(**byte)]) {
            self.0.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
            copied = at + 1;
            match byte {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                b'\n' => self.raw("\\n"),
                b'\r' => self.raw("\\r"),
                b'\t' => self.raw("\\t"),
                _ => {
                    self.raw("\\u00");
                    hex(self.0, &[*byte]);
                }
            }
        }
        self.0.extend_from_slice(bytes.get(copied..).unwrap_or_default());
        self.0.push(b'"');
    }
    fn hex(&mut self, bytes: &[u8]) {
        self.0.push(b'"');
        hex(self.0, bytes);
        self.0.push(b'"');
    }
    fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }
    fn u64(&mut self, number: u64) {
        self.raw(itoa::Buffer::new().format(number));
    }
    fn i64(&mut self, number: i64) {
        self.raw(itoa::Buffer::new().format(number));
    }
    /// JSON has no infinity, and no number that is none.
    fn f64(&mut self, number: f64) {
        match number.is_finite() {
            true => self.raw(ryu::Buffer::new().format_finite(number)),
            false => self.raw("null"),
        }
    }

    fn len(&self) -> usize {
        self.0.len()
    }
    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
    fn begin_open_list(&mut self) -> usize {
        self.0.push(b'[');
        0
    }
    fn set_len(&mut self, _: usize, _: usize) {}
}

/// Two lower-case digits a byte.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// The bytes that must be escaped in text.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escaped[byte] = true;
        byte += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};
