"""qconv against PyTorch, byte by byte, on random cases: docs/parity.md says what is compared and how to run it."""
