"""The `rapport` command, one module per group of commands; `root` mounts them."""
