"""What an instance bears on this machine: measured on one of its own, beside the bare limits of what it uses."""
