"""In which order the targets of a call are tried."""

import hashlib
import math
import random
from collections.abc import Callable, Mapping

from gateway.policy import (
    LEAST_BUSY,
    LOWEST_COST,
    LOWEST_LATENCY,
    PRIORITY,
    ROUND_ROBIN,
    STICKY,
    WEIGHTED,
)
from gateway.providers import Target
from gateway.standing import Standings

Targets = tuple[Target, ...]
MOST_TURNS = 4096
"""Model names whose turn is remembered."""


class Order:
    """The strategies, with what they remember. `chance` is a number from 0 to 1."""

    def __init__(self, standings: Standings, chance: Callable[[], float] = random.random) -> None:
        self._standings, self._chance = standings, chance
        self._turns: dict[tuple[str, str], int] = {}
        self._strategies: Mapping[str, Callable[[Targets, str], Targets]] = {
            PRIORITY: lambda targets, _: targets,
            WEIGHTED: self._weighted,
            ROUND_ROBIN: self._round_robin,
            LEAST_BUSY: self._least_busy,
            LOWEST_LATENCY: self._lowest_latency,
            LOWEST_COST: lambda targets, _: tuple(sorted(targets, key=_cost)),
            STICKY: _sticky,
        }

    def arranged(self, targets: Targets, strategy: str | None, session: str) -> Targets:
        """The targets in the order in which to try them; `session`: what a sticky one sticks to."""
        if len(targets) < 2:
            return targets
        name = strategy or usual(targets)
        if name == ROUND_ROBIN:
            self._next_turn(targets)
        return self._strategies[name](targets, session)

    def foretold(self, targets: Targets, strategy: str | None, session: str) -> Targets:
        """What `arranged` would say, as far as that is not chance, without taking a turn."""
        return self._strategies[strategy or usual(targets)](targets, session)

    def _weighted(self, targets: Targets, _session: str) -> Targets:
        return _by(lambda target: -self._draw(target), targets)

    def _draw(self, target: Target) -> float:
        """Of all draws the largest is a target's with a chance in proportion to its weight (1 where none is given)."""
        weight = 1.0 if target.weight is None else target.weight
        return self._chance() ** (1 / weight) if weight > 0 else 0.0

    def _next_turn(self, targets: Targets) -> None:
        if len(self._turns) >= MOST_TURNS:
            self._turns.clear()
        self._turns[_first(targets)] = (self._turns.get(_first(targets), -1) + 1) % len(targets)

    def _round_robin(self, targets: Targets, _session: str) -> Targets:
        turn = self._turns.get(_first(targets), 0)
        return targets[turn:] + targets[:turn]

    def _least_busy(self, targets: Targets, _session: str) -> Targets:
        return _by(lambda target: (self._standings.of(target).under_way, self._chance()), targets)

    def _lowest_latency(self, targets: Targets, _session: str) -> Targets:
        return _by(lambda target: self._standings.of(target).latency, targets)


def _first(targets: Targets) -> tuple[str, str]:
    """What tells the model names apart whose turns are counted."""
    return targets[0].provider.name, targets[0].model


def usual(targets: Targets) -> str:
    """The strategy where none is said."""
    return PRIORITY if all(target.weight is None for target in targets) else WEIGHTED


def _by(key: Callable[[Target], float | tuple[float, ...]], targets: Targets) -> Targets:
    keyed = [(key(target), n) for n, target in enumerate(targets)]
    return tuple(targets[n] for _, n in sorted(keyed))


def _cost(target: Target) -> float:
    """Dollars for a token in and one out; what nothing is known of comes last."""
    costs = target.facts.input_cost, target.facts.output_cost
    return math.inf if None in costs else sum(cost for cost in costs if cost is not None)


def _sticky(targets: Targets, session: str) -> Targets:
    """The same order for the same session, and, when a target is added or gone, for most of the others (rendezvous)."""
    if not session:
        return targets
    return tuple(sorted(targets, key=lambda target: _score(target, session)))


def _score(target: Target, session: str) -> bytes:
    name = f"{target.provider.name}\0{target.provider.base_url}\0{target.model}\0{session}"
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
