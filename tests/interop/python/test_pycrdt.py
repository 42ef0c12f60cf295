"""A stock pycrdt document, over httpx-ws, in one room with another and with a Yjs client."""

import subprocess
import unittest
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from httpx_ws import aconnect_ws
from pycrdt import Array, Channel, Doc, Map, Provider, Text
from sheaf_process import Sheaf

DEADLINE_S = 10
INTEROP = Path(__file__).resolve().parents[1]


class Socket(Channel):
    """pycrdt's channel on an httpx-ws session."""

    def __init__(self, session, path: str) -> None:
        self._session = session
        self._path = path

    @property
    def path(self) -> str:
        return self._path

    async def send(self, message: bytes) -> None:
        await self._session.send_bytes(message)

    async def recv(self) -> bytes:
        return await self._session.receive_bytes()

    def __aiter__(self):
        return self

    async def __anext__(self) -> bytes:
        return await self.recv()


@asynccontextmanager
async def connected(server: Sheaf, room: str, doc: Doc):
    """`doc` in `room`, from its first sync on."""
    async with aconnect_ws(f"http://127.0.0.1:{server.port}/{room}") as session:
        # Inbound presence and keep-alive frames are none of a provider's business: it skips them.
        async with Provider(doc, Socket(session, room)) as provider:
            with anyio.fail_after(DEADLINE_S):
                await provider.synced.wait()
            yield doc


async def has(doc: Doc, expected: str) -> None:
    """Waits until the text of `doc` is `expected`."""
    seen = anyio.Event()
    text = doc.get("content", type=Text)
    subscription = text.observe(lambda event: seen.set())
    try:
        with anyio.fail_after(DEADLINE_S):
            while str(text) != expected:
                await seen.wait()
                seen = anyio.Event()
    except TimeoutError as error:
        raise AssertionError(f"{expected!r} not within {DEADLINE_S} s: {str(text)!r}") from error
    finally:
        text.unobserve(subscription)


def new_doc() -> Doc:
    return Doc({"content": Text()})


class Pycrdt(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Sheaf()
        self.addCleanup(self.server.discard)

    def test_two_documents_edit_both_ways(self) -> None:
        async def story() -> None:
            async with connected(self.server, "both", new_doc()) as ann, \
                    connected(self.server, "both", new_doc()) as ben:
                ann["content"] += "Hello 🌾"
                await has(ben, "Hello 🌾")
                ben["content"] += ", world"
                await has(ann, "Hello 🌾, world")
                del ann["content"][0:6]
                await has(ben, str(ann["content"]))

        anyio.run(story)

    def test_what_was_delivered_is_there_after_kill_9(self) -> None:
        async def write() -> None:
            async with connected(self.server, "kept", new_doc()) as ann, \
                    connected(self.server, "kept", new_doc()) as ben:
                ann["content"] += "kept"
                await has(ben, "kept")

        async def read() -> None:
            async with connected(self.server, "kept", new_doc()) as late:
                await has(late, "kept")
                late["content"] += " and continued"
                async with connected(self.server, "kept", new_doc()) as other:
                    await has(other, "kept and continued")

        anyio.run(write)
        self.server.restart()
        anyio.run(read)

    def test_maps_and_arrays_arrive(self) -> None:
        async def story() -> None:
            ann = new_doc()
            async with connected(self.server, "shapes", ann), \
                    connected(self.server, "shapes", new_doc()) as ben:
                ann["shape"] = Map({"list": Array([1, "two", None, True, 2.5]), "name": "ä"})
                ann["content"] += "done"
                await has(ben, "done")
                shape = ben.get("shape", type=Map).to_py()
                self.assertEqual(shape, {"list": [1, "two", None, True, 2.5], "name": "ä"})

        anyio.run(story)

    def test_a_yjs_client_and_pycrdt_write_in_one_document(self) -> None:
        async def story() -> None:
            async with connected(self.server, "mixed", new_doc()) as ann:
                ann["content"] += "from Python 🌾"
                peer = ["node", "peer.mjs", f"ws://127.0.0.1:{self.server.port}", "mixed",
                        "from Python 🌾", ", from Yjs"]
                await anyio.run_process(peer, cwd=INTEROP, stderr=subprocess.STDOUT)
                await has(ann, "from Python 🌾, from Yjs")

        anyio.run(story)


if __name__ == "__main__":
    unittest.main(verbosity=2)
