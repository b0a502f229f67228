"""The real `transformers serve` over a model folder: on the loopback, offline, gone when its maker is gone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The server ends when its standard input does: however the test that started it ends.
_SERVE = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from transformers.cli.transformers import main
main()
"""


@contextmanager
def transformers_serve(folder: Path) -> Iterator[str]:
    """The `base_url` of a server of that model folder, at a port that is free."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    options = ["--host", "127.0.0.1", "--port", "0", "--device", "cpu", "--dtype", "float32", "--log-level", "info"]
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, "serve", str(folder), *options],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stderr is not None
    drain = threading.Thread(target=server.stderr.read, daemon=True)
    try:
        lines: list[str] = []
        for line in server.stderr:
            lines.append(line)
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                break
        else:
            raise RuntimeError("transformers serve did not start:\n" + "".join(lines))
        # Nobody reads the rest of its log: a full pipe would stop the server.
        drain.start()
        yield f"{found[1]}/v1"
    finally:
        server.stdin.close()
        server.wait(30)
        if drain.is_alive():
            drain.join(30)
        server.stderr.close()
