"""Assembly of parts, data and losses from one configuration."""
