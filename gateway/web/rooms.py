"""What the views use, made once by the factory."""

from dataclasses import dataclass

from flask import current_app
from limits import RateLimitItem

from gateway.directory import Directory
from gateway.keys import Keys
from gateway.listings import Listings
from gateway.probes import Probes
from gateway.router import Router
from gateway.settings import Settings
from gateway.slots import Slots
from gateway.web.body import Deadlines

NAME = "switchyard"


@dataclass(frozen=True, slots=True)
class Rooms:
    settings: Settings
    keys: Keys
    directory: Directory
    listings: Listings
    router: Router
    limits: tuple[RateLimitItem, ...]
    deadlines: Deadlines
    calls: Slots
    probes: Probes


def rooms() -> Rooms:
    """The rooms of the application that serves the present request."""
    own: Rooms = current_app.extensions[NAME]
    return own
