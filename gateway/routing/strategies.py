"""The order in which the targets of a call are tried."""

import hashlib
import math
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.catalog.routing_policy import (
    LEAST_BUSY,
    LOWEST_COST,
    LOWEST_LATENCY,
    PRIORITY,
    ROUND_ROBIN,
    STICKY,
    WEIGHTED,
)
from gateway.catalog.targets import Target, Targets
from gateway.health.target_health import HealthRegistry

# Model names whose round-robin turn is remembered: clients may name any model of a provider.
MAX_TURNS = 4096


class OrderRequest(NamedTuple):
    """What an order may depend on: the model's name, the session that a sticky strategy keeps together, whether it streams."""

    model: str
    session: str = ""
    streams: bool = False


class TargetOrder:
    """The strategies, with their state. `chance()` is a number from 0 to 1."""

    def __init__(self, health_registry: HealthRegistry, chance: Callable[[], float] = random.random) -> None:
        self._health_registry, self._chance = health_registry, chance
        self._turns: dict[str, int] = {}
        self._strategies: Mapping[str, Callable[[Targets, OrderRequest], Targets]] = {
            PRIORITY: lambda targets, _: targets,
            WEIGHTED: lambda targets, _: _sorted_by(self._draw, targets),
            ROUND_ROBIN: self._round_robin,
            LEAST_BUSY: self._least_busy,
            LOWEST_LATENCY: self._lowest_latency,
            LOWEST_COST: lambda targets, _: tuple(sorted(targets, key=_cost)),
            STICKY: _sticky,
        }

    def order(self, targets: Targets, strategy: str | None, request: OrderRequest) -> Targets:
        """The targets in the order in which to try them."""
        if len(targets) < 2:
            return targets
        name = strategy or default_strategy(targets)
        ordered = self._strategies[name](targets, request)
        if name == ROUND_ROBIN:
            self._next_turn(request.model)
        return ordered

    def preview(self, targets: Targets, strategy: str | None, request: OrderRequest) -> Targets:
        """What `order` would return, as far as that is not chance, without taking a turn."""
        return self._strategies[strategy or default_strategy(targets)](targets, request)

    def _draw(self, target: Target) -> float:
        """A random key: the chance that a target has the least one is in proportion to its weight (1 where it has none)."""
        # The minimum of exponential variables with rates w is the i-th with probability w_i / sum(w).
        weight = 1.0 if target.weight is None else target.weight
        return -math.log(1 - self._chance()) / weight if weight > 0 else math.inf

    def _next_turn(self, model: str) -> None:
        if len(self._turns) >= MAX_TURNS:
            self._turns.clear()
        self._turns[model] = self._turns.get(model, 0) + 1

    def _round_robin(self, targets: Targets, request: OrderRequest) -> Targets:
        turn = self._turns.get(request.model, 0) % len(targets)
        return targets[turn:] + targets[:turn]

    def _least_busy(self, targets: Targets, _: OrderRequest) -> Targets:
        return _sorted_by(lambda target: (self._health_registry.of(target).in_flight, self._chance()), targets)

    def _lowest_latency(self, targets: Targets, request: OrderRequest) -> Targets:
        return _sorted_by(
            lambda target: self._health_registry.of(target).latency(streams=request.streams).average, targets
        )


def default_strategy(targets: Targets) -> str:
    """The strategy where none is configured."""
    return PRIORITY if all(target.weight is None for target in targets) else WEIGHTED


def _sorted_by(key: Callable[[Target], float | tuple[float, ...]], targets: Targets) -> Targets:
    keyed = sorted((key(target), index) for index, target in enumerate(targets))
    return tuple(targets[index] for _, index in keyed)


def _cost(target: Target) -> float:
    """Dollars for a token in and one out; a model without a price comes last."""
    costs = target.model_info.input_cost, target.model_info.output_cost
    return math.inf if None in costs else sum(cost for cost in costs if cost is not None)


def _sticky(targets: Targets, request: OrderRequest) -> Targets:
    """The same order for the same session; when a target is added or removed, most sessions keep theirs."""
    # Rendezvous hashing: https://en.wikipedia.org/wiki/Rendezvous_hashing
    if not request.session:
        return targets
    return tuple(sorted(targets, key=lambda target: _score(target, request.session)))


def _score(target: Target, session: str) -> bytes:
    text = "\0".join([*map(str, target.identity), session])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
