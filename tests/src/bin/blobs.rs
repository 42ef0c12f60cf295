//! What blobs cost beside plain files: 256 MiB in, out, and in again, against a copy that is
//! synced. Prints a table; called by `make blobs` (release build). Compare the rows of one run with
//! each other, not runs on two machines.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use sheaf_ground::time::Clock;
use sheaf_protocol::ids::VaultNo;
use sheaf_server::blob::{Blobs, Config, Hash};

const VAULT: VaultNo = VaultNo(1);
const BYTES: usize = 256 << 20;
/// What comes from a socket at once, or is copied at once.
const FRAME_BYTES: usize = 128 << 10;
/// The median of these is shown.
const ROUNDS: usize = 5;

fn main() -> anyhow::Result<()> {
    let clock = Clock::system();
    let content = content();
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into()))?;
        let source = dir.path().join("source");
        File::create(&source)?.write_all(&content)?;
        let blobs = dir.path().join("blobs");
        let blobs = Blobs::open(Config::new(blobs, u64::MAX, clock.clone()))?;
        let mut step = |name, run: &mut dyn FnMut() -> anyhow::Result<()>| {
            let begun = clock.now();
            run()?;
            let speed = BYTES as f64 / clock.now().since(begun).as_secs_f64() / 1e6;
            match rows.iter_mut().find(|(known, _)| *known == name) {
                Some((_, speeds)) => speeds.push(speed),
                None => rows.push((name, vec![speed])),
            }
            anyhow::Ok(())
        };
        let copied = dir.path().join("copy");
        step("a copy, synced", &mut || copy(&source, &copied))?;
        step("a copy, synced and hashed", &mut || {
            copy(&source, &copied)?;
            std::hint::black_box(Sha256::digest(&content));
            Ok(())
        })?;
        let hash = Hash::of(&content);
        let put = |name: &[u8]| {
            let mut gathering = blobs.gather(VAULT)?;
            name.chunks(FRAME_BYTES).try_for_each(|frame| gathering.take(frame))?;
            gathering.finish()?;
            anyhow::Ok(())
        };
        step("a blob, in", &mut || put(&content))?;
        step("the same again", &mut || put(&content))?;
        step("a file, out", &mut || read(&copied))?;
        step("a blob, out", &mut || {
            let mut reading = blobs.find(VAULT, &hash)?.expect("it was put").read(0..u64::MAX);
            while let Some(bytes) = reading.next()? {
                std::hint::black_box(bytes);
            }
            Ok(())
        })?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<28} {:>9}", "256 MiB, cached to be read", "MB/s")?;
    for (name, mut speeds) in rows {
        speeds.sort_by(f64::total_cmp);
        writeln!(out, "{name:<28} {:>9.0}", speeds[speeds.len() / 2])?;
    }
    Ok(())
}

/// Bytes that no two chunks share.
fn content() -> Vec<u8> {
    let mut state: u64 = 7;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).take(BYTES / 8).flatten().collect()
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let mut frame = vec![0; FRAME_BYTES];
    loop {
        match from.read(&mut frame)? {
            0 => return Ok(to.sync_all()?),
            count => to.write_all(&frame[..count])?,
        }
    }
}

fn read(path: &Path) -> anyhow::Result<()> {
    let mut file = File::open(path)?;
    let mut frame = vec![0; FRAME_BYTES];
    while file.read(&mut frame)? > 0 {
        std::hint::black_box(&frame);
    }
    Ok(())
}
