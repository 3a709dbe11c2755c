"""How quick and how steady a live session is: ``python -m benchmarks.live [--minutes M] [--steal SECONDS]``.

Prints each number beside its goal: the delay from sound in to frame out and its parts, the first frame,
interruptions, a soak of speech and silence against the real clock (drift, late frames, memory), a core
stolen, two sessions at once, and how far the mouth is from the sound in what came out. Goals are for two idle
cores; the load is printed.
"""

import argparse
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from echomimic.arrays import Floats
from echomimic.evaluate.face_meter import lips
from echomimic.evaluate.lips import closure, find_lag, hear
from echomimic.faces.detect import find_faces
from echomimic.live import Live, LiveFrame, LivePortrait, prepare
from echomimic.media.audio import RATE, Speech
from echomimic.motion.speech.stepper import Stepper
from echomimic.request import Settings

EXAMPLE = Path(__file__).resolve().parents[1] / "echomimic" / "example"
CHUNK = RATE // 50
"""20 ms, as microphones and text to speech send them."""

LATE = 0.5
"""Part of a frame by which a frame may leave after its time."""

Row = tuple[str, str, str]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--minutes", type=float, default=1.0, help="of the soak")
    parser.add_argument("--steal", type=float, default=10.0, help="seconds for which one core is stolen")
    options = parser.parse_args()
    face = prepare(EXAMPLE / "portrait.jpg", Settings(size=options.size))
    spoken = Speech.open(EXAMPLE / "speech.flac").read(0, 6 * RATE)
    steps: list[Callable[[], Iterator[Row]]] = [
        lambda: parts(face, spoken),
        lambda: delay(face, spoken),
        lambda: first_frame(face),
        lambda: interruption(face, spoken),
        lambda: soak(face, spoken, 60 * options.minutes, 0.0),
        lambda: soak(face, spoken, options.steal + 10, options.steal),
        lambda: two_sessions(spoken),
        lambda: agreement(face, spoken),
    ]
    for step in steps:
        for name, value, goal in step():
            print(f"{name:58} {value:>16}   goal {goal or '-':10} load {os.getloadavg()[0]:.1f}", flush=True)


def parts(face: LivePortrait, spoken: Floats) -> Iterator[Row]:
    """What the delay is made of."""
    stepper, taken = Stepper(), {"features": 0.0, "net": 0.0}
    for name, owner, method in (("features", stepper.ear, "hear"), ("net", stepper.net, "push")):
        setattr(owner, method, _timed(getattr(owner, method), name, taken))
    whole, steps, drawing = 0.0, 0, []
    for start in range(0, len(spoken) - 640, 640):
        before = time.perf_counter()
        shown = stepper.push(spoken[start : start + 640])
        whole += time.perf_counter() - before
        steps += 1
        if len(shown) and steps % 3 == 0:
            before = time.perf_counter()
            face.renderer.render(shown, 0)
            drawing.append(time.perf_counter() - before)
    yield "look-ahead", f"{40 * stepper.lookahead} ms", "120 ms"
    yield "hop (one frame is collected)", "40 ms", "40 ms"
    for name, seconds in taken.items():
        yield f"{name}, a frame", _ms(seconds / steps), ""
    yield "the rest of a step (head, brows, blinks)", _ms((whole - sum(taken.values())) / steps), ""
    yield "render, a frame, p50", _ms(float(np.median(drawing))), "30 ms"


def _timed(call: Callable[..., object], name: str, taken: dict[str, float]) -> Callable[..., object]:
    def timed(*given: object) -> object:
        before = time.perf_counter()
        try:
            return call(*given)
        finally:
            taken[name] += time.perf_counter() - before

    return timed


def delay(face: LivePortrait, spoken: Floats) -> Iterator[Row]:
    """From the moment at which a frame's first sample was pushed, as a microphone does, to the frame."""
    waits: list[float] = []
    with Live(face, pace="sound", sound_rate=RATE) as live:
        frames = iter(live)
        next(frames)
        began = time.monotonic()
        threading.Thread(target=_speak, args=(live, spoken), daemon=True).start()
        shown = 0
        for frame in frames:
            if frame.speaking:
                waits.append(time.monotonic() - began - shown / live.fps)
                shown += 1
            if frame.last:
                break
    whole = np.array(waits[:-8])  # the end is not waited for
    yield "sound in to frame out, p50", _ms(float(np.median(whole))), ""
    yield "sound in to frame out, p95", _ms(float(np.quantile(whole, 0.95))), "<= 250 ms"


def _speak(live: Live, spoken: Floats) -> None:
    """As a microphone: 20 ms every 20 ms."""
    began = time.monotonic()
    for number, start in enumerate(range(0, len(spoken), CHUNK)):
        time.sleep(max(0.0, began + number * CHUNK / RATE - time.monotonic()))
        live.push(spoken[start : start + CHUNK], RATE)
    live.end()


