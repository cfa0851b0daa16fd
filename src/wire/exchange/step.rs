//! What an exchange says of the bytes in front of it.

use crate::wire::frame::Header;

/// What kind of reply a command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyShape {
    /// `COM_STMT_EXECUTE` and `COM_STMT_BULK_EXECUTE`: as a query's, with binary rows.
    Execute,
    /// `COM_STMT_FETCH`: rows without column definitions.
    Fetch,
    /// `COM_FIELD_LIST`: column definitions without a count.
    FieldList,
    /// No reply: `COM_STMT_CLOSE`, `COM_STMT_SEND_LONG_DATA`, `COM_QUIT`.
    None,
    /// One OK, EOF or ERR packet.
    Ok,
    /// `COM_STMT_PREPARE`
    Prepare,
    /// `COM_QUERY`
    Query,
    /// `COM_STATISTICS`: one packet of text.
    Statistics,
}

/// A packet that means something, or a place between two packets (of length 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// A column's definition, if those are to be seen.
    Column,
    /// The first packet of a result set: the number of columns.
    ColumnCount,
    /// Place: all column definitions have passed.
    ColumnsEnd,
    /// `0xFF`: the reply is over.
    Err,
    /// `0xFB`: the server wants a file of the client's.
    LocalInfile,
    /// `0x00`
    Ok,
    /// A result set of output parameters, whole.
    Outputs {
        /// Its packets, as sequence numbers count them.
        packets: u8,
    },
    /// The first packet of a result set of output parameters.
    OutputsBegin,
    /// A parameter's definition, if definitions are to be seen.
    Parameter,
    /// Place: all parameter definitions of a prepared statement have passed.
    ParametersEnd,
    /// The head of the reply to `COM_STMT_PREPARE`.
    PrepareOk,
    /// `0xFE`: the end of the rows, or of a reply that never has rows.
    ResultEnd,
    /// A row, if rows are to be seen.
    Row,
    /// Place: the next packet is the first row.
    RowsBegin,
    /// The text of `COM_STATISTICS`.
    Statistics,
}

/// What to do with the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The first `length` bytes are this packet, header included.
    Control {
        /// Which packet.
        kind: Control,
        /// Its bytes; 0 for a place.
        length: usize,
    },
    /// The reply is over; what is left of the input belongs to the next.
    Done,
    /// The input must hold at least this many bytes in all.
    NeedMore(usize),
    /// The first so many bytes go on as they are.
    Pass(usize),
}

/// What begins at the front of the input.
pub(super) enum Look {
    Control(Control, usize),
    Done,
    NeedMore(usize),
    Packet(Header),
    Place(Control),
}

/// What has passed, if anything has; otherwise how much is needed.
pub(super) fn pass_or(passed: usize, need: usize) -> Step {
    if passed > 0 { Step::Pass(passed) } else { Step::NeedMore(need) }
}
