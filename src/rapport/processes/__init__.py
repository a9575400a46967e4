"""The processes that `rapport up` starts, each a module with a `main`."""
