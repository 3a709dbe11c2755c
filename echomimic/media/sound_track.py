"""The sound of a video that is being written, encoded just ahead of the frames."""

from fractions import Fraction
from typing import cast

import av
import av.audio
import numpy as np

from echomimic.media.audio import Speech
from echomimic.media.samples import Resampler, Wave


class SoundTrack:
    """The sound of a video that lasts ``seconds`` and shows each frame for ``frame`` seconds."""

    def __init__(
        self,
        container: "av.container.OutputContainer",
        codec: str,
        speech: Speech,
        seconds: float,
        frame: float,
    ) -> None:
        kept = codec == "pcm_s16le" or (codec == "aac" and speech.rate in _KEPT_RATES)
        rate = speech.rate if kept else 48000
        self._layout = "mono" if speech.channels == 1 else "stereo"
        self._container = container
        self._stream = cast("av.AudioStream", container.add_stream(codec, rate=rate, layout=self._layout))
        self._stream.bit_rate = 96_000 if self._layout == "mono" else 160_000
        self._resampler = Resampler("fltp", self._layout, rate)
        self._frames = speech.sound()
        self._rate, self._sent = rate, 0
        differs = abs(speech.seconds - seconds) > 0.5 * frame + 1e-6
        self._limit = round(seconds * rate) if differs else None
        self._ended = False

    def advance(self, seconds: float) -> None:
        """Encodes until ``seconds`` of sound went out, or the sound ends."""
        while not self._ended and self._sent < seconds * self._rate:
            frame = next(self._frames, None)
            self._encode(self._resampler.resample(frame))
            self._ended = frame is None

    def finish(self) -> None:
        """Encodes the rest and, where the video is longer, silence."""
        self.advance(float("inf") if self._limit is None else self._limit / self._rate)
        while self._limit is not None and self._sent < self._limit:
            self._encode([self._silence(min(self._rate, self._limit - self._sent))])
        self._container.mux(self._stream.encode(None))

    def _encode(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            if self._limit is not None and self._sent + frame.samples > self._limit:
                frame = self._cut(frame, self._limit - self._sent)
            if frame.samples == 0:
                return
            frame.pts, frame.time_base = self._sent, Fraction(1, self._rate)
            self._sent += frame.samples
            self._container.mux(self._stream.encode(frame))

    def _cut(self, frame: av.AudioFrame, samples: int) -> av.AudioFrame:
        return self._frame(np.ascontiguousarray(frame.to_ndarray()[:, : max(0, samples)]))

    def _silence(self, samples: int) -> av.AudioFrame:
        return self._frame(np.zeros((1 if self._layout == "mono" else 2, samples), np.float32))

    def _frame(self, wave: Wave) -> av.AudioFrame:
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        return frame


# Rates that AAC keeps; others become 48 kHz, so that its fixed blocks stay shorter than half a frame.
_KEPT_RATES = (32000, 44100, 48000)
