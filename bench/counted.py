"""The gateway's gunicorn settings, with workers that write the number of their greenlets to a file on SIGRTMIN."""

import gc
import runpy
import signal
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parent
GREENLET_COUNT = BENCH / ".build" / "greenlets"

globals().update(runpy.run_path(str(BENCH.parent / "gunicorn.conf.py")))
gateway_post_worker_init: Any = globals()["post_worker_init"]


def post_worker_init(worker: object) -> None:
    def write_count(*_: object) -> None:
        from greenlet import greenlet

        alive = sum(isinstance(item, greenlet) and not item.dead for item in gc.get_objects())
        GREENLET_COUNT.write_text(str(alive))

    gateway_post_worker_init(worker)
    signal.signal(signal.SIGRTMIN, write_count)
