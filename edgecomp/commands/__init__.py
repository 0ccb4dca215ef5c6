"""What each sub-command does: plain arguments in, a result with `to_json` out; nothing prints."""
