//! Every bound of the wire in one place: unit in the name, reason in the comment.
//!
//! Called by `scan`, `frame` and `hocuspocus`, and by both ends before they send. A bound of the
//! server alone (queues, waits, memory) lives in the configuration of the part that owns it.

/// One WebSocket message or one update. A 2 MB paste is one string, and a joining client sends its
/// whole state in one message; over it the close is permanent, or old clients would retry for ever.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Nesting of `Any` values and of JSON text. yrs decodes them by recursion and overflows a 2 MiB
/// stack near 8,192 levels; people nest about five. 64 also lets a `u64` be the stack of the JSON
/// check.
pub const ANY_DEPTH_MAX: usize = 64;

/// Nesting of shared types. Deleting a chain costs yrs 262-524 bytes of stack a level and overflows
/// near 8,192. Chains grow over many frames, so the document checks this one, not the scan.
pub const TYPE_DEPTH_MAX: usize = 128;

/// Names of root types, map keys, format keys, XML node names and subdocument ids. They are
/// repeated in memory and in every re-encoded state.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// Client ids in one frame, counted apart in blocks and in deletes. Every page load that edits
/// offline adds one id, so a long life has thousands; an id costs the receiver a table entry and
/// conflicts between ids at one place cost quadratic time.
pub const NEW_CLIENT_IDS_PER_FRAME_MAX: u32 = 65_536;

/// Shared types in one frame. Four bytes of wire become about 450 bytes of memory in yrs; a book of
/// 100,000 paragraphs has about 200,000.
pub const TYPES_PER_FRAME_MAX: u32 = 1_048_576;

/// Subdocument references in one frame. Five bytes of wire become about a kilobyte in yrs, which
/// builds a whole document for each.
pub const SUBDOCUMENTS_PER_FRAME_MAX: u32 = 16_384;

/// Entries of a state vector: one per client id that ever wrote into a document.
pub const STATE_VECTOR_ENTRIES_MAX: u32 = 1_048_576;

/// One presence state as JSON text. Names, colours and a cursor take about 200 bytes; each state
/// goes to everyone in the room.
pub const AWARENESS_STATE_BYTES_MAX: usize = 4 * 1024;

/// Presence entries in one message. Stock clients send on every change they receive, so the
/// greatest honest message is as large as the largest room.
pub const AWARENESS_ENTRIES_MAX: u32 = 65_536;

/// Client ids are below this, 2^53: JavaScript holds no larger whole number.
pub const CLIENT_ID_END: u64 = 1 << 53;

/// Clocks, and clock + length, are below this, 2^31: yrs adds them in 32 bits without a check and
/// lib0 shifts them as signed.
pub const CLOCK_END: u64 = 1 << 31;

/// Presence clocks are below this, 2^32: yrs holds them in 32 bits and wraps in silence.
pub const AWARENESS_CLOCK_END: u64 = 1 << 32;

/// A document's name: the decoded path of a stock client, or a file's path.
pub const DOCUMENT_NAME_BYTES_MAX: usize = 1024;

/// One part of a path: what file systems take as a name.
pub const PATH_PART_BYTES_MAX: usize = 255;

/// A vault's name.
pub const VAULT_NAME_BYTES_MAX: usize = 64;

/// The opaque payload of message 102; a client sends its own version number or a nonce.
pub const ECHO_BYTES_MAX: usize = 64;

/// The reason in an auth-denied message, in bytes: a sentence.
pub const REASON_BYTES_MAX: usize = 1024;

/// What a Hocuspocus provider puts behind a document's name to tell two of its sessions apart. It
/// draws about eleven characters; a program that sets its own has room for a UUID or a digest.
pub const SESSION_ID_BYTES_MAX: usize = 64;

/// A token. A JWT with a key's worth of claims has 1 to 2 KiB; a longer one is not even hashed.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The version that a Hocuspocus provider says it has, such as `4.8.0-rc.1`.
pub const PROVIDER_VERSION_BYTES_MAX: usize = 64;

/// A stateless message. It goes to everyone in the document, and neither merges with others nor
/// replaces an older one, so one frame costs this much for each reader; events are JSON of a few
/// hundred bytes.
pub const STATELESS_BYTES_MAX: usize = 64 * 1024;

/// Updates that a document keeps for readers that are behind; framed for their sockets, they take
/// as much again. A reader further behind is brought up to date by a state difference, so this is
/// memory against CPU; a page of typing is 4 KiB.
pub const TAIL_BYTES_MAX: usize = 256 * 1024;

/// Client ids shown at once in one document: the largest room, with room for page reloads.
pub const AWARENESS_IDS_MAX: usize = 65_536;

/// A text file: what people write by hand is a thousandth of it, and a document of this size takes
/// half a second to open.
pub const TEXT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// What a client of the vault channel calls a request: a UUID and something to spare.
pub const RE_BYTES_MAX: usize = 128;

/// Operations of a push, and items of a page: each costs the server a few hundred bytes while it is
/// under way.
pub const BATCH_ITEMS_MAX: usize = 1_000;

/// Documents that one client of a vault channel has joined: each is a reader, and keeps its
/// document in memory.
pub const JOINED_DOCUMENTS_MAX: usize = 256;

/// A file that is no text, unless the configuration says otherwise: what people attach to notes.
pub const FILE_BYTES_MAX: u64 = 512 << 20;

/// How long a request for changes may wait over HTTP, in seconds: many proxies give up after 60.
pub const WAIT_S_MAX: u64 = 55;

/// How far a client's clock may be ahead, in milliseconds, unless the configuration says otherwise:
/// machines that set theirs by the network are within a few.
pub const CLOCK_DRIFT_MS: u64 = 100;

/// Steps of a diff in an upload: each is a few bytes of wire and 32 of memory.
pub const DIFF_STEPS_MAX: usize = 65_536;

/// Nesting of a message of the vault channel in MessagePack. A diff within a push is nested four
/// deep; a client may put things of its own into fields that the server passes over.
pub const CONTROL_DEPTH_MAX: usize = 32;
