"""Streams of the network as sources."""

from __future__ import annotations

import threading
from itertools import islice

import numpy as np
import pytest

from realtime.errors import SourceError
from realtime.sources.network_stream import NetworkStream
from support.sources import (
    HANG_S,
    StreamServer,
    capture_threads,
    steady,
    write_clip,
)


class TestNetworkStream:
    def test_a_recording_plays_to_its_end(self, server: StreamServer) -> None:
        with NetworkStream(server.url("clip.mp4")) as source:
            frames = list(source)
        assert source.info.duration_s == pytest.approx(2.0, abs=0.05)
        assert frames[-1].id == 59
        assert len(frames) + source.drops["late"] == 60
        spacing_s = (frames[-1].t_s - frames[0].t_s) / (frames[-1].id - frames[0].id)
        assert spacing_s == pytest.approx(1 / 30, abs=1e-3)

    def test_damaged_pictures_are_left_out_and_counted(self, server: StreamServer) -> None:
        path = write_clip(server.folder / "damaged.ts", steady(30, 60), noise=20)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 500] = np.random.default_rng(0).bytes(500)
        path.write_bytes(data)
        # Nothing in such a stream says that it ends, so its end is a lost connection.
        with NetworkStream(server.url("damaged.ts")) as source:
            for _ in source:
                if source.drops["connection lost"]:
                    break
        assert source.drops["damaged"] >= 1

    def test_a_lost_connection_is_tried_again(self, server: StreamServer) -> None:
        with NetworkStream(server.url("broken")) as source:
            frames = list(islice(source, 15))
        assert source.drops["connection lost"] >= 1
        assert frames[-1].id >= 15

    def test_a_stream_that_stays_away(self, server: StreamServer) -> None:
        with (
            pytest.raises(SourceError, match="did not come back"),
            NetworkStream(server.url("broken"), reconnect_s=0.0) as source,
        ):
            list(source)
        assert not capture_threads()

    def test_stop_ends_the_iteration_of_a_silent_stream(self, server: StreamServer) -> None:
        with NetworkStream(server.url("stalled"), read_s=1.0) as source:
            frames = iter(source)
            assert len(list(islice(frames, 10))) <= 10
            reader = threading.Thread(target=list, args=(frames,))
            reader.start()
            source.stop()
            reader.join(HANG_S)
            assert not reader.is_alive()
        assert not capture_threads()

    def test_a_stream_that_falls_silent(self, server: StreamServer) -> None:
        with (
            pytest.raises(SourceError, match="did not come back"),
            NetworkStream(server.url("stalled"), read_s=0.2, reconnect_s=0.0) as source,
        ):
            list(source)

    def test_the_connection_is_closed(self, server: StreamServer) -> None:
        with NetworkStream(server.url("endless")) as source:
            next(iter(source))
        with server.changed:
            assert server.changed.wait_for(lambda: server.connections["endless"] == 0, HANG_S)

    def test_a_password_is_not_shown(self) -> None:
        source = NetworkStream("rtsp://me:secret@127.0.0.1:9/live", open_s=1)
        with pytest.raises(SourceError) as caught, source:
            pass
        assert "secret" not in str(caught.value)
        assert "127.0.0.1:9/live" in str(caught.value)
