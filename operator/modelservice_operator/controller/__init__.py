"""Reconciling ModelServices: observe, decide (in `domain`), apply, report."""
