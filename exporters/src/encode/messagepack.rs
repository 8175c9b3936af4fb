//! MessagePack: the same document as JSON, with binary numbers and lengths.

use super::{document::Sink, json};
use rmp::encode;

/// Written to the end of a buffer, which cannot fail.
pub(super) struct MessagePack<'a>(pub(super) &'a mut Vec<u8>);

/// `array 32`, with the length in the four bytes behind it.
const ARRAY_32: u8 = 0xdd;

fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Sink for MessagePack<'_> {
    const TAIL: usize = 0;

    fn begin_map(&mut self, len: usize) {
        let _ = encode::write_map_len(self.0, len32(len));
    }
    fn end_map(&mut self) {}
    fn begin_list(&mut self, len: usize) {
        let _ = encode::write_array_len(self.0, len32(len));
    }
    fn end_list(&mut self) {}

    fn key(&mut self, key: &'static str) {
        self.text(key);
    }
    fn any_key(&mut self, key: &str) {
        self.text(key);
    }
    fn entry(&mut self) {}

    fn text(&mut self, text: &str) {
        let _ = encode::write_str(self.0, text);
    }
    fn hex(&mut self, bytes: &[u8]) {
        let _ = encode::write_str_len(self.0, len32(2 * bytes.len()));
        json::hex(self.0, bytes);
    }
    fn bool(&mut self, value: bool) {
        let _ = encode::write_bool(self.0, value);
    }
    fn u64(&mut self, number: u64) {
        let _ = encode::write_uint(self.0, number);
    }
    fn i64(&mut self, number: i64) {
        let _ = encode::write_sint(self.0, number);
    }
    fn f64(&mut self, number: f64) {
        let _ = encode::write_f64(self.0, number);
    }

    fn len(&self) -> usize {
        self.0.len()
    }
    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
    fn begin_open_list(&mut self) -> usize {
        self.0.push(ARRAY_32);
        self.0.extend([0; 4]);
        self.0.len()
    }
    fn set_len(&mut self, list: usize, len: usize) {
        if let Some(place) = self.0.get_mut(list.wrapping_sub(4)..list) {
            place.copy_from_slice(&len32(len).to_be_bytes());
        }
    }
}
