"""OpenAI's API as clients see it: one module a route, its schemas, and the document that describes it."""
