"""Persistent state: the state folder, atomic files, and the database."""
