"""What a backend's tools and answers look like to a client: names, projections, pages."""
