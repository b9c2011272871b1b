"""A plain response: one call in a straight line, from its validated request to the body of its answer."""

from gateway import token_estimate
from gateway.openai_types import Json
from gateway.routing.call import Call
from gateway.routing.router import Router


def complete(router: Router, call: Call) -> Json:
    """The whole completion, in the client's dialect. Raises GatewayError."""
    completion = router.completion(call)
    if "usage" not in completion:
        size = sum(token_estimate.written_size(choice["message"]) for choice in completion["choices"])
        completion = {**completion, "usage": estimated_usage(call, size)}
    call.usage = completion["usage"]
    router.settle(call)
    call.finish()
    return call.client.completion_body(completion)


def embed(router: Router, call: Call) -> Json:
    """The response to an embeddings request. Raises GatewayError."""
    response = router.embeddings(call)
    usage = response.get("usage")
    call.usage = usage if isinstance(usage, dict) else None
    router.settle(call)
    call.finish()
    return response


def estimated_usage(call: Call, completion_size: int, failed_prompt_tokens: int = 0) -> Json:
    """
    Usage where the upstream reported none. `completion_size`: bytes that the model wrote. `failed_prompt_tokens`: of the
    prompts of attempts that broke off.
    """
    prompt_tokens = failed_prompt_tokens + token_estimate.of_prompt(call.chat)
    return token_estimate.usage(prompt_tokens, token_estimate.tokens_in(completion_size))
