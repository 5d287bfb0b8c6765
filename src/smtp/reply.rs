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
    /// Code and enhanced code, without the text.
    pub fn status(&self) -> String {
        let first = self.lines.first().map(|line| String::from_utf8_lossy(line));
        let enhanced = first
            .as_deref()
            .and_then(|line| line.split(' ').next())
            .unwrap_or_default();
        format!("{} {enhanced}", self.code)
    }
    /// The lines.
    pub fn lines(&self) -> &[Vec<u8>] {
        &self.lines
    }
}
