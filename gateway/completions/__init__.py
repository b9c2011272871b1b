"""One call in a straight line: the router's answer, its usage, its settlement, and the stream that a client is sent.

Cache, budget and ledger belong here. Of Flask nothing.
"""
