"""The same motion however many threads NumPy's products have: every door makes the same video."""

import os
import subprocess
import sys

import numpy as np
import pytest

from echomimic.arrays import multiply_rows

HEARS = """
import hashlib
import numpy as np
from echomimic.media.audio import Speech
from echomimic.motion.speech.performance_from_speech import listen
wave = np.random.default_rng(0).standard_normal(160000).astype(np.float32) * np.float32(0.1)
heard = listen(Speech.from_array(wave, 16000, "noise"), 250, 25.0)
print(hashlib.sha256(heard.shapes.tobytes() + heard.cues.tobytes()).hexdigest())
"""


def test_speech_is_heard_the_same_with_any_number_of_threads() -> None:
    heard = {
        subprocess.run(
            [sys.executable, "-c", HEARS],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            check=True,
            capture_output=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(heard) == 1


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 257])
def test_rows_are_multiplied_whole(rows: int) -> None:
    draw = np.random.default_rng(rows)
    left, right = draw.standard_normal((rows, 112)), draw.standard_normal((112, 224))
    assert np.allclose(multiply_rows(left, right), left @ right, rtol=0, atol=1e-12)
