"""The gateway itself: its nursery tree, and the services that join its parts."""
