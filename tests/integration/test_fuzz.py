"""schemathesis against the running gateway: every response conforms to the OpenAPI document, and none is a 5xx."""

import subprocess
import sys
from pathlib import Path

from tests.support.servers import run_gateway

# The document cannot state how many dimensions each model supports.
SCHEMATHESIS_CONFIG = """
[[operations]]
include-path = "/v1/embeddings"
checks.positive_data_acceptance.enabled = false
"""


def test_the_gateway_conforms_to_its_openapi_document(worker_class, tmp_path):
    config = tmp_path / "schemathesis.toml"
    config.write_text(SCHEMATHESIS_CONFIG)
    with run_gateway(
        tmp_path, GATEWAY_WORKER_CLASS=worker_class, MODEL_MAP="*=echo"
    ) as server:  # every model name exists
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
        completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert completed.returncode == 0, completed.stdout[-6000:] + completed.stderr[-2000:]
