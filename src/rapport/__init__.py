"""The roof: commands, settings, factories, local services, the dashboard. It knows every room; no room knows it."""
