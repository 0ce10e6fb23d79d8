"""Webhooks: endpoints declared in capability files, whose deliveries become notifications."""
