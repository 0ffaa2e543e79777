"""The OpenAPI document, made from the descriptors that the routes are made from."""
