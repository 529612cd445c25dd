"""`kubectl modelservice`: what people ask about their ModelServices, answered from the API server alone.

Nothing here can write: the one client that the commands share sends every request that would change something as a
dry run. What the operator would do is decided by the operator's own code, on what the API server says now.
"""
