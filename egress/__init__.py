"""Where an address that a tenant configured may lead: to the public, or where the operator permits."""
