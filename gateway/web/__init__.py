"""The HTTP side, in Flask: authenticate, limit, read and validate the body, call, respond. Views hold no logic.

One folder for each format that clients send; `services` holds what the factory made.
"""
