"""Serves until SIGTERM; `--prepare` only makes the model's file, as for an image."""

from embedding.minilm.serve import main

if __name__ == "__main__":
    main()
