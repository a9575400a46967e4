"""The pages: server-rendered, read-only, one tenant for each session; they work without script."""
