"""What this machine bears: measured on an instance of its own, beside the bare limits of what that uses."""
