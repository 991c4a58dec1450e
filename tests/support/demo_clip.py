"""The beginning of the demo clip, for tests that need no more."""

from __future__ import annotations

from pathlib import Path

import av

from realtime.sources.opening import DEMO_PATH


def copy_beginning(path: Path, seconds: float) -> Path:
    """Copy the beginning of the demo clip to a file, frame by frame the same."""
    with av.open(str(DEMO_PATH)) as demo, av.open(str(path), "w") as copy:
        stream = copy.add_stream_from_template(demo.streams.video[0])
        for packet in demo.demux(video=0):
            if packet.size and float(packet.pts * packet.time_base) < seconds:
                packet.stream = stream
                copy.mux(packet)
    return path
