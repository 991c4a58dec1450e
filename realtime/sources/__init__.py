"""Sources of frames: cameras, video files, network streams and the built-in demo clip.

There are two ways to hand out frames. A file waits: `VideoFile` delivers every frame, however long
the reader takes. Live sources deliver the latest frame: a thread of its own captures into a sliding
buffer (`LiveSource`), and a reader that falls behind by more than `STALENESS_S` jumps to the newest
frame. Whatever is not delivered is counted in `drops` with its cause and leaves a hole in the ids;
no frame is ever made up.

Causes in `drops`: `late` (the reader was too slow), `damaged` (could not be decoded), `no time`
(the file does not state when the frame belongs), `before time 0`, `time not increasing` (not after
the frame before it), `clock changed` (another recording begins), `camera lost` and `connection
lost`. The last three are counted once, because nobody knows how many
frames are missing.
"""
