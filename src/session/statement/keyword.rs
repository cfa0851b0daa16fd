//! The words that mean something to the analysis.

/// Declares the keywords. A variant's name is the word in camel case: `LastInsertId` stands for
/// `last_insert_id`.
macro_rules! keywords {
    ($($name:ident)*) => {
        /// A word of the grammar, a function or a variable that the analysis knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        pub(super) enum Keyword {
            /// None of them.
            None,
            $($name,)*
        }

        const ALL: &[Keyword] = &[$(Keyword::$name,)*];
        static SPELLINGS: [Spelling; ALL.len()] = spellings(&[$(stringify!($name),)*]);
    };
}

keywords! {
    Account Add Aggregate Algorithm All Alter Analyze And As Atomic Backup Begin Binary Binlog
    Body Cache Call Case Catalog Chain Change Character Charset Check Checkpoint Checksum
    Client Clone Close Collate Column Commit Component Concurrent Connection ConnectionId
    Consistent Count Create Currval Data Database Deallocate Debug DebugDbug DebugSync Declare Default
    Definer Delayed Delete Desc Describe Diagnostics Distinct Distinctrow Do Drop Dual Dumpfile End
    Error ErrorCount Errors Event Execute Exists Explain Export Extended FailedLoginAttempts
    Filter First Flush For Format FoundRows From Full Fulltext Function Get GetLock Global
    Grant Group GroupReplication GtidDomainId GtidNext GtidSeqNo Handler Hard Having Help
    HighPriority Id Identified Identity If Ignore Immediate ImmediateServerVersion Import
    Index Infile Insert InsertId Install Instance Into Is IsFreeLock IsUsedLock Isolation Json
    Join Key Kill Last LastGtid LastInsertId Lastval Library Like Limit Load Local Lock Logfile
    Logs Loop LowPriority Master Member Mode Names Next Nextval No Not Nowait Null Of Offset
    On Online Open Optimize Option Or Order OriginalCommitTimestamp OriginalServerVersion
    Outfile Over Package Partition Password Persist PersistOnly Plugin Prepare Previous
    Privileges Procedure Profile Profiles PseudoReplicaMode PseudoSlaveMode PseudoThreadId
    Purge Query Quick RandSeed1 RandSeed2 Read Recover Release ReleaseAllLocks ReleaseLock
    Rename Repair Repeat Replace Replica Reset Resignal Resource Restart Return Revoke Role
    Rollback Rollup Row RowCount Rows Savepoint Schema Schemas Security Select Sequence Server
    ServerId Session SessionStatus SessionVariables Set SetVar Setval Share Show Shutdown
    Signal SkipReplication Slave Snapshot Soft Spatial Sql SqlBigResult SqlBufferResult
    SqlCache SqlCalcFoundRows SqlLogBin SqlNoCache SqlSmallResult Stage Start Statement Stop
    StraightJoin SystemVariables Table Tables Tablespace Temporary Timestamp To Transaction
    TransactionIsolation TransactionReadOnly Trigger Truncate TxIsolation TxReadOnly Type Undo
    Uninstall Union Unique Unlock Update Use User UserVariables UserVariablesByThread Using
    Value Values Variables VariablesByThread View Wait WarningCount Warnings Where While
    Window With Work Write Xa Xml
}

const SLOTS: usize = 2048;
const LONGEST: usize = 28;

/// A keyword's text, each byte folded.
#[derive(Clone, Copy)]
struct Spelling {
    text: [u8; LONGEST],
    length: usize,
}

/// An open-addressing table of indices into `SPELLINGS`, plus one; 0 is empty.
static TABLE: [u16; SLOTS] = table();

/// Makes letters of either case equal, and keeps the bytes of words apart from each other. Bytes that
/// can only stand in quoted names may fall together with them: a false alarm.
const fn fold(byte: u8) -> u8 {
    byte | 0x20
}

/// Turns the variants' names into the words they stand for.
const fn spellings<const N: usize>(names: &[&str]) -> [Spelling; N] {
    let mut spellings = [Spelling { text: [0; LONGEST], length: 0 }; N];
    let mut index = 0;
    while index < N {
        let name = names[index].as_bytes();
        let mut at = 0;
        let mut length = 0;
        while at < name.len() {
            if at > 0 && name[at].is_ascii_uppercase() {
                spellings[index].text[length] = fold(b'_');
                length += 1;
            }
            spellings[index].text[length] = fold(name[at]);
            length += 1;
            at += 1;
        }
        spellings[index].length = length;
        index += 1;
    }
    spellings
}

const fn slot(word: &[u8], length: usize) -> usize {
    let mut hash = length as u32 * 0x9e5;
    hash ^= fold(word[0]) as u32 * 0x1f35;
    hash ^= fold(word[length / 2]) as u32 * 0x2b9;
    hash ^= fold(word[length - 1]) as u32 * 0x65;
    (hash ^ (hash >> 11)) as usize & (SLOTS - 1)
}

const fn table() -> [u16; SLOTS] {
    let mut table = [0; SLOTS];
    let mut index = 0;
    while index < ALL.len() {
        let mut at = slot(&SPELLINGS[index].text, SPELLINGS[index].length);
        while table[at] != 0 {
            at = (at + 1) & (SLOTS - 1);
        }
        index += 1;
        table[at] = index as u16;
    }
    table
}

impl Keyword {
    /// The keyword that `word` spells, in any case.
    #[inline]
    pub(super) fn of(word: &[u8]) -> Self {
        if word.len() < 2 || word.len() > LONGEST {
            return Self::None;
        }
        let mut at = slot(word, word.len());
        loop {
            let index = usize::from(TABLE[at]);
            let (Some(spelling), Some(keyword)) =
                (SPELLINGS.get(index.wrapping_sub(1)), ALL.get(index.wrapping_sub(1)))
            else {
                return Self::None;
            };
            let same = |(byte, folded): (&u8, &u8)| fold(*byte) == *folded;
            if spelling.length == word.len() && word.iter().zip(&spelling.text).all(same) {
                return *keyword;
            }
            at = (at + 1) & (SLOTS - 1);
        }
    }
}
