"""Microsoft 365 through Microsoft Graph: mail and calendar of one account per connection."""
