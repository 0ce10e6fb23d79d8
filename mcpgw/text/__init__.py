"""Text helpers that every other package may use: words, suggestions, plural forms."""
