"""Connectors: they publish what a provider said, before any decision."""
