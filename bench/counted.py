"""gunicorn's settings as the gateway has them, in whose workers SIGRTMIN writes down how many greenlets there are."""

import gc
import runpy
import signal
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COUNTED = HERE / ".build" / "greenlets"

globals().update(runpy.run_path(str(HERE.parent / "gunicorn.conf.py")))
theirs: Any = globals()["post_worker_init"]


def post_worker_init(worker: object) -> None:
    def count(*_: object) -> None:
        from greenlet import greenlet

        alive = sum(isinstance(one, greenlet) and not one.dead for one in gc.get_objects())
        COUNTED.write_text(str(alive))

    theirs(worker)
    signal.signal(signal.SIGRTMIN, count)
