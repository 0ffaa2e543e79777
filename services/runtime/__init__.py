"""The kernel: what every service needs, with no word of any service's domain in it."""
