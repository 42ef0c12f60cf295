"""The real `sheaf` binary (BIN_SHEAF, else cargo's debug build) as a process of a test."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
BINARY = os.environ.get("BIN_SHEAF", str(TARGET / "debug/sheaf"))
LOG = ROOT / "tests/interop/out/python-server.log"
STOP_S_MAX = 15


class Sheaf:
    """A server with a data directory of its own; it keeps its port over a restart.

    `env` is added to its environment.
    """

    def __init__(self, env: dict[str, str] | None = None) -> None:
        self.env = env or {}
        self.data = tempfile.mkdtemp(prefix="sheaf-python-")
        self.port = 0
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        """Starts the process and waits for the line that names its address."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("SHEAF_")}
        env = own | self.env
        LOG.parent.mkdir(exist_ok=True)
        with LOG.open("a") as log:
            self.process = subprocess.Popen(
                [BINARY, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data],
                stdout=subprocess.PIPE, stderr=log, env=env, text=True,
            )
        for line in self.process.stdout:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                # A pipe that nobody reads would block the server one day.
                self.drain = threading.Thread(target=self.process.stdout.read, daemon=True)
                self.drain.start()
                return
        raise RuntimeError(f"sheaf ended with {self.process.wait()}, see {LOG}")

    def kill(self) -> None:
        """`kill -9`, and waits until the process is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_S_MAX)
        self.drain.join()
        self.process.stdout.close()

    def restart(self) -> None:
        self.kill()
        self.start()

    def discard(self) -> None:
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)
