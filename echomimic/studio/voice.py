"""Typed text said by the optional voice (``hibari-tts``, Apache-2.0), sentence by sentence, each kept.

``python -m echomimic.studio.voice`` answers questions (see ``child``). A changed sentence costs only itself.
Only voices whose files are here are offered: nothing is fetched.
"""

import functools
import hashlib
import importlib.util
import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echomimic.media.output import write_whole
from echomimic.studio.child import Answer, Question, answer_all
from echomimic.studio.problems import Refused

REMEDY = 'pip install "hibari-tts>=0.2.1,<0.3"'
VOICE_RATE = 24_000
# Seconds of silence between two sentences, as the voice itself leaves none.
_PAUSE = 0.25
SLOWEST_VOICE, QUICKEST_VOICE = 0.5, 2.0
Samples16 = npt.NDArray[np.int16]


def voice_ready() -> bool:
    """Whether the voice is installed."""
    return importlib.util.find_spec("hibari") is not None


def say_text(text: str, voice: str, speed: float, kept: Path) -> tuple[Samples16, list[dict[str, Any]]]:
    """The sound of a text, and where each sentence lies in it; sentences are kept in the folder ``kept``."""
    parts: list[Samples16] = []
    sentences: list[dict[str, Any]] = []
    at = 0
    for sentence in _speaker(voice).split_sentences(text):
        sound = _sentence(sentence, voice, speed, kept)
        pause = np.zeros(round(_PAUSE * VOICE_RATE) if parts else 0, np.int16)
        at += len(pause)
        sentences.append({"text": sentence, "start": at / VOICE_RATE, "stop": (at + len(sound)) / VOICE_RATE})
        at += len(sound)
        parts += [pause, sound]
    if not at:
        raise Refused("invalid", "the text holds nothing to say; write a sentence")
    return np.concatenate(parts), sentences


def _sentence(text: str, voice: str, speed: float, kept: Path) -> Samples16:
    name = hashlib.sha256(f"{voice}\n{speed:.3f}\n{text}".encode()).hexdigest()[:40]
    path = kept / f"{name}.pcm"
    if path.is_file():
        return np.frombuffer(path.read_bytes(), "<i2")
    spoken = _speaker(voice)(text, speed=speed, seed=0)
    sound: Samples16 = np.round(np.clip(spoken, -1, 1) * 32767).astype("<i2")
    kept.mkdir(parents=True, exist_ok=True)
    write_whole(path, sound.tobytes())
    return sound


@functools.lru_cache(maxsize=2)
def _speaker(voice: str) -> Any:
    from hibari import Hibari

    return Hibari(voice=voice)


def voices() -> list[dict[str, str]]:
    """The voices whose files are here."""
    from hibari.voices import VOICES, cache_dir

    found = {
        name: v for name, v in VOICES.items() if v["bundled"] or (Path(cache_dir()) / v["file"]).is_file()
    }
    return [{"name": name, "language": v["language"], "gender": v["gender"]} for name, v in found.items()]


def as_wav(samples: Samples16) -> bytes:
    """Mono samples as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(VOICE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


def _answer(question: Question) -> Answer:
    if question["do"] == "voices":
        return {"voices": voices()}, b""
    if question["do"] == "split":
        return {"sentences": list(_speaker(voices()[0]["name"]).split_sentences(question["text"]))}, b""
    known = [v["name"] for v in voices()]
    voice = question["voice"] or known[0]
    if voice not in known:
        raise Refused("invalid", f"the voice {voice[:80]!r} is not here; choose one of {', '.join(known)}")
    samples, sentences = say_text(question["text"], voice, question["speed"], Path(question["kept"]))
    return {"sentences": sentences, "voice": voice}, as_wav(samples)


if __name__ == "__main__":
    answer_all(_answer)
