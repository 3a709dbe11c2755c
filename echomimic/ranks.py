"""Which of several processes this one is, as torchrun says in the environment."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Ranks:
    """``rank`` from 0 to ``count`` − 1; ``local`` counts on this machine, and chooses the device."""

    rank: int = 0
    count: int = 1
    local: int = 0


def ranks_of_process() -> Ranks:
    """What ``torchrun`` set; one process alone without it."""
    given = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
    if "MASTER_ADDR" not in os.environ or not all(text.isdecimal() for text in given):
        return Ranks()
    return Ranks(*(int(text) for text in given))
