"""One rendered clip and its evaluation, made once for all tests of the room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from echomimic.evaluate.result import Evaluation
from echomimic.evaluate.run import evaluate
from tests.evaluate.clips import EXAMPLE, render_clip


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session", autouse=True)
def judge_without_packages() -> Iterator[None]:
    """The person is judged as where no extra is installed, so that results do not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echomimic.evaluate.identity.network_path", lambda: None)
        yield


@pytest.fixture(scope="session")
def good(clip: Path) -> Evaluation:
    return evaluate(clip, portrait=EXAMPLE / "portrait.jpg")
