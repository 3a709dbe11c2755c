"""A face for a LiveKit agent, in one process and without a server: ``python examples/live_livekit.py PORTRAIT
SPEECH``.

Plays the agent (speech in chunks of 20 ms, then the end of the segment) and the room (counts what comes out).
In an agent of yours, write ``await LiveAvatarSession("me.png").start(session, ctx.room)`` before
``session.start``. Needs: pip install "echomimic-studio[livekit]".
"""

import asyncio
import sys
from pathlib import Path

from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd

from echomimic.live import Live
from echomimic.live.livekit import LiveVideoGenerator
from echomimic.media.audio import RATE, Speech

EXAMPLE = Path(__file__).resolve().parents[1] / "echomimic" / "example"


async def run(portrait: Path, speech: Path) -> tuple[int, float]:
    """(pictures, seconds of sound) of one segment."""
    generator = LiveVideoGenerator(Live(portrait, sound_rate=24_000))
    opened = Speech.open(speech)
    wave = (opened.read(0, min(opened.samples, 4 * RATE)) * 32767).astype("<i2")
    for start in range(0, len(wave), RATE // 50):
        chunk = wave[start : start + RATE // 50]
        await generator.push_audio(rtc.AudioFrame(chunk.tobytes(), RATE, 1, len(chunk)))
    await generator.push_audio(AudioSegmentEnd())
    pictures, seconds = 0, 0.0
    async for item in generator:
        if isinstance(item, rtc.VideoFrame):
            pictures += 1
        elif isinstance(item, rtc.AudioFrame):
            seconds += item.duration
        else:
            await generator.aclose()
    return pictures, seconds


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:3]] or [
        EXAMPLE / "portrait.jpg",
        EXAMPLE / "speech.flac",
    ]
    pictures, seconds = asyncio.run(run(*given))
    sys.stdout.write(f"{pictures} pictures with {seconds:.2f} s of sound, then the end of the segment\n")
