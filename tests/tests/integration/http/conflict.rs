//! Two who put other bytes in the place of the same ones.

use serde_json::Value;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::server::Server;

use super::Client;

/// Of long ago, one after the other.
const STAMPS: [&str; 2] = ["019VE2TSC0009BAYKQ71EBTG37", "019VE2TSC000ABAYKQ71EBTG37"];
const BYTES: [&[u8]; 2] = [b"\xffthe earlier", b"\xffthe later"];

impl Client {
    /// Puts one of both, made of a version.
    async fn put_bytes(&self, which: usize, base: u64) -> Value {
        let put = self.file("PUT", "a.bin").header("Sheaf-Base", &base.to_string());
        let answer = self.send(put.header("Sheaf-Stamp", STAMPS[which]).body(BYTES[which])).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    async fn at(&self, version: &Value, range: Option<&str>) -> Answer {
        let get = self.file("GET", &format!("a.bin?at={version}"));
        self.send(range.into_iter().fold(get, |get, range| get.header("Range", range))).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_were_made_of_one_version_the_newest_stays_and_the_other_is_kept() {
    for order in [[0, 1], [1, 0]] {
        let server = Server::start().await;
        let notes = Client::new(&server);
        let first = notes.send(notes.file("PUT", "a.bin").body(b"\xfffirst".to_vec())).await;
        assert_eq!(first.status, 201, "{}", first.text());
        let base = first.json()["version"].as_u64().expect("a version");
        let one = notes.put_bytes(order[0], base).await;
        assert_eq!(one["conflict"], Value::Null, "{one}");
        let other = notes.put_bytes(order[1], base).await;
        assert_eq!(other["conflict"], true, "{other}");
        // Whoever comes last, and is told so.
        let now = notes.get("a.bin").await;
        assert_eq!(now.body, BYTES[1], "{order:?}");
        let hash = |of: &Answer| of.header("etag").to_owned();
        assert_eq!(hash(&now), other["etag"].as_str().expect("a tag"));

        let versions = notes.send(notes.file("GET", "a.bin?versions=1")).await.json();
        let versions = versions["versions"].as_array().expect("versions").clone();
        let mut kept = Vec::new();
        for version in &versions {
            let read = notes.at(&version["version"], None).await;
            assert_eq!(read.status, 200, "{}", read.text());
            kept.push((version["conflict"].as_bool().unwrap_or(false), read.body));
        }
        let (earlier, later) = (BYTES[0].to_vec(), BYTES[1].to_vec());
        let due = match order {
            [0, 1] => vec![(true, later), (false, earlier)],
            // The winner again, behind the one that came too late.
            _ => vec![(true, later.clone()), (true, earlier), (false, later)],
        };
        assert_eq!(kept[..kept.len() - 1], due, "{order:?}: {versions:?}");
        assert_eq!(kept.last(), Some(&(false, b"\xfffirst".to_vec())));
        let lost = versions.iter().zip(&kept).find(|(_, (_, bytes))| bytes == BYTES[0]);
        let part = notes.at(&lost.expect("it is kept").0["version"], Some("bytes=1-3")).await;
        assert_eq!((part.status, &part.body[..]), (206, &b"the"[..]));

        // Both may come again, and take nothing back.
        for which in order {
            let again = notes.put_bytes(which, base).await;
            assert_eq!(again["changed"], false, "{again}");
        }
        assert_eq!(notes.get("a.bin").await.body, BYTES[1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_moved_takes_no_edited_picture_back_nor_does_a_deletion() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    for path in ["photos/1.png", "photos/2.png"] {
        let made = notes.send(notes.file("PUT", path).body(b"\xffold".to_vec())).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let moved = notes.send(notes.file("POST", "photos/?move=albums/")).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    // Edited offline, before that.
    let edit = |path: &str, base: u64, stamp: &str| {
        let put = notes.file("PUT", path).header("Sheaf-Base", &base.to_string());
        notes.send(put.header("Sheaf-Stamp", stamp).body(b"\xffnew".to_vec()))
    };
    let edited = edit("photos/1.png", 1, STAMPS[0]).await.json();
    assert_eq!((&edited["path"], &edited["conflict"]), (&"albums/1.png".into(), &Value::Null));
    assert_eq!(notes.get("albums/1.png").await.body, b"\xffnew");
    assert_eq!(notes.send(notes.file("DELETE", "albums/2.png")).await.status, 204);
    let back = edit("albums/2.png", 4, STAMPS[1]).await.json();
    assert_eq!((&back["size"], &back["conflict"]), (&4.into(), &Value::Null), "{back}");
    assert_eq!(notes.get("albums/2.png").await.body, b"\xffnew");
    let gone = Request::new("GET", "/v1/vaults/notes/files/photos/2.png");
    assert_eq!(notes.send(gone).await.status, 404);
}
