"""GET /openapi.json, the OpenAPI document, and /docs, Swagger UI for it, which loads nothing from other hosts."""

import base64
import hashlib
import re
from functools import cache

from flask import Blueprint, Response
from flask_swagger_ui import get_swaggerui_blueprint

from gateway.json_codec import dumps
from gateway.web.openai.openapi import document
from gateway.web.respond import json_response
from gateway.web.services import current_services

blueprint = Blueprint("openapi", __name__)
# Without `validatorUrl: None`, Swagger UI sends the document's URL to validator.swagger.io. The URL for OAuth is made of the
# Host header otherwise, in a script.
swagger_ui: Blueprint = get_swaggerui_blueprint(
    "/docs",
    "/openapi.json",
    config={"app_name": "Pointsman", "validatorUrl": None, "oauth2RedirectUrl": "/docs/oauth2-redirect.html"},
)
INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document of this gateway."""
    return json_response(openapi_body(needs_key=current_services().settings.auth))


@cache
def openapi_body(*, needs_key: bool) -> bytes:
    """Made once: it takes 10 ms."""
    return dumps(document(needs_key=needs_key))


@swagger_ui.after_request
def restrict_page(response: Response) -> Response:
    """Let the page load and call this gateway alone, and let no other page frame it."""
    scripts = [] if response.direct_passthrough else INLINE_SCRIPT.findall(response.get_data())
    response.headers["Content-Security-Policy"] = content_security_policy(*scripts)
    # For browsers without frame-ancestors: https://www.w3.org/TR/CSP3/#frame-ancestors-and-frame-options
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@cache
def content_security_policy(*scripts: bytes) -> str:
    """The policy of a page with these inline scripts, named by their digests. https://www.w3.org/TR/CSP3/"""
    digests = [f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in scripts]
    return (
        f"default-src 'none'; script-src 'self' {' '.join(digests)}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