def first_frame(face: LivePortrait) -> Iterator[Row]:
    """A new session of a portrait that is known."""
    before = time.perf_counter()
    with Live(face) as live:
        next(iter(live))
    yield "first frame of a session, portrait known", f"{time.perf_counter() - before:.2f} s", "< 1 s"


def interruption(face: LivePortrait, spoken: Floats) -> Iterator[Row]:
    """From ``interrupt`` to the last frame of what was said."""
    worst = 0.0
    with Live(face) as live:
        frames = iter(live)
        for after in (30, 41, 57):
            live.push(spoken, RATE)
            live.end()
            for _ in range(after):
                next(frames)
            called = time.monotonic()
            live.interrupt()
            for _ in range(10):
                if (frame := next(frames)).turn < live.turn and frame.speaking:
                    worst = max(worst, time.monotonic() - called)
    yield "interrupt to the last old frame, worst of 3", _ms(worst), "<= 80 ms"


def soak(face: LivePortrait, spoken: Floats, seconds: float, steal: float) -> Iterator[Row]:
    """Utterances and silences in turn for so long;
    one core is busy elsewhere for the first ``steal`` seconds."""
    name = "a core stolen" if steal else "soak"
    thief = multiprocessing.Process(target=_burn, args=(steal,), daemon=True)
    if steal:
        thief.start()
    lags: list[float] = []
    said, pushed, said_at, memory = 0, 0, -10.0, 0.0
    with Live(face, sound_rate=RATE) as live:
        frames = iter(live)
        next(frames)
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            if now - said_at > 10 and now < seconds - 9:
                live.push(spoken, RATE)
                live.end()
                said_at, pushed = now, pushed + len(spoken)
            frame = next(frames)
            lags.append((time.monotonic() - began) * live.fps - frame.number)
            said += len(frame.sound) if frame.speaking else 0
            if not memory and now > seconds / 5:
                memory = _resident()
        first = min(lags[:50])  # the clock of the session began with its first frame
        late = [lag - first > LATE for lag in lags]
        yield f"{name}, {seconds:.0f} s: drift", f"{min(lags[-50:]) - first:+.2f} frames", "0"
        yield f"{name}: late frames", f"{sum(late)} of {len(late)}", "0" if not steal else ""
        yield f"{name}: late frames in the last 8 s", f"{sum(late[-200:])}", "0"
        yield f"{name}: pictures repeated", f"{live.repeated}", "0" if not steal else ""
    yield f"{name}: sound in and out", f"{pushed / RATE:.2f}, {said / RATE:.2f} s", "the same"
    yield f"{name}: memory, last 4/5", f"{_resident() - memory:+.1f} MB", "< +20 MB"


def _burn(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def two_sessions(spoken: Floats) -> Iterator[Row]:
    """Two faces that speak at once, 256 pixels."""
    face = prepare(EXAMPLE / "portrait.jpg", Settings(size=256))
    with ThreadPoolExecutor(2) as pool:
        rates = list(pool.map(lambda _: _shown(face, spoken), range(2)))
    shown = ", ".join(f"{fps:.1f} ({repeated} repeated)" for fps, repeated in rates)
    yield "two sessions at 256", shown, "25.0 (0)"


def _shown(face: LivePortrait, spoken: Floats) -> tuple[float, int]:
    with Live(face) as live:
        live.push(spoken, RATE)
        live.end()
        frames = iter(live)
        next(frames)
        began = time.monotonic()
        for _ in range(150):
            next(frames)
        return 150 / (time.monotonic() - began), live.repeated


def agreement(face: LivePortrait, spoken: Floats) -> Iterator[Row]:
    """The mouth against the sound in the recorded stream, as ``echomimic evaluate`` measures it."""
    live = Live(face, pace="none", sound_rate=RATE)
    live.push(spoken, RATE)
    live.end()
    frames: list[LiveFrame] = list(live)
    sound = np.concatenate([frame.sound for frame in frames])
    heard = hear(Speech.from_array(sound, RATE, "the stream"), len(frames), live.fps)
    opening = np.array([_opening(frame) for frame in frames])
    lag = find_lag(heard.opening, opening, live.fps)
    yield "mouth after the sound in the stream", "-" if lag is None else f"{1000 * lag:+.0f} ms", "+-40 ms"
    r = float(np.corrcoef(heard.opening, opening)[0, 1])
    yield "opening heard and seen, r (the example)", f"{r:.2f}", ""
    closed = closure(opening, heard, live.fps)
    yield "opening at m, b, p against open vowels", "-" if closed is None else f"{closed:.2f}", "0 closes"


def _opening(frame: LiveFrame) -> float:
    found = find_faces(frame.picture)
    return lips(found[0])[0] if found else float("nan")


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    main()
