//! The least that can be done to bring out a given page: copy it, or copy all but its numbers.

use benches::Result;

use crate::Render;

/// A copy of the finished page.
pub(crate) struct Copied {
    finished: Vec<u8>,
    page: Vec<u8>,
}

impl Copied {
    pub(crate) fn of(page: &[u8]) -> Self {
        Self { finished: page.to_vec(), page: Vec::with_capacity(page.len()) }
    }
}

impl Render for Copied {
    fn render(&mut self) -> &[u8] {
        self.page.clear();
        self.page.extend_from_slice(std::hint::black_box(&self.finished));
        &self.page
    }
}

/// Every line's text is there beforehand; rendering copies it and writes the number.
pub(crate) struct Naive {
    /// What stands before each number, one after the other.
    text: Vec<u8>,
    /// Where in `text` each line ends, and its number.
    lines: Vec<(usize, Number)>,
    page: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Number {
    Integer(u64),
    Float(f64),
}

impl Naive {
    /// Takes a page apart that somebody has rendered.
    pub(crate) fn of(page: &[u8]) -> Result<Self> {
        let (mut text, mut lines) = (Vec::new(), Vec::new());
        for line in std::str::from_utf8(page)?.lines() {
            match line.rsplit_once(' ') {
                Some((before, number)) if !line.starts_with('#') => {
                    text.extend_from_slice(before.as_bytes());
                    text.push(b' ');
                    let number = match number.parse() {
                        Ok(integer) => Number::Integer(integer),
                        Err(_) => {
                            Number::Float(number.parse().map_err(|_| format!("no number in {line:?}"))?)
                        }
                    };
                    lines.push((text.len(), number));
                }
                // A comment belongs to the text before the next number.
                _ => {
                    text.extend_from_slice(line.as_bytes());
                    text.push(b'\n');
                }
            }
        }
        Ok(Self { text, lines, page: Vec::with_capacity(page.len() + page.len() / 8) })
    }

    /// Lines with a number.
    pub(crate) fn lines(&self) -> usize {
        self.lines.len()
    }
}

impl Render for Naive {
    fn render(&mut self) -> &[u8] {
        self.page.clear();
        let (mut integers, mut floats) = (itoa::Buffer::new(), ryu::Buffer::new());
        let mut start = 0;
        for &(end, number) in &self.lines {
            self.page.extend_from_slice(&self.text[start..end]);
            start = end;
            let number = match number {
                Number::Integer(integer) => integers.format(integer),
                Number::Float(float) => floats.format(float),
            };
            self.page.extend_from_slice(number.as_bytes());
            self.page.push(b'\n');
        }
        self.page.extend_from_slice(&self.text[start..]);
        &self.page
    }
}
