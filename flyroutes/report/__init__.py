"""A report on a network as a page, in a terminal, as JSON and as JUnit XML: plain values in, text out."""
