"""The HTTP side, by Flask: authenticate, limit, read and validate the body, call, respond. No logic in a view.

One folder for each format that clients speak; `services` holds what the factory made.
"""
