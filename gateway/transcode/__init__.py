"""The REST API made from the `google.api.http` annotations of the contracts."""
