"""People who sign on at the operator's identity provider: their tokens, and what their groups may."""
