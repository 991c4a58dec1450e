"""Memory of `stream.py web` while visitors stay:
`python bench_web_memory.py [MINUTES] [VISITORS]`.

Each visitor sends the built-in clip again and again, 30 pictures a second, and records a minute
of every five. Prints what the server holds, every half minute, and in the end how much more it was
in the last third than in the one before.
"""

from __future__ import annotations

import itertools
import json
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
from websockets.sync.client import ClientConnection, connect

from realtime.sources.opening import DEMO_PATH
from realtime.sources.video_file import VideoFile

RATE_HZ = 30.0
SAMPLE_S = 30.0

PROJECT = Path(__file__).resolve().parents[2]


def clip() -> list[bytes]:
    with VideoFile(DEMO_PATH) as source:
        return [
            cv2.imencode(".jpg", frame.image_bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
            for frame in source
        ]


def server() -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "stream.py"), "web", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        address = re.search(r"http://([\w.]+:\d+)", line)
        if address:
            return process, address.group(1)
    raise SystemExit("the server ended before it was ready")


def open_page(address: str) -> ClientConnection:
    """A socket of a visitor of its own."""
    with urllib.request.urlopen(f"http://{address}/") as page:
        cookie = page.headers["Set-Cookie"].split(";")[0]
    return connect(
        f"ws://{address}/kilas/socket",
        origin=f"http://{address}",
        additional_headers={"Cookie": cookie},
        compression=None,
        proxy=None,
    )


def visit(address: str, pictures: list[bytes], until_s: float, said: list[dict]) -> None:
    """Follow the protocol as a page does; what is heard but for updates goes to `said`."""
    with open_page(address) as socket:
        socket.send(json.dumps({"type": "hello", "protocol": 1, "visit": None}))
        start = {"type": "start", "model": "kilas", "sensitivity": 0.5, "classes": {}}
        socket.send(json.dumps({**start, "heat_map": False}))
        started = threading.Event()

        def hear() -> None:
            for text in socket:
                message = json.loads(text)
                said.append({"type": "update"} if message["type"] == "update" else message)
                if message["type"] == "started":
                    started.set()

        threading.Thread(target=hear, daemon=True).start()
        started.wait()
        began_s, is_recording = time.monotonic(), False
        for seq, picture in enumerate(itertools.cycle(pictures)):
            now_s = time.monotonic()
            if now_s > until_s:
                return
            if is_recording != ((now_s - began_s) % 300 > 240):
                is_recording = not is_recording
                socket.send(json.dumps({"type": "record", "on": is_recording}))
            time.sleep(max(0.0, began_s + seq / RATE_HZ - now_s))
            socket.send(struct.pack("<IdII", seq, 1e3 * seq / RATE_HZ, 0, 0) + picture)


def held_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


def main(minutes: float, visitors: int) -> None:
    pictures = clip()
    process, address = server()
    end_s = time.monotonic() + 60 * minutes
    said: list[list[dict]] = [[] for _ in range(visitors)]
    pages = [
        threading.Thread(target=visit, args=(address, pictures, end_s, heard)) for heard in said
    ]
    for page in pages:
        page.start()
    samples = []
    while time.monotonic() < end_s:
        time.sleep(SAMPLE_S)
        samples.append(held_mb(process.pid))
        counts = [sum(one["type"] == "update" for one in heard) for heard in said]
        print(
            f"{len(samples) * SAMPLE_S:.0f} s: {samples[-1]:.0f} MB, updates {counts}", flush=True
        )
    for page in pages:
        page.join()
    for heard in said:
        kinds = [one["type"] for one in heard]
        ready = sum(one.get("state") == "ready" for one in heard)
        print(f"{kinds.count('event')} events, {kinds.count('clip')} clips, {ready} recordings")
    third = len(samples) // 3
    before, after = np.median(samples[third : 2 * third]), np.median(samples[2 * third :])
    print(f"medians: {before:.0f} MB, then {after:.0f} MB: {100 * (after / before - 1):+.1f} %")
    process.send_signal(signal.SIGINT)
    print(f"server ended with status {process.wait(60)}")


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 30.0,
        int(sys.argv[2]) if len(sys.argv) > 2 else 2,
    )
