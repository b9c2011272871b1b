"""What Claude models accept, by their names."""

import pytest

from gateway.dialects.anthropic.models import model_traits


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("claude-sonnet-4-5-20250929", "claude-haiku-4.5"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-3-7-sonnet@20250219", "claude-3-7-sonnet-latest"),
        ("claude-3-opus-20240229", "claude-3-haiku-20240307"),
        ("anthropic/claude-opus-4.8", "claude-opus-4-7"),
        ("claude-opus-9", "claude-opus-5-5"),
        ("claude-mythos-preview", "claude-fable-5"),
        ("my-alias", "claude-next"),
    ],
)
def test_model_traits_depend_on_family_and_version(name, like):
    assert model_traits(name) == model_traits(like)
