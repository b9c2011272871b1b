"""schemathesis against the running gateway: nothing that its document does not say, and never a 5xx."""

import subprocess
import sys
from pathlib import Path

from tests.support.servers import gateway

MODELS_OWN_LIMITS = """
[[operations]]
include-path = "/v1/embeddings"
checks.positive_data_acceptance.enabled = false
"""
"""How many dimensions a model has, the document cannot know."""


def test_the_gateway_does_as_its_document_says(worker_class, tmp_path):
    config = tmp_path / "schemathesis.toml"
    config.write_text(MODELS_OWN_LIMITS)
    with gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class, MODEL_MAP="*=echo") as server:  # every name is a model's
        command = [
            str(Path(sys.executable).parent / "schemathesis"),
            f"--config-file={config}",
            "run",
            f"{server.url}/openapi.json",
            "--phases=coverage,fuzzing",
            "--max-examples=15",
            "--suppress-health-check=all",
            "--seed=7",
            "--workers=1",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
