"""What a Fly platform is, in plain data and plain functions: no I/O, no await, knows nobody above."""
