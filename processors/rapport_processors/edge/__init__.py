"""Faust's edge: the only place that knows Faust. What it carries in and out is decided by the pure parts."""
