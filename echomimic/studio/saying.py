"""Typed text for a live session: said sentence by sentence, so that the first is heard while the next are
made."""

import threading
from collections.abc import Iterator
from pathlib import Path

from echomimic.errors import SpeechError
from echomimic.live import Live
from echomimic.studio.child import Answer, Child
from echomimic.studio.voice import REMEDY, VOICE_RATE, voice_ready

TEXT_MOST = 5000
"""Characters of one text."""
SAID = 300.0
"""Seconds in which a text must be said."""
_WAV_HEAD = 44


class Sayer:
    """Says texts into live sessions. ``kept`` is the folder of sentences that were said before; without one
    nothing is said."""

    def __init__(self, child: Child, kept: Path | None) -> None:
        self._child, self._kept = child, kept
        self._one = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether a voice is installed."""
        return self._kept is not None and voice_ready()

    def warm(self) -> None:
        """Loads the voice, so that the first text does not wait for it."""
        if self.ready:
            self._ask("say", "Hello.")

    def say(self, live: Live, text: str) -> None:
        """Pushes what the text says, then the end of the utterance; an interruption ends it. Texts follow one
        another. Raises :class:`SpeechError`, or ``Refused`` for a text that says nothing."""
        if not self.ready:
            raise SpeechError(f"the voice is not installed; run: {REMEDY}")
        if not 0 < len(text.strip()) <= TEXT_MOST:
            raise SpeechError(f"the text has {len(text)} characters; send 1 to {TEXT_MOST}")
        turn = live.turn
        with self._one:
            for sound in self._sentences(text):
                if live.closed or live.turn != turn:
                    return
                live.push(sound, VOICE_RATE, turn=turn)
        if live.turn == turn:
            live.end()

    def _sentences(self, text: str) -> Iterator[bytes]:
        for sentence in self._ask("split", text)[0]["sentences"]:
            yield self._ask("say", sentence)[1][_WAV_HEAD:]

    def _ask(self, do: str, text: str) -> Answer:
        asked = {"do": do, "text": text, "voice": "", "speed": 1.0, "kept": str(self._kept)}
        return self._child.ask(asked, SAID)
