"""GET /openapi.json, and /docs: a page to read and try it, with all that it needs from here."""

from flask import Blueprint, Response
from flask_swagger_ui import get_swaggerui_blueprint

from gateway.web.openai.openapi import document
from gateway.web.respond import as_json
from gateway.web.services import current_services

blueprint = Blueprint("openapi", __name__)
page = get_swaggerui_blueprint("/docs", "/openapi.json", config={"app_name": "Pointsman", "validatorUrl": None})


@blueprint.get("/openapi.json")
def openapi() -> Response:
    return as_json(document(closed=current_services().settings.auth))
