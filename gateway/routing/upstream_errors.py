"""What fails while an upstream responds becomes one of the gateway's errors."""

import structlog

from gateway.catalog.targets import Target
from gateway.errors import GatewayError, UpstreamFailed, error_location
from gateway.transport.failures import TransportFailure

# A shorter key is a placeholder, and masking it would only damage words.
MIN_MASKED_KEY = 8


class map_upstream_errors:  # noqa: N801 - it reads as a function: with map_upstream_errors(target)
    """
    Within it, what fails is the upstream's fault: the transport's errors become the gateway's, and an adapter that
    stumbles over a shape that the vendor's API never had has met an invalid response. No error quotes the provider's key.
    """

    def __init__(self, target: Target) -> None:
        self._provider = target.provider

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            return
        name, key, failure = self._provider.name, self._provider.key or "", error
        if isinstance(error, TransportFailure):
            failure = error.gateway_error(name)
        elif isinstance(
            error, ArithmeticError | AttributeError | LookupError | RecursionError | TypeError | ValueError
        ):
            structlog.get_logger().error("invalid_response", provider=name, **error_location(error))
            failure = UpstreamFailed(f"{name} sent an invalid response.", upstream_status="invalid_response")
        if isinstance(failure, GatewayError) and len(key) >= MIN_MASKED_KEY:
            failure = failure.without_secret(key)
        if failure is not error:
            raise failure from error
