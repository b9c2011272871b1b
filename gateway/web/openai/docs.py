"""GET /openapi.json, the OpenAPI document, and /docs, Swagger UI for it, which loads nothing from other hosts."""

from flask import Blueprint, Response
from flask_swagger_ui import get_swaggerui_blueprint

from gateway.web.openai.openapi import document
from gateway.web.respond import as_json
from gateway.web.services import current_services

blueprint = Blueprint("openapi", __name__)
# Without `validatorUrl: None`, Swagger UI sends the document's URL to validator.swagger.io.
swagger_ui = get_swaggerui_blueprint("/docs", "/openapi.json", config={"app_name": "Pointsman", "validatorUrl": None})


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI document of this gateway."""
    return as_json(document(needs_key=current_services().settings.auth))
