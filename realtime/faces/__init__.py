"""Faces of a frame: landmarks, identity, alignment, conditions.

`FaceTracker` runs MediaPipe's face landmarker on a stream, `FaceDetector` on single images. The two
decisions that need memory are pure classes of their own, in seconds and pixels: `IdentityTracker`
matches the faces of this frame with those of the last, `StableAlignment` decides where a face is
cut out.
"""
