"""PostgreSQL and Redis from Python packages, for one machine: nothing to install, no TCP port."""
