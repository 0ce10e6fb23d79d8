"""Skills: written know-how that an AI client can read. Nothing in a skill is ever executed."""
