"""Y-Sweet's stock SDK for Python in the place of an app's backend."""

import http.client
import subprocess
import unittest
from pathlib import Path

import pycrdt
import requests
from sheaf_process import Sheaf
from y_sweet_sdk import DocumentManager, YSweetError
from y_sweet_sdk.connection import DocConnection

INTEROP = Path(__file__).resolve().parents[2]
TOKEN = "a-token-that-administers"
GUARDED = {"SHEAF_USERS": f'[{{name = "backend", token = "{TOKEN}", role = "admin"}}]'}


def upgrade(url: str) -> int:
    """The status of a WebSocket handshake at `url`."""
    parts = requests.utils.urlparse(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={
        "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    })
    status = connection.getresponse().status
    connection.close()
    return status


def text_of(update: bytes) -> str:
    doc = pycrdt.Doc()
    doc.apply_update(update)
    return str(doc.get("content", type=pycrdt.Text))


class YSweetSdk(unittest.TestCase):
    def started(self, env: dict[str, str] | None = None) -> Sheaf:
        server = Sheaf(env)
        self.addCleanup(server.discard)
        return server

    def manager(self, server: Sheaf, token: str | None = None) -> DocumentManager:
        return DocumentManager(f"ys://{f'{token}@' if token else ''}127.0.0.1:{server.port}")

    def fails_with(self, code: str, call) -> YSweetError:
        with self.assertRaises(YSweetError) as caught:
            call()
        self.assertEqual(caught.exception.cause["code"], code)
        return caught.exception

    def story(self, server: Sheaf, manager: DocumentManager) -> None:
        self.assertEqual(manager.check_store(), {"ok": True})
        made = manager.create_doc("story")
        self.assertEqual((made, manager.create_doc("story")), ({"docId": "story"},) * 2)
        self.assertEqual(text_of(manager.get_doc_as_update("story")), "")
        with manager.get_connection("story").for_update() as doc:
            doc.get("content", type=pycrdt.Text).insert(0, "from Python 🌾")
        other = pycrdt.Doc()
        other.get("words", type=pycrdt.Array).append("ä")
        manager.update_doc("story", other.get_update())
        server.restart()
        self.assertEqual(text_of(manager.get_doc_as_update("story")), "from Python 🌾")
        with manager.get_connection("story").for_update() as doc:
            self.assertEqual(doc.get("words", type=pycrdt.Array).to_py(), ["ä"])

    def test_documents_are_made_and_updates_are_there_after_kill_9(self) -> None:
        server = self.started()
        self.story(server, self.manager(server))

    def test_a_server_token_does_the_same_where_one_is_needed(self) -> None:
        server = self.started(GUARDED)
        self.story(server, self.manager(server, TOKEN))

    def test_without_an_id_each_document_is_a_new_one(self) -> None:
        manager = self.manager(self.started())
        one, other = manager.get_or_create_doc_and_token(), manager.get_or_create_doc_and_token()
        self.assertNotEqual(one["docId"], other["docId"])
        self.assertEqual(one["authorization"], "full")

    def test_what_it_writes_reaches_a_live_client_and_back(self) -> None:
        server = self.started()
        manager = self.manager(server)
        manager.create_doc("live")
        with manager.get_connection("live").for_update() as doc:
            doc.get("content", type=pycrdt.Text).insert(0, "from Python")
        address = f"ws://127.0.0.1:{server.port}"
        peer = ["node", "peer.mjs", address, "live", "from Python", ", from Yjs"]
        subprocess.run(peer, cwd=INTEROP, check=True)
        self.assertEqual(text_of(manager.get_doc_as_update("live")), "from Python, from Yjs")

    def test_its_addresses_open_sockets(self) -> None:
        for env, token in ((None, None), (GUARDED, TOKEN)):
            url = self.manager(self.started(env), token).get_websocket_url("plan")
            self.assertEqual(upgrade(url), 101)
            if token:
                self.assertEqual(upgrade(url.partition("?")[0] + "?token=worthless"), 401)
                self.assertEqual(upgrade(url.replace("plan", "other")), 403)

    def test_it_tells_what_is_wrong(self) -> None:
        server = self.started(GUARDED)
        manager = self.manager(server, TOKEN)
        self.fails_with("NoAuthProvided", lambda: self.manager(server).create_doc("plan"))
        wrong = self.manager(server, "worthless")
        self.fails_with("InvalidAuthProvided", lambda: wrong.create_doc("plan"))
        self.fails_with("NotFound", lambda: manager.get_client_token("nothing-here"))
        refused = self.fails_with("ServerError", lambda: manager.create_doc("no id"))
        self.assertEqual(refused.cause["status"], 400)
        gone = DocumentManager("ys://127.0.0.1:1")
        self.fails_with("ServerRefused", gone.check_store)
        client_token = manager.get_or_create_doc_and_token("plan") | {"token": "worthless"}
        with self.assertRaises(requests.HTTPError) as caught:
            DocConnection(client_token).update_doc(pycrdt.Doc().get_update())
        self.assertEqual(caught.exception.response.status_code, 401)


if __name__ == "__main__":
    unittest.main(verbosity=2)
