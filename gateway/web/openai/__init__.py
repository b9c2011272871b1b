"""OpenAI's API for clients: a module for each route, the schemas, and the OpenAPI document that describes them.

It knows Flask and marshmallow, its client dialect and `completions/`; nothing of upstreams and their formats.
"""
