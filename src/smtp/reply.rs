//! Replies.
/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    code: u16,
    lines: Vec<Vec<u8>>,
}
impl Reply {
    /// One line.
    pub fn new(code: u16, enhanced: &str, text: impl AsRef<str>) -> Self {
        Self {
            code,
            lines: vec![format!("{enhanced} {}", text.as_ref()).into_bytes()],
        }
    }
    /// The code.
    pub fn code(&self) -> u16 {
        self.code
    }
    /// The lines.
    pub fn lines(&self) -> &[Vec<u8>] {
        &self.lines
    }
}
