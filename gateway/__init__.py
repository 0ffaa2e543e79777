"""The front door: webhooks in, the REST API by annotation, the documentation; keeps nothing."""
