"""The HTTP side, in Flask: authenticate, limit, read and validate the body, call, respond. Views hold no logic.

One folder for each API: `openai/`; routes that belong to none are modules here. `services` holds what the factory made.
"""
