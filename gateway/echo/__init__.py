"""The built-in provider: a model that responds at once, and a transport that serves it without a socket."""
