//! The byte vectors of `tests/fixtures/wire/`: read from their files, long ones spelled out.
//!
//! Called by the tests of the wire, of the guard and of a running server. Node reads the same files
//! in `tests/interop/wire.test.mjs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::Id;
use sheaf_protocol::scan::{Block, Content, Event, Parent, Update};
use sheaf_protocol::varint::write_uint;

/// An update that Yjs wrote, with what it says and what it leaves in an empty document.
#[derive(Debug, Deserialize)]
pub struct UpdateVector {
    /// A sentence.
    pub name: String,
    /// The bytes.
    pub hex: String,
    /// As `lines` gives them.
    pub lines: Vec<String>,
    /// Root name to kind of type: `text`, `map`, `array`, `xml`.
    pub roots: BTreeMap<String, String>,
    /// Root name to content, as JSON.
    pub content: serde_json::Value,
}

/// A frame and the messages in it.
#[derive(Debug, Deserialize)]
pub struct FrameVector {
    /// A sentence.
    pub name: String,
    /// The bytes.
    pub hex: String,
    /// Kind and payload of each message before the end or the refusal.
    pub messages: Vec<(String, String)>,
    /// Name of the code with which the frame is refused.
    pub refused: Option<String>,
}

/// A frame of the Hocuspocus framing.
#[derive(Debug, Deserialize)]
pub struct HocuspocusVector {
    /// A sentence.
    pub name: String,
    /// Who says it: `client` or `server`.
    pub from: String,
    /// The bytes.
    pub hex: String,
    /// To whom it belongs, unless it is for the socket.
    #[serde(default)]
    pub address: Option<String>,
    /// Kind and parts of the message; bytes as hex.
    #[serde(default)]
    pub message: Vec<String>,
    /// Name of the code with which the frame is refused.
    pub refused: Option<String>,
}

/// A message of the vault channel.
#[derive(Debug, Deserialize)]
pub struct ControlVector {
    /// A sentence.
    pub name: String,
    /// Who says it: `client` or `server`.
    pub from: String,
    /// The message as JSON; bytes in base64.
    pub json: Option<serde_json::Value>,
    /// The message in MessagePack.
    pub hex: String,
    /// It is a compressed frame: only read.
    #[serde(default)]
    pub packed: bool,
    /// Name of the code with which it is refused.
    pub refused: Option<String>,
}

/// A state vector and its entries.
#[derive(Debug, Deserialize)]
pub struct StateVectorVector {
    /// A sentence.
    pub name: String,
    /// The bytes.
    pub hex: String,
    /// Client and clock.
    pub entries: Vec<(u64, u32)>,
}

/// An awareness update and its entries.
#[derive(Debug, Deserialize)]
pub struct AwarenessVector {
    /// A sentence.
    pub name: String,
    /// The bytes.
    pub hex: String,
    /// Client, clock and state.
    pub entries: Vec<(u64, u32, String)>,
}

/// Bytes that somebody may send to do harm, or that two implementations read differently.
#[derive(Debug, Deserialize)]
pub struct Hostile {
    /// A sentence.
    pub name: String,
    /// What the bytes are: `update`, `state_vector`, `awareness` or `frame`.
    pub kind: String,
    messages: Vec<Vec<Part>>,
    #[serde(default)]
    sequence: bool,
    /// What the scan says to each message, the last word standing for the rest: `accepted` or the
    /// name of a code.
    pub scan: Vec<String>,
    /// What the document does with what the scan accepts, in words.
    pub document: Option<String>,
    /// Root name to kind of type, where content is compared.
    #[serde(default)]
    pub roots: BTreeMap<String, String>,
    /// Root name to content after all messages.
    #[serde(default)]
    pub content: serde_json::Value,
}

/// Hex once, or `times`, or for each n of `from..=to` (which may descend) with `{n}` a varUint.
#[derive(Debug, Deserialize)]
struct Part {
    hex: String,
    times: Option<usize>,
    from: Option<u64>,
    to: Option<u64>,
}

impl Part {
    fn spell(&self) -> Vec<Vec<u8>> {
        let (Some(from), Some(to)) = (self.from, self.to) else {
            return vec![bytes(&self.hex).repeat(self.times.unwrap_or(1))];
        };
        let (before, after) = self.hex.split_once("{n}").expect("a place for n");
        let (before, after) = (bytes(before), bytes(after));
        let one = |n: u64| {
            let mut out = before.clone();
            write_uint(&mut out, n);
            out.extend_from_slice(&after);
            out
        };
        if from <= to {
            (from..=to).map(one).collect()
        } else {
            (to..=from).rev().map(one).collect()
        }
    }
}

impl Hostile {
    /// The messages, in order.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        let spelled = self.messages.iter().map(|parts| parts.iter().flat_map(Part::spell));
        if self.sequence {
            spelled.flatten().collect()
        } else {
            spelled.map(|parts| parts.collect::<Vec<_>>().concat()).collect()
        }
    }

    /// What the scan must say to the message at `place`: nothing, or the code of its refusal.
    pub fn scan_of(&self, place: usize) -> Option<Code> {
        let word = self.scan.get(place).or(self.scan.last()).expect("at least one word");
        Code::ALL.into_iter().find(|code| code.name() == word)
    }
}

/// The vectors of one file.
pub fn load<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/wire").join(name);
    let text = std::fs::read_to_string(&path).expect("the fixture is committed");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The updates of seeded editing sessions in Yjs: text, formats, embeds, maps, arrays, XML, nested
/// types, deletions and subdocuments.
pub fn corpus() -> Vec<Vec<u8>> {
    load::<String>("corpus.json").iter().map(|hex| bytes(hex)).collect()
}

/// The bytes that hex digits spell.
pub fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "two digits a byte");
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The hex digits of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an update says, one line a block and a deletion, as `tests/interop/wire-lines.mjs` gives
/// it from Yjs.
pub fn lines(update: &Update<'_>) -> Vec<String> {
    let line = |event| match event {
        Event::Section { .. } => None,
        Event::Block(block) => Some(block_line(&block)),
        Event::Delete { client, clock, len } => Some(format!("delete {client}:{clock}+{len}")),
    };
    update.events().filter_map(line).collect()
}

fn block_line(block: &Block<'_>) -> String {
    let kind = match block.content {
        Content::Gc => "GC",
        Content::Skip => "Skip",
        Content::Deleted => "Deleted",
        Content::Json(_) => "JSON",
        Content::Binary(_) => "Binary",
        Content::String(_) => "String",
        Content::Embed(_) => "Embed",
        Content::Format { .. } => "Format",
        Content::Type { .. } => "Type",
        Content::Any { .. } => "Any",
        Content::Doc(_) => "Doc",
    };
    let id = |id: Id| format!("{}:{}", id.client, id.clock);
    let mut line = format!("{kind} {}+{}", id(block.id), block.len);
    if let Some(origin) = block.origin {
        line += &format!(" after {}", id(origin));
    }
    if let Some(origin) = block.right_origin {
        line += &format!(" before {}", id(origin));
    }
    match block.parent {
        Parent::Inherited => {}
        Parent::Root(name) => line += &format!(" in root {name}"),
        Parent::Item(parent) => line += &format!(" in {}", id(parent)),
    }
    if let Some(key) = block.key {
        line += &format!(" key {key}");
    }
    line
}
