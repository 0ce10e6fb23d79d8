"""The real command as a subprocess, driven as an AI client or a script would drive it."""
