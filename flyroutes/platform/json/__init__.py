"""The Machines API's JSON, read and written."""
