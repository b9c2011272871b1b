"""What there is to call: vendors, what is known of their models, and where the name of a model leads.

Tables and look-ups. It knows of no request, no socket and no health.
"""
