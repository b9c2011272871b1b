"""References within a JSON schema: https://www.rfc-editor.org/rfc/rfc6901"""

from typing import Any


def resolve(ref: str, root: Any) -> Any:
    """What a `$ref` such as `#/$defs/Point` refers to in the schema `root`; None where it refers to nothing in it."""
    value = root if ref.startswith("#") else None
    for token in ref.removeprefix("#").split("/")[1:]:
        # Section 4: "first transforming any occurrence of the sequence '~1' to '/', and then ... '~0' to '~'".
        name = token.replace("~1", "/").replace("~0", "~")
        value = value.get(name) if isinstance(value, dict) else None
    return value
