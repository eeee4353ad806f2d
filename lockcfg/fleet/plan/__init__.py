"""From the present state to the wanted one: a first policy, and the order of changes."""
