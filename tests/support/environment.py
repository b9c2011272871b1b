"""What the gateways of the tests are configured with."""

KEY = "sk-client-0123456789abcdef"
OTHER_KEY = "sk-another-fedcba9876543210"
UPSTREAM_KEY = "sk-upstream-5ecre7-5ecre7"
BODY_TIMEOUT = 2
LIMIT = 5


def provider_urls(url):
    """The environment that sends providers to one address."""
    openai_like = ("OPENAI", "GROQ", "MISTRAL", "DEEPSEEK", "XAI", "OPENROUTER")
    bases = {f"{name}_BASE_URL": f"{url}/v1" for name in openai_like}
    keys = {f"{name}_API_KEY": UPSTREAM_KEY for name in (*openai_like, "ANTHROPIC")}
    return {**bases, **keys, "ANTHROPIC_BASE_URL": url}
