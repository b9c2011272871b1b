"""schemathesis against the running gateway: nothing that its document does not say, and never a 5xx."""

import subprocess
import sys
from pathlib import Path

from tests.servers import gateway

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,positive_data_acceptance,unsupported_method"
)


def test_the_gateway_does_as_its_document_says(worker_class, tmp_path):
    with gateway(tmp_path, GATEWAY_WORKER_CLASS=worker_class, MODEL_MAP="*=echo") as server:  # every name is a model's
        command = [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{server.url}/openapi.json",
            f"--checks={CHECKS}",
            "--phases=coverage,fuzzing",
            "--max-examples=15",
            "--suppress-health-check=all",
            "--seed=7",
            "--workers=1",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
