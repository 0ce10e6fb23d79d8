"""Events from outside: endpoints of capability files, whose deliveries become notifications."""
