"""A face for a Pipecat bot, without a transport: ``python examples/live_pipecat.py PORTRAIT SPEECH``.

Speech goes in as a text to speech would send it; what comes out is counted. In a bot of yours the processor
stands between the text to speech and ``transport.output()``. Needs: pip install "echomimic-studio[pipecat]".
"""

import asyncio
import sys
from pathlib import Path

from pipecat.frames.frames import EndFrame, Frame, OutputImageRawFrame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from echomimic.live.pipecat import LiveFaceProcessor
from echomimic.media.audio import RATE, Speech

EXAMPLE = Path(__file__).resolve().parents[1] / "echomimic" / "example"


class Counter(FrameProcessor):
    """Stands where a transport would."""

    pictures, seconds = 0, 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Counts."""
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputImageRawFrame):
            self.pictures += 1
        elif isinstance(frame, TTSAudioRawFrame):
            self.seconds += frame.num_frames / frame.sample_rate
        await self.push_frame(frame, direction)


async def run(portrait: Path, speech: Path) -> Counter:
    """One utterance."""
    face, counter = LiveFaceProcessor(portrait), Counter()
    await face.begin()
    worker = PipelineWorker(Pipeline([face, counter]), enable_rtvi=False)
    opened = Speech.open(speech)
    wave = (opened.read(0, min(opened.samples, 4 * RATE)) * 32767).astype("<i2")
    chunks = [wave[start : start + RATE // 50] for start in range(0, len(wave), RATE // 50)]
    for chunk in chunks:
        await worker.queue_frame(TTSAudioRawFrame(chunk.tobytes(), RATE, 1))
    await worker.queue_frame(TTSStoppedFrame())
    await worker.queue_frame(EndFrame())
    runner = WorkerRunner()
    await runner.add_workers(worker)
    await runner.run()
    return counter


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:3]] or [
        EXAMPLE / "portrait.jpg",
        EXAMPLE / "speech.flac",
    ]
    counted = asyncio.run(run(*given))
    sys.stdout.write(f"{counted.pictures} pictures with {counted.seconds:.2f} s of sound\n")
