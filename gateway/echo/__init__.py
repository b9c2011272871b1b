"""The built-in provider: a stand-in for a model that answers at once, and a transport that serves it without a socket."""
