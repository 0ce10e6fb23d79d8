"""Is a tool good for an agent? Rules over its definition, and reports of them."""
