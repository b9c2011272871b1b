"""Configuration that the gateways of the tests share."""

KEY = "sk-client-0123456789abcdef"
OTHER_KEY = "sk-another-fedcba9876543210"
UPSTREAM_KEY = "sk-upstream-5ecre7-5ecre7"
BODY_TIMEOUT = 2
HOURLY_LIMIT = 5


def provider_urls(url):
    """Return the environment variables that send every provider to one address."""
    openai_compatible = ("OPENAI", "GROQ", "MISTRAL", "DEEPSEEK", "XAI", "OPENROUTER")
    base_urls = {f"{name}_BASE_URL": f"{url}/v1" for name in openai_compatible}
    keys = {f"{name}_API_KEY": UPSTREAM_KEY for name in (*openai_compatible, "ANTHROPIC")}
    return {**base_urls, **keys, "ANTHROPIC_BASE_URL": url}
