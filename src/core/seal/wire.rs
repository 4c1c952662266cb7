//! Reading the binary layouts of SSH: big-endian numbers and length-prefixed strings (RFC 4251 § 5).
//!
//! Every step is bounded by the bytes at hand: a length that reaches beyond them is `None`, never a panic or an allocation.

/// Bytes that are taken off from the front, field by field.
#[derive(Clone, Copy)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Starts at the first of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Fields(bytes)
    }

    /// The next `count` bytes; `None` where fewer are left.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    /// The next four bytes as a number.
    pub fn number(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    /// The next string's bytes, without its length.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    /// What is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}
