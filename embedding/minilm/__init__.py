"""A server of the packaged all-MiniLM-L6-v2, in the wire format of OpenAI's embeddings."""
