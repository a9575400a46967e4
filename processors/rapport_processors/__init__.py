"""The thinking: pure functions over values, and the Faust edge that runs them."""
