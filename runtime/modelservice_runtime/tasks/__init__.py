"""One module a task: what it loads, how a request becomes items, and how results become an answer."""
