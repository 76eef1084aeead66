"""How results look: one module per command, each with `human` (text) and `document` (JSON). Pure; nothing prints."""
