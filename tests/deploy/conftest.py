"""Balancers with three servers behind them, and the tools that check manifests."""

from harness.figures import figure, pytest_configure, pytest_terminal_summary  # noqa: F401
