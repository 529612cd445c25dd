"""Every kind of work on a real cluster: a ModelService a row, asked through its Service, its quality measured."""
