"""How an account of a provider becomes a connection, what it signs in with, and how that ends."""
