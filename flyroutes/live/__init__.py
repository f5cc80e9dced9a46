"""The reference environment in an organization: brought up, shown and taken down with the user's flyctl."""
