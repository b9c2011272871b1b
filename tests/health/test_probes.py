"""Health probes: one asks for all, and what it finds closes breakers."""

import subprocess
import sys
import time

from gateway.catalog.vendors import Target
from gateway.health.probes import Probes
from gateway.health.target_health import Standings
from tests.support.health import GONE, HERE, broken, probes


def test_what_one_process_finds_closes_the_breakers_of_another(tmp_path):
    standings = Standings()
    here, gone = standings.of(Target(HERE, "m")), standings.of(Target(GONE, "m"))
    broken(here)
    broken(gone)
    probes(tmp_path, Standings()).ask()
    probes(tmp_path, standings).apply(time.monotonic())
    assert (here.state, gone.state) == ("closed", "open")


def test_traffic_that_failed_later_outranks_a_probe(tmp_path):
    standings = Standings()
    probes(tmp_path, standings).ask()
    here = standings.of(Target(HERE, "m"))
    broken(here)
    probes(tmp_path, standings).apply(time.monotonic())
    assert here.state == "open"


def test_nothing_found_or_nonsense_found_changes_nothing(tmp_path):
    standings = Standings()
    here = standings.of(Target(HERE, "m"))
    broken(here)
    probes(tmp_path, standings).apply(time.monotonic())
    nonsense = probes(tmp_path, standings)
    nonsense.found_file.write_text("{")
    nonsense.apply(time.monotonic())
    assert here.state == "open"


def test_one_process_is_the_prober_until_it_ends(tmp_path):
    ours = probes(tmp_path, Standings())
    assert ours.leads()
    assert ours.leads()
    script = (
        "import sys, pathlib; from tests.support.health import probes; from gateway.health.target_health import Standings;"
        "sys.exit(probes(pathlib.Path(sys.argv[1]), Standings()).leads())"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 0
    ours.end()
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 1


def test_gateways_with_other_providers_have_a_prober_of_their_own(tmp_path):
    ours = probes(tmp_path, Standings())
    theirs = Probes(tmp_path, 60, [HERE], Standings(), bool)
    assert ours.leads()
    assert theirs.leads()
    ours.end()
    theirs.end()


def test_what_fails_while_it_is_asked_is_news(tmp_path):
    standings = Standings()
    here = standings.of(Target(HERE, "m"))

    def well(provider):
        broken(here)
        return True

    asked = Probes(tmp_path, 60, [HERE], standings, well)
    asked.ask()
    asked.apply(time.monotonic())
    assert here.state == "open"
