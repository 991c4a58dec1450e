"""Source of frames from the network, such as an RTSP camera."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator

import av

from realtime.errors import SourceError
from realtime.sources.decoding import PictureMaker, failure_reason, open_video_stream
from realtime.sources.live_source import RETRY_S, LiveSource, Picture
from realtime.sources.playback_clock import PlaybackClock
from realtime.sources.presentation_times import PresentationTimes
from realtime.sources.webcam import RECONNECT_S

NETWORK_OPEN_S = 8.0
"""Longest time for a stream to open; RTSP cameras take up to some seconds."""

NETWORK_READ_S = 5.0
"""Time without data after which a stream is lost."""


class NetworkStream(LiveSource):
    """Stream over the network: RTSP, HTTP, RTMP, UDP and whatever else FFmpeg reads.

    `t_s` is the monotonic time at which the frame came out of the decoder. A lost connection is
    tried again; each outage counts once in `drops["connection lost"]`. A recording that lies behind
    a URL is played at its own speed and ends; its `t_s` is when each frame was due.

    FFmpeg cannot be interrupted while it waits for data: `stop` ends the iteration at once, and the
    capture thread of a silent stream ends after `read_s` at the latest.
    """

    def __init__(
        self,
        url: str,
        *,
        open_s: float = NETWORK_OPEN_S,
        read_s: float = NETWORK_READ_S,
        reconnect_s: float = RECONNECT_S,
    ) -> None:
        """Prepare the stream.

        `open_s`, `read_s`: how long the stream may take to open and to send more data.
        """
        super().__init__(
            without_password(url),
            lost_cause="connection lost",
            reconnect_s=reconnect_s,
            silence_s=open_s + read_s + RETRY_S,
        )
        self._url = url
        self._timeout_s = (open_s, read_s)

    def _pictures(self) -> Generator[Picture, None, None]:
        # TCP: a lost UDP packet smears half a picture, which looks like motion.
        options = {"rtsp_transport": "tcp"} if self._url.startswith("rtsp") else {}
        try:
            with av.open(self._url, timeout=self._timeout_s, options=options) as container:
                yield from self._decode(container)
        except av.FFmpegError as error:
            raise SourceError(
                f"{self._name} cannot be read ({failure_reason(error)}); "
                "check the address and that the stream is on."
            ) from error

    def _decode(self, container: av.container.InputContainer) -> Iterator[Picture]:
        stream = open_video_stream(container)
        if stream is None:
            raise SourceError(f"{self._name} holds no video; choose another address.")
        if stream.codec_context is None:
            raise SourceError(
                f"The pictures of {self._name} cannot be decoded, because their codec is not "
                "known; let it send H.264 or Motion JPEG."
            )
        # Not by whole frames: those would come as many frames late as there are threads.
        stream.thread_type = "SLICE"
        rate = stream.average_rate or stream.guessed_rate
        self._rate_hz = float(rate) if rate else None
        is_recording = bool(container.duration)
        if container.duration:
            self._duration_s = container.duration / av.time_base
            self._frame_count = stream.frames or None
        make_picture = PictureMaker(stream)
        times = PresentationTimes(container, stream, self._count_drop)
        clock = PlaybackClock()
        for frame in self._decoded(container, stream, times):
            if not is_recording:
                if frame.is_corrupt:
                    self._count_drop("damaged")
                else:
                    yield Picture(time.monotonic(), make_picture(frame))
            elif (moment := times(frame)) is not None:
                if not clock.is_running:
                    clock.start(moment.t_s)
                t_s = clock.due_s(moment.t_s)
                image_bgr = make_picture(frame)
                if self._stopping.wait(max(0.0, t_s - time.monotonic())):
                    return
                yield Picture(t_s, image_bgr, moment.after_cut)
        if not is_recording:
            raise SourceError(f"{self._name} has ended; check that the stream is still on.")

    def _decoded(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        times: PresentationTimes,
    ) -> Iterator[av.VideoFrame]:
        """Yield the decoder's frames; packets that cannot be decoded are counted."""
        for packet in container.demux(stream):
            times.feed(packet)
            try:
                yield from stream.codec_context.decode(packet)
            except av.FFmpegError:
                times.lose()


def without_password(url: str) -> str:
    """Return a URL without the user name and the password in it."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
