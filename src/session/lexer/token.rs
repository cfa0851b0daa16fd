//! What the tokenizer yields.

/// One token: its kind and where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

impl Token {
    /// The token's bytes in the statement it was read from.
    pub fn text<'a>(&self, sql: &'a [u8]) -> &'a [u8] {
        sql.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether it is this one byte.
    pub fn is(&self, symbol: u8) -> bool {
        self.kind == TokenKind::Symbol(symbol)
    }
}

/// The kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A keyword or a name without quotes.
    Word,
    /// A name in backticks, or in double quotes under `ANSI_QUOTES`; with its quotes.
    Quoted,
    /// A string with its quotes, and the `N` in front.
    Text,
    /// `x'4D'`, `b'01'`, `0x4D`, `0b01`.
    Bits,
    /// A decimal number.
    Number,
    /// `@name`, also quoted; with the `@`.
    UserVariable,
    /// `@@`: a scope or a system variable's name follows.
    System,
    /// `:=`.
    Assign,
    /// A `$tag$…$tag$` text.
    Dollar,
    /// An optimizer hint `/*+ … */`.
    Hint,
    /// Any other single byte.
    Symbol(u8),
    /// Here the text can't be read as the server would read it. Nothing follows.
    Opaque,
    /// The end of the text.
    End,
}
