"""The Machines API: one file per resource."""
