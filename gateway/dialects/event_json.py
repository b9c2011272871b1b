"""The JSON in a stream's events."""

from gateway.errors import UpstreamFailed
from gateway.json_codec import MAX_LEVELS, loads, require_shallow
from gateway.openai_types import Json
from gateway.stream_events import Event

# Bytes of the shortest JSON that is nested too deeply: a bracket that opens, and one that closes, for each level.
MIN_DEEP = 2 * MAX_LEVELS


def event_object(event: Event) -> Json:
    """The JSON object that is an event's data. Raises UpstreamFailed for anything else."""
    try:
        data = loads(event.data)
        if len(event.data) > MIN_DEEP:
            require_shallow(event.data, data)
    except ValueError as error:
        message = "The upstream's stream has an event that is not JSON."
        raise UpstreamFailed(message, upstream_status="invalid_response") from error
    if not isinstance(data, dict):
        message = "The upstream's stream has an event that is not a JSON object."
        raise UpstreamFailed(message, upstream_status="invalid_response")
    return data
