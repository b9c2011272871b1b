"""OpenAI's API for clients: a module for each route, the schemas, and the OpenAPI document that describes them."""
