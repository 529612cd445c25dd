"""Throws generated requests at a server and expects an answer to each: never a 5xx, never silence.

    python -m tests.fuzz                        # 2,000 cases for each task family
    python -m tests.fuzz --cases 100 decoder    # some cases for some families

The requests are made by schemathesis from the live OpenAPI document, valid ones and broken ones. Most name the served
model, since a request for another one is refused before it gets anywhere.
"""
