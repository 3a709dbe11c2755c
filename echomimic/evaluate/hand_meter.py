"""How surely hands are seen: our own hand detector's scores, in every so many frames."""

from __future__ import annotations

from echomimic.evaluate.face_meter import Shot
from echomimic.faces.body import find_hands


class HandMeter:
    """Series: hands, the mean score of the hands seen (0.5 to 1). Deformed and blurred hands score low or
    vanish.

    This is HKC of the V2 paper with another detector (theirs is DWPose): the numbers do not compare.
    """

    # Looks without a hand after which the video is taken to show none.
    _PATIENCE = 4

    def __init__(self, every: int) -> None:
        self._every, self._looks, self._seen = every, 0, False

    def read(self, shot: Shot) -> dict[str, float]:
        if shot.number % self._every or (not self._seen and self._looks >= self._PATIENCE):
            return {}
        self._looks += 1
        hands = find_hands(shot.picture)
        self._seen = self._seen or bool(hands)
        return {"hands": sum(hand.score for hand in hands) / len(hands)} if hands else {}

    def totals(self) -> dict[str, float]:
        return {}
