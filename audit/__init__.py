"""Audit events of a service's changes: written with the change, handed over to the log that tenants keeps."""
